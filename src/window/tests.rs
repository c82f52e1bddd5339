use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::data::Picture;

const MS: u64 = 1_000_000;

fn windower() -> Windower {
    Windower::new(CameraId::new("yard"), &WindowOptions::default())
}

fn frame(ms: u64) -> Frame {
    Frame {
        pts_ns: ms * MS,
        picture: Arc::new(Picture {
            width: 1,
            height: 1,
            rgb: vec![0; 3],
        }),
        native: None,
    }
}

fn sound(ms: u64, samples: usize) -> AudioChunk {
    AudioChunk {
        pts_ns: ms * MS,
        samples: vec![0.0; samples].into(),
    }
}

fn frames_in(windows: &[Window]) -> Vec<u64> {
    windows
        .iter()
        .flat_map(|w| w.frames.iter().map(|f| f.pts_ns / MS))
        .collect()
}

#[test]
fn a_camera_without_sound_is_not_held_up() {
    let mut w = windower();
    let out: Vec<_> = (0..=5).flat_map(|i| w.push_frame(frame(i * 200), 0, 0)).collect();
    assert_eq!(out.len(), 2);
    assert_eq!((out[0].seq, out[1].seq, out[0].audio_state), (0, 1, AudioState::None));
    assert_eq!(frames_in(&out), [0, 200, 400, 600, 800]);
}

#[test]
fn a_window_waits_for_its_sound_but_not_for_ever() {
    let mut w = windower();
    assert!(w.push_audio(sound(0, 1600), 0, 0).is_empty());
    let early: Vec<_> = (0..=4).flat_map(|i| w.push_frame(frame(i * 200), 0, 0)).collect();
    assert!(early.is_empty(), "800 ms of picture, 100 ms of sound: still waiting");
    let out = w.push_frame(frame(1000), 0, 0);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].audio_state, AudioState::Present);
    w.push_audio(sound(100, 8000), 0, 0);
    assert_eq!(w.late_samples(), 6400);
}

#[test]
fn sound_is_split_at_the_edge_sample_by_sample() {
    let mut w = windower();
    let _ = w.push_frame(frame(0), 0, 0);
    let _ = w.push_audio(sound(0, 16_000), 0, 0);
    let out: Vec<_> = [500, 1000]
        .into_iter()
        .flat_map(|t| w.push_frame(frame(t), 0, 0))
        .collect();
    let lengths: Vec<usize> = out
        .iter()
        .map(|w| w.audio.iter().map(|c| c.samples.len()).sum())
        .collect();
    assert_eq!(lengths, [8000, 8000]);
    assert_eq!(out[1].audio[0].pts_ns, 500 * MS);
}

