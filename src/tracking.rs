//! Follows detections over frames.
//!
//! Two-step association after ByteTrack (Zhang et al., ECCV 2022): confident detections are matched first, then weak
//! ones to the tracks that are left. Motion is a constant-velocity Kalman filter over the box's centre and size. At a
//! few frames a second a person may move by more than a box, so the match is by overlap first, then by distance in box
//! heights.

mod kalman;

use std::sync::Arc;

use crate::data::{Detection, Track};
use crate::geometry::distance;
use kalman::Motion;

#[derive(Clone, Debug, PartialEq)]
pub struct TrackerOptions {
    /// By class: detections from this score on take part in the first association and may open a track. A class that is
    /// not listed takes [`HIGH`].
    pub high: Arc<[f32]>,
    /// Weaker ones, down to this score, only carry on a track that is there.
    pub low: f32,
    /// Detections that a new track needs before it is told of.
    pub min_hits: u32,
    /// A track that is not seen for so long is forgotten; found before that, it keeps its id.
    pub max_lost_s: f32,
    /// Farthest match, in box heights a second of time passed (at least one frame's worth at 5 fps).
    pub reach_heights_per_s: f32,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            high: Arc::default(),
            low: 0.12,
            min_hits: 2,
            max_lost_s: 2.0,
            reach_heights_per_s: 2.5,
        }
    }
}

/// For detectors that have no thresholds of their own.
const HIGH: f32 = 0.35;
/// What was detected so often is there, and no flicker.
const STEADY_HITS: u32 = 3;
/// A detector often takes one of these for another, from one frame to the next; a track is what it was taken for most.
const ALIKE: [&str; 3] = ["car", "bus", "truck"];
/// Boxes of alike classes that overlap more are one object.
const SAME_IOU: f32 = 0.6;

/// Follows the objects of one camera.
pub struct Tracker {
    options: TrackerOptions,
    live: Vec<Live>,
    next_id: u64,
    last_ns: Option<u64>,
    aspect: f32,
}

struct Live {
    id: u64,
    /// Sums of scores by class: what it was taken for.
    votes: Vec<f32>,
    score: f32,
    motion: Motion,
    hits: u32,
    born_ns: u64,
    seen_ns: u64,
    seen_now: bool,
}

impl Tracker {
    pub fn new(options: TrackerOptions) -> Self {
        Self {
            options,
            live: Vec::new(),
            next_id: 1,
            last_ns: None,
            aspect: 1.0,
        }
    }

    /// Width over height of the pictures.
    pub fn set_aspect(&mut self, aspect: f32) {
        self.aspect = aspect;
    }

    /// Forgets the tracks; ids go on.
    pub fn reset(&mut self) {
        self.live.clear();
        self.last_ns = None;
    }

    /// A frame that is not looked at, because nothing moves: whoever is followed still stands there. What was hardly seen
    /// before is forgotten. Returns the tracks as they stand, as [`Self::update`] does.
    pub fn still(&mut self, labels: &[Arc<str>], pts_ns: u64) -> Vec<Track> {
        self.last_ns = Some(pts_ns);
        self.live.retain(|t| t.hits >= STEADY_HITS);
        for track in &mut self.live {
            track.motion.stop();
            (track.seen_ns, track.seen_now) = (pts_ns, true);
        }
        self.live.iter().filter_map(|t| t.as_track(labels)).collect()
    }

    /// Whether the newest frame showed everybody who is followed, and nobody new.
    pub fn is_steady(&self) -> bool {
        self.live.iter().all(|t| t.seen_now && t.hits >= STEADY_HITS)
    }

    /// One frame. `labels` names the classes. Returns the confirmed tracks as they stand now, oldest first; those
    /// with `seen == false` are predicted during a short loss.
    pub fn update(&mut self, detections: &[Detection], labels: &[Arc<str>], pts_ns: u64) -> Vec<Track> {
        let dt_s = self
            .last_ns
            .map_or(0.0, |last| pts_ns.saturating_sub(last) as f32 / 1e9)
            .min(5.0);
        self.last_ns = Some(pts_ns);
        for track in &mut self.live {
            track.motion.predict(dt_s);
            track.seen_now = false;
        }
        let detections = told_apart(detections, labels);
        let high = |class: usize| self.options.high.get(class).copied().unwrap_or(HIGH);
        let (strong, weak): (Vec<&Detection>, Vec<&Detection>) = detections
            .into_iter()
            .filter(|d| d.score >= self.options.low.min(high(d.class)))
            .partition(|d| d.score >= high(d.class));
        let unmatched = self.associate(&strong, labels, pts_ns, true);
        let _ = self.associate(&weak, labels, pts_ns, false);
        for detection in unmatched {
            let mut votes = vec![0.0; labels.len().max(detection.class + 1)];
            votes[detection.class] = detection.score;
            self.live.push(Live {
                id: self.next_id,
                votes,
                score: detection.score,
                motion: Motion::new(detection.bbox),
                hits: 1,
                born_ns: pts_ns,
                seen_ns: pts_ns,
                seen_now: true,
            });
            self.next_id += 1;
        }
        let (min_hits, keep_ns) = (self.options.min_hits, (self.options.max_lost_s * 1e9) as u64);
        // A track that was seen once only must be seen again soon: most are flickers.
        self.live
            .retain(|t| pts_ns.saturating_sub(t.seen_ns) <= if t.hits < min_hits { keep_ns / 3 } else { keep_ns });
        self.live
            .iter()
            .filter(|t| t.hits >= min_hits)
            .filter_map(|t| t.as_track(labels))
            .collect()
    }

