//! Decides, camera by camera and branch by branch, what is worth computing: from motion in the pictures and loudness
//! over the background. It wakes at once and sleeps only after some quiet seconds.
//!
//! What a branch that slept makes of a wake-up is its own business: it keeps what it needs of the last windows.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Awake, CameraId, CameraProfile, Gating, Input, Job, Stage};
use crate::cells::{Cells, cells};
use crate::data::{Stretch, Window};
use crate::error::StageError;
use crate::loudness::{Loudness, level_dbfs};
use crate::motion::Motion;
use crate::picture_stats::picture_stats;

/// Marks every window with what is awake for it.
#[derive(Default)]
pub struct Gate {
    cameras: HashMap<CameraId, Senses>,
}

/// The detector looks on for so long after the last cause: longer than the tracker remembers who is out of sight, so that
/// whoever is still followed when it falls asleep stands there.
const DETECTOR_STAYS_NS: u64 = 5_000_000_000;
/// The clip model: its clip is so long.
const CLIPS_STAY_NS: u64 = 2_000_000_000;

/// What the gate knows of a camera.
struct Senses {
    profile: Arc<CameraProfile>,
    stretch: Stretch,
    motion: Motion,
    loudness: Loudness,
    /// Where the last window ended.
    end_ns: u64,
    /// The last cause for the detector: something was there, or it was loud, or the stream began.
    differs_ns: u64,
    /// The last cause for the clip model.
    acts_ns: Option<u64>,
}

impl Senses {
    fn new(job: &Job) -> Self {
        Self {
            profile: job.profile.clone(),
            stretch: Stretch::default(),
            motion: Motion::default(),
            loudness: Loudness::default(),
            end_ns: job.window.start_ns,
            differs_ns: job.window.start_ns,
            acts_ns: None,
        }
    }

    /// Who is awake for this window, and which part of the picture moves in it.
    /// `cells`: its frames, as cells.
    fn take(&mut self, window: &Window, cells: &[Arc<Cells>]) -> (Awake, Option<f32>) {
        self.end_ns = window.end_ns;
        let mut parts = Vec::new();
        for (frame, cells) in window.frames.iter().zip(cells) {
            match self.motion.look(cells, frame.pts_ns) {
                // Unlike anything before.
                None => self.differs_ns = frame.pts_ns,
                Some(moved) => {
                    if moved.differs {
                        self.differs_ns = frame.pts_ns;
                    }
                    if moved.acts {
                        self.acts_ns = Some(frame.pts_ns);
                    }
                    parts.push(moved.part);
                }
            }
        }
        if !window.audio.is_empty() {
            let level = level_dbfs(window.audio.iter().flat_map(|c| c.samples.iter()));
            let seconds = (window.end_ns - window.start_ns) as f32 / 1e9;
            if self.loudness.is_loud(level, seconds) {
                self.differs_ns = window.end_ns;
                self.acts_ns = Some(window.end_ns);
            }
        }
        let since = |cause_ns: u64| window.end_ns.saturating_sub(cause_ns);
        let awake = Awake {
            vision: self.profile.gating != Gating::Motion || since(self.differs_ns) <= DETECTOR_STAYS_NS,
            action: self.profile.gating == Gating::Never || self.acts_ns.is_some_and(|t| since(t) <= CLIPS_STAY_NS),
        };
        let mean = parts.iter().sum::<f32>() / parts.len().max(1) as f32;
        (awake, (!parts.is_empty()).then_some(mean))
    }
}

impl Stage for Gate {
    type In = Job;
    type Out = Job;

    fn process(&mut self, mut job: Job, out: &mut Vec<Job>) -> Result<(), StageError> {
        let behaviour = &job.profile.behaviour;
        let frames = &job.window.frames;
        if behaviour.tamper.is_some() {
            let last = frames.last();
            job.look = last.map(|frame| Arc::new(picture_stats(&frame.picture)));
        }
        let gates = job.profile.gating == Gating::Motion || behaviour.fight.is_some();
        // Who asks for nothing of it does not pay for it.
        let measures = gates || behaviour.anomaly.is_some();
        let wanted = match (measures, behaviour.left.is_some()) {
            (true, _) => &frames[..],
            (false, true) => &frames[frames.len().saturating_sub(1)..],
            (false, false) => &[],
        };
        let cells: Vec<Arc<Cells>> = wanted.iter().map(|f| Arc::new(cells(&f.picture))).collect();
        if behaviour.left.is_some() {
            job.cells = cells.last().cloned();
        }
        if measures {
            let senses = self
                .cameras
                .entry(job.camera().clone())
                .or_insert_with(|| Senses::new(&job));
            // Another profile, an interruption, or the next recording.
            let goes_on = Arc::ptr_eq(&senses.profile, &job.profile) && job.window.start_ns >= senses.end_ns;
            if senses.stretch.is_new(&job.window) || !goes_on {
                *senses = Senses {
                    stretch: senses.stretch,
                    ..Senses::new(&job)
                };
            }
            (job.awake, job.moving) = senses.take(&job.window, &cells);
        }
        out.push(job);
        Ok(())
    }

