use super::*;
use crate::data::BBox;

const FRAME_NS: u64 = 200_000_000;

fn labels() -> Vec<Arc<str>> {
    vec!["person".into(), "car".into()]
}

fn at(x: f32, y: f32, score: f32) -> Detection {
    Detection {
        bbox: BBox {
            x1: x - 0.03,
            y1: y - 0.1,
            x2: x + 0.03,
            y2: y + 0.1,
        },
        class: 0,
        score,
    }
}

fn run(frames: &[Vec<Detection>]) -> Vec<Vec<Track>> {
    let mut tracker = Tracker::new(TrackerOptions::default());
    frames
        .iter()
        .enumerate()
        .map(|(i, d)| tracker.update(d, &labels(), i as u64 * FRAME_NS))
        .collect()
}

fn ids(out: &[Vec<Track>]) -> Vec<u64> {
    let mut ids: Vec<u64> = out.iter().flatten().map(|t| t.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn a_walker_keeps_one_id() {
    let frames: Vec<_> = (0..40).map(|i| vec![at(0.1 + 0.02 * i as f32, 0.5, 0.8)]).collect();
    assert_eq!(ids(&run(&frames)), [1]);
}

#[test]
fn a_runner_who_leaves_his_box_behind_at_each_frame_keeps_one_id() {
    let frames: Vec<_> = (0..10).map(|i| vec![at(0.05 + 0.08 * i as f32, 0.5, 0.8)]).collect();
    assert_eq!(ids(&run(&frames)), [1]);
}

#[test]
fn a_runner_in_a_picture_higher_than_wide_keeps_one_id() {
    // 1.5 of its heights a second, in parts of a width that is 9/16 of the height.
    let frames: Vec<_> = (0..9).map(|i| vec![at(0.05 + 0.107 * i as f32, 0.5, 0.8)]).collect();
    let mut tracker = Tracker::new(TrackerOptions::default());
    tracker.set_aspect(9.0 / 16.0);
    let told = frames.iter().zip(0..);
    let out: Vec<_> = told.map(|(d, i)| tracker.update(d, &labels(), i * FRAME_NS)).collect();
    assert_eq!(ids(&out), [1]);
}

#[test]
fn a_track_opens_from_its_classs_own_threshold_on_and_goes_on_below_it() {
    let mut tracker = Tracker::new(TrackerOptions {
        high: [0.6, 0.2].into(),
        ..TrackerOptions::default()
    });
    let mut told = |person: f32, car: f32, i: u64| {
        let car = Detection {
            class: 1,
            ..at(0.7, 0.5, car)
        };
        let tracks = tracker.update(&[at(0.3, 0.5, person), car], &labels(), i * FRAME_NS);
        tracks.iter().map(|t| t.class.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(0.5, 0.25, 0), Vec::<String>::new());
    assert_eq!(told(0.5, 0.25, 1), ["car"]);
    assert_eq!(told(0.7, 0.15, 2), ["car"]);
    assert_eq!(told(0.5, 0.15, 3), ["car", "person"]);
}

#[test]
fn a_car_that_is_taken_for_a_truck_now_and_then_is_one_car() {
    let labels: Vec<Arc<str>> = ["person", "car", "truck"].map(Arc::from).into();
    let mut tracker = Tracker::new(TrackerOptions::default());
    let mut out = Vec::new();
    for i in 0..10u64 {
        let of = |class, score| Detection {
            class,
            ..at(0.1 + 0.02 * i as f32, 0.5, score)
        };
        // Both at once, then the one, then the other.
        let seen = match i % 3 {
            0 => vec![of(1, 0.8), of(2, 0.5)],
            1 => vec![of(2, 0.6)],
            _ => vec![of(1, 0.5)],
        };
        out.push(tracker.update(&seen, &labels, i * FRAME_NS));
    }
    assert_eq!(ids(&out), [1]);
    assert!(out.iter().skip(2).all(|tracks| &*tracks[0].class == "car"));
    // A person before it is a second object.
    let both = [0, 1].map(|class| Detection {
        class,
        ..at(0.3, 0.5, 0.9)
    });
    let mut tracker = Tracker::new(TrackerOptions::default());
    tracker.update(&both, &labels, 0);
    assert_eq!(tracker.update(&both, &labels, FRAME_NS).len(), 2);
}

#[test]
fn a_single_flash_is_never_told_of() {
    assert!(ids(&run(&[vec![at(0.5, 0.5, 0.9)], vec![], vec![], vec![]])).is_empty());
}

#[test]
fn who_was_seen_once_must_be_seen_again_soon() {
    let again_after = |frames: usize| {
        let flash = || vec![at(0.5, 0.5, 0.9)];
        ids(&run(&[vec![flash()], vec![vec![]; frames - 1], vec![flash()]].concat()))
    };
    assert_eq!(again_after(2), [1], "two fifths of a second");
    assert_eq!(again_after(5), [0; 0], "a second");
}

#[test]
fn a_weak_detection_carries_a_track_but_opens_none() {
    let weak: Vec<_> = (0..6).map(|_| vec![at(0.5, 0.5, 0.2)]).collect();
    assert!(ids(&run(&weak)).is_empty());
    let mut fading: Vec<_> = (0..3).map(|_| vec![at(0.5, 0.5, 0.7)]).collect();
    fading.extend(weak);
    assert!(
        run(&fading)
            .last()
            .is_some_and(|tracks| tracks.len() == 1 && tracks[0].seen)
    );
}

#[test]
fn found_again_within_the_time_it_is_the_same_one_and_after_it_another() {
    let walk = |gap: usize| -> Vec<Vec<Detection>> {
        (0..30)
            .map(|i| {
                if (10..10 + gap).contains(&i) {
                    vec![]
                } else {
                    vec![at(0.2 + 0.01 * i as f32, 0.5, 0.8)]
                }
            })
            .collect()
    };
    assert_eq!(ids(&run(&walk(6))), [1]);
    assert_eq!(ids(&run(&walk(15))), [1, 2]);
}

#[test]
fn two_who_pass_each_other_keep_their_ids() {
    let frames: Vec<_> = (0..30)
        .map(|i| {
            let x = 0.02 * i as f32;
            vec![at(0.2 + x, 0.45, 0.8), at(0.8 - x, 0.6, 0.8)]
        })
        .collect();
    let out = run(&frames);
    assert_eq!(ids(&out), [1, 2]);
    let last = out.last().unwrap();
    assert!(last.iter().find(|t| t.id == 1).unwrap().bbox.x1 > 0.6);
}

#[test]
fn who_stands_while_nobody_looks_is_held_however_long_and_a_flicker_is_not() {
    let mut tracker = Tracker::new(TrackerOptions::default());
    for i in 0..10 {
        let mut frame = vec![at(0.2 + 0.01 * i as f32, 0.5, 0.8)];
        if i >= 8 {
            frame.push(at(0.8, 0.5, 0.8));
        }
        tracker.update(&frame, &labels(), i * FRAME_NS);
    }
    assert!(!tracker.is_steady(), "somebody new");
    // Lost for a second, then nothing moves for a minute.
    tracker.update(&[], &labels(), 15 * FRAME_NS);
    assert!(!tracker.is_steady(), "nobody is seen");
    let held: Vec<Vec<Track>> = (16..316).map(|i| tracker.still(&labels(), i * FRAME_NS)).collect();
    assert!(held.iter().all(|h| h.len() == 1 && h[0].id == 1 && h[0].seen));
    let (first, last) = (held[0][0].bbox, held[299][0].bbox);
    assert!(first.iou(&last) > 0.99, "it drifts: {first:?} {last:?}");
    let found = tracker.update(&[at(last.centre().x, 0.5, 0.8)], &labels(), 316 * FRAME_NS);
    assert_eq!((found[0].id, tracker.is_steady()), (1, true));
}

#[test]
fn nobody_is_followed_over_a_stretch_that_was_not_looked_at() {
    // Somebody stands there, nobody looks for a while, and somebody stands there.
    let ids_after = |blind_ns: u64| {
        let mut tracker = Tracker::new(TrackerOptions::default());
        let seen = (0..10).map(|i| i * FRAME_NS);
        let again = (0..10).map(|i| 9 * FRAME_NS + blind_ns + i * FRAME_NS);
        let out: Vec<_> = seen
            .chain(again)
            .map(|pts_ns| tracker.update(&[at(0.5, 0.5, 0.8)], &labels(), pts_ns))
            .collect();
        ids(&out)
    };
    assert_eq!(ids_after(5_000_000_000), [1], "an overloaded box looks seldom");
    assert_eq!(ids_after(5_200_000_000), [1, 2]);
}

#[test]
fn a_box_with_nan_does_not_panic() {
    let mut bad = at(0.5, 0.5, 0.9);
    bad.bbox.x1 = f32::NAN;
    let _ = run(&[vec![bad], vec![bad, at(0.5, 0.5, 0.9)]]);
}