#[test]
fn a_jump_of_an_hour_gives_one_new_grid_and_no_flood_of_empty_windows() {
    let mut w = windower();
    let _ = w.push_frame(frame(0), 0, 0);
    let mut out = w.push_frame(frame(3_600_000), 0, 0);
    out.extend(w.flush());
    assert_eq!(frames_in(&out), [0, 3_600_000]);
    assert_eq!(out.iter().map(|w| w.stretch).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(out[1].seq, out[0].seq + 1);
}

#[test]
fn one_that_begins_anew_goes_on_counting_and_says_so() {
    let mut w = windower();
    let _ = w.push_frame(frame(0), 0, 0);
    let before = w.flush();
    w = w.begin_anew(&WindowOptions::default());
    let _ = w.push_frame(frame(0), 0, 0);
    let after = w.flush();
    assert_eq!((before[0].seq, before[0].stretch), (0, 0));
    assert_eq!((after[0].seq, after[0].stretch), (1, 1));
}

#[test]
fn a_stream_that_jumps_back_is_cut_anew() {
    let mut w = windower();
    let mut out = w.push_frame(frame(5000), 0, 0);
    out.extend(w.push_frame(frame(100), 0, 0));
    out.extend(w.flush());
    assert_eq!(frames_in(&out), [5000, 100]);
}

#[test]
fn a_window_keeps_one_native_picture_at_most() {
    let mut w = windower();
    let with_native = |ms| {
        let frame = frame(ms);
        Frame {
            native: Some(frame.picture.clone()),
            ..frame
        }
    };
    let mut out: Vec<_> = (0..8).flat_map(|i| w.push_frame(with_native(i * 150), 0, 0)).collect();
    out.extend(w.flush());
    let natives = |w: &Window| w.frames.iter().filter(|f| f.native.is_some()).count();
    assert_eq!(out.iter().map(natives).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(frames_in(&out).len(), 8);
}

#[test]
fn windows_go_on_while_only_sound_comes() {
    let mut w = windower();
    let _ = w.push_frame(frame(0), 0, 0);
    let mut at = |i: u64| w.push_audio(sound(i * 100, 1600), i * 100 * MS, 0);
    let out: Vec<_> = (0..50).flat_map(&mut at).collect();
    assert!(out.len() >= 3, "{}", out.len());
}

/// One medium comes so many milliseconds behind the other for ten seconds, at 5 pictures a second.
fn behind(picture_ms: u64, sound_ms: u64) -> (Vec<Window>, Windower) {
    let (mut w, mut out) = (windower(), Vec::new());
    for now_ms in (0..10_000).step_by(100) {
        if now_ms >= sound_ms {
            out.extend(w.push_audio(sound(now_ms - sound_ms, 1600), now_ms * MS, 0));
        }
        if now_ms >= picture_ms && now_ms % 200 == 0 {
            out.extend(w.push_frame(frame(now_ms - picture_ms), now_ms * MS, 0));
        }
    }
    (out, w)
}

#[test]
fn sound_that_always_comes_late_is_waited_for() {
    for late_ms in [300, 700, 2000, 3600] {
        let (out, w) = behind(0, late_ms);
        // Before any had come nobody waited for it.
        let heard = out.iter().filter(|w| w.start_ns >= (late_ms + 500) * MS);
        let whole = |w: &&Window| w.audio.iter().map(|c| c.samples.len()).sum::<usize>() == 8000;
        assert!(
            heard.clone().count() >= 3 && heard.clone().all(|w| whole(&w)),
            "{late_ms}"
        );
        assert!(w.late_samples() <= 16 * late_ms, "{late_ms}: {}", w.late_samples());
    }
}

#[test]
fn a_picture_that_always_comes_late_is_waited_for() {
    for late_ms in [600, 2600, 3600] {
        let (out, w) = behind(late_ms, 0);
        // Before any had come nobody waited for it.
        assert!(
            w.late_frames() <= (late_ms / 200).saturating_sub(10),
            "{late_ms}: {}",
            w.late_frames()
        );
        let seen = out.iter().filter(|w| w.start_ns >= late_ms * MS);
        assert!(
            seen.clone().count() >= 3 && seen.clone().all(|w| w.frames.len() >= 2 && w.stretch == 0),
            "{late_ms}"
        );
    }
}

#[test]
fn a_picture_that_hung_and_catches_up_does_not_tear_the_windows() {
    let mut w = windower();
    let mut out = w.push_frame(frame(0), 0, 0);
    for ms in (0..20_000).step_by(100) {
        out.extend(w.push_audio(sound(ms, 1600), ms * MS, 0));
        // Nothing for ten seconds, then twice as fast from where it hung.
        if ms >= 10_000 {
            out.extend(w.push_frame(frame((ms - 10_000) * 2 + 4000), ms * MS, 0));
        }
    }
    assert!(out.iter().all(|w| w.stretch == 0), "one grid");
    assert!(frames_in(&out).len() > 20 && w.late_frames() > 0);
}

proptest! {
    #[test]
    fn every_frame_and_sample_lands_in_exactly_one_window(
        steps in prop::collection::vec((0u64..3, 1u64..700), 1..80),
    ) {
        let (mut w, mut out) = (windower(), Vec::new());
        let (mut video_ms, mut audio_ms) = (0, 0);
        let (mut frames, mut samples) = (Vec::new(), 0usize);
        for (what, step) in steps {
            if what == 0 {
                out.extend(w.push_audio(sound(audio_ms, (step * 16) as usize), 0, 0));
                samples += (step * 16) as usize;
                audio_ms += step;
            } else {
                video_ms += step;
                frames.push(video_ms);
                out.extend(w.push_frame(frame(video_ms), 0, 0));
            }
        }
        out.extend(w.flush());
        let mut got = frames_in(&out);
        got.sort_unstable();
        prop_assert_eq!(got.len() + w.late_frames() as usize, frames.len());
        got.dedup();
        prop_assert!(got.iter().all(|t| frames.contains(t)));
        prop_assert!(w.late_frames() > 0 || got == frames);
        let heard: usize = out.iter().flat_map(|w| w.audio.iter().map(|c| c.samples.len())).sum();
        prop_assert_eq!(heard + w.late_samples() as usize, samples);
        for pair in out.windows(2) {
            prop_assert_eq!(pair[1].seq, pair[0].seq + 1);
            prop_assert!(pair[1].stretch > pair[0].stretch || pair[1].start_ns == pair[0].end_ns);
        }
        for w in &out {
            prop_assert!(w.frames.iter().all(|f| (w.start_ns..w.end_ns).contains(&f.pts_ns)));
        }
    }
}

#[test]
fn one_picture_a_second_is_no_interruption_however_short_windows_are() {
    let mut w = Windower::new(
        CameraId::new("yard"),
        &WindowOptions {
            window_ms: 200,
            ..WindowOptions::default()
        },
    );
    let out: Vec<_> = (0..10).flat_map(|i| w.push_frame(frame(i * 1000), 0, 0)).collect();
    assert_eq!(out.len(), 45);
    assert!(out.iter().all(|window| window.stretch == out[0].stretch));
}