    fn failed(job: &Job) -> Vec<Job> {
        vec![job.clone()]
    }

    fn recover(&mut self, job: &Job) {
        self.cameras.remove(job.camera());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::{AnomalyOptions, BehaviourOptions, FightOptions};
    use crate::data::{AudioChunk, AudioState, Frame, Picture};

    const WINDOW_NS: u64 = 500_000_000;

    /// A window's two pictures, by how bright their lower half is, and its sound's amplitude.
    type Scene = ([u8; 2], f32);

    const STILL: Scene = ([80, 80], 0.001);

    fn window(seq: u64, (lower, amplitude): Scene) -> Window {
        let picture = |lower: u8| Picture {
            width: 64,
            height: 36,
            rgb: [vec![80; 64 * 20 * 3], vec![lower; 64 * 16 * 3]].concat(),
        };
        let start_ns = seq * WINDOW_NS;
        let frame = |(i, lower): (u64, u8)| Frame {
            pts_ns: start_ns + i * 200_000_000,
            picture: Arc::new(picture(lower)),
            native: None,
        };
        Window {
            camera: CameraId::new("yard"),
            seq,
            start_ns,
            end_ns: start_ns + WINDOW_NS,
            frames: (0..).zip(lower).map(frame).collect(),
            audio: vec![AudioChunk {
                pts_ns: start_ns,
                samples: [amplitude, -amplitude].repeat(4_000).into(),
            }],
            audio_state: AudioState::Present,
            utc_offset_ns: 0,
            arrived_ns: 0,
            breaks_off: false,
            stretch: 0,
        }
    }

    fn gated(gating: Gating, behaviour: BehaviourOptions, scenes: &[Scene]) -> Vec<Job> {
        let profile = Arc::new(CameraProfile {
            gating,
            behaviour,
            ..CameraProfile::default()
        });
        let windows = (0..).zip(scenes).map(|(seq, scene)| window(seq, *scene));
        let (mut gate, mut out) = (Gate::default(), Vec::new());
        for window in windows {
            gate.process(Job::new(window, profile.clone()), &mut out).unwrap();
        }
        out
    }

    #[test]
    fn how_much_moves_is_measured_for_a_camera_that_learns_it_and_for_no_other() {
        let moving = |anomaly| {
            let behaviour = BehaviourOptions {
                anomaly,
                ..BehaviourOptions::default()
            };
            gated(Gating::Always, behaviour, &[([80, 160], 0.001)])[0].moving
        };
        let part = moving(Some(AnomalyOptions::default())).unwrap();
        assert!((part - 16.0 / 36.0).abs() < 0.01, "{part}");
        assert_eq!(moving(None), None);
    }

    /// The windows for which the clip model is awake: of one that is still, one that is as told, and six more that are still.
    fn clips_in(gating: Gating, (lower, amplitude): Scene) -> Vec<u64> {
        let behaviour = BehaviourOptions {
            fight: Some(FightOptions::default()),
            ..BehaviourOptions::default()
        };
        let after = ([lower[1]; 2], 0.001);
        let scenes = [vec![STILL, (lower, amplitude)], vec![after; 6]].concat();
        let jobs = gated(gating, behaviour, &scenes);
        let awake = jobs.iter().filter(|job| job.awake.action);
        awake.map(|job| job.window.seq).collect()
    }

    #[test]
    fn what_a_camera_is_asked_for_anew_is_looked_at_though_nothing_moves() {
        let profile = || {
            Arc::new(CameraProfile {
                gating: Gating::Motion,
                ..CameraProfile::default()
            })
        };
        let (before, after) = (profile(), profile());
        let (mut gate, mut out) = (Gate::default(), Vec::new());
        for seq in 0..21 {
            let profile = if seq < 20 { &before } else { &after };
            gate.process(Job::new(window(seq, STILL), profile.clone()), &mut out)
                .unwrap();
        }
        let awake: Vec<bool> = out.iter().map(|job| job.awake.vision).collect();
        assert!(!awake[19] && awake[20], "{awake:?}");
    }

    #[test]
    fn the_clip_model_watches_who_acts_and_what_is_loud_for_as_long_as_its_clip_and_sleeps_otherwise() {
        for gating in [Gating::Always, Gating::Motion] {
            assert_eq!(clips_in(gating, STILL), [0; 0], "{gating:?}");
            // Something changes at 0.7 s.
            assert_eq!(clips_in(gating, ([80, 160], 0.001)), [1, 2, 3, 4], "{gating:?}");
            // A bang until 1 s.
            assert_eq!(clips_in(gating, ([80, 80], 0.3)), [1, 2, 3, 4, 5], "{gating:?}");
        }
        assert_eq!(clips_in(Gating::Never, STILL), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