    /// Greedy by rising cost; returns the detections that found no track.
    fn associate<'a>(
        &mut self,
        detections: &[&'a Detection],
        labels: &[Arc<str>],
        pts_ns: u64,
        by_distance: bool,
    ) -> Vec<&'a Detection> {
        let mut pairs = Vec::new();
        for (t, track) in self.live.iter().enumerate().filter(|(_, t)| !t.seen_now) {
            let lost_s = pts_ns.saturating_sub(track.seen_ns) as f32 / 1e9;
            let class = track.class();
            let fits = |d: &Detection| are_alike(labels, d.class, class);
            for (d, detection) in detections.iter().enumerate().filter(|(_, d)| fits(d)) {
                if let Some(cost) = self.cost(track, detection, lost_s, by_distance) {
                    pairs.push((cost, t, d));
                }
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut taken = vec![false; detections.len()];
        for (_, t, d) in pairs {
            let track = &mut self.live[t];
            if track.seen_now || taken[d] {
                continue;
            }
            taken[d] = true;
            track.motion.correct(detections[d].bbox);
            track.score = detections[d].score;
            if let Some(votes) = track.votes.get_mut(detections[d].class) {
                *votes += detections[d].score;
            }
            track.hits += 1;
            track.seen_ns = pts_ns;
            track.seen_now = true;
        }
        detections
            .iter()
            .zip(taken)
            .filter(|(_, taken)| !taken)
            .map(|(d, _)| *d)
            .collect()
    }

    /// None when the two cannot be the same object. Overlap costs 0 to 1, distance 1 to 2.
    fn cost(&self, track: &Live, detection: &Detection, lost_s: f32, by_distance: bool) -> Option<f32> {
        let here = track.motion.bbox();
        let iou = here.iou(&detection.bbox);
        if iou > 0.2 {
            return Some(1.0 - iou);
        }
        let (h1, h2) = (here.height(), detection.bbox.height());
        if !by_distance || h1.min(h2) < 0.5 * h1.max(h2) {
            return None;
        }
        let size = (h1 + h2) / 2.0;
        let reach = size * self.options.reach_heights_per_s * lost_s.clamp(0.2, 0.6);
        let away = distance(here.centre(), detection.bbox.centre(), self.aspect);
        (away < reach).then(|| 1.0 + away / reach)
    }
}

fn are_alike(labels: &[Arc<str>], a: usize, b: usize) -> bool {
    let alike = |class: usize| labels.get(class).is_some_and(|l| ALIKE.contains(&&**l));
    a == b || (alike(a) && alike(b))
}

/// Without the weaker of two that lie on one another and are alike: one object, taken for two.
fn told_apart<'a>(detections: &'a [Detection], labels: &[Arc<str>]) -> Vec<&'a Detection> {
    let again = |one: &Detection| {
        detections.iter().any(|other| {
            other.score > one.score
                && other.class != one.class
                && are_alike(labels, one.class, other.class)
                && one.bbox.iou(&other.bbox) > SAME_IOU
        })
    };
    detections.iter().filter(|d| !again(d)).collect()
}

impl Live {
    /// What it was taken for most; the first of equals.
    fn class(&self) -> usize {
        let votes = self.votes.iter().enumerate().rev();
        votes.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
    }

    fn as_track(&self, labels: &[Arc<str>]) -> Option<Track> {
        Some(Track {
            id: self.id,
            class: labels.get(self.class())?.clone(),
            score: self.score,
            bbox: self.motion.bbox().clipped(),
            seen: self.seen_now,
            hits: self.hits,
            born_ns: self.born_ns,
        })
    }
}

#[cfg(test)]
mod tests {
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
    fn a_box_with_nan_does_not_panic() {
        let mut bad = at(0.5, 0.5, 0.9);
        bad.bbox.x1 = f32::NAN;
        let _ = run(&[vec![bad], vec![bad, at(0.5, 0.5, 0.9)]]);
    }
}
