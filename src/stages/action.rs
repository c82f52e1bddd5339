//! Frames → clips of a few seconds → what is being done in them. A ring of small pictures a camera, so that a clip that
//! is asked for when something begins to move starts before it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{CameraId, CameraProfile, Input, Job, Stage};
use crate::cells::{Cells, cells, median};
use crate::data::{ActionReport, Branch, Picture, Report, ReportBody, Status, Stretch};
use crate::error::StageError;
use crate::motion::part_changed;

/// What a clip model says of one clip.
#[derive(Clone, Debug)]
pub struct ClipScores {
    /// Probabilities by label.
    pub scores: Vec<f32>,
    pub embedding: Arc<[f32]>,
}

/// The clips that a model takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipShape {
    pub span_ns: u64,
    pub frames: usize,
}

/// A clip model as this stage needs it. `nn::ActionModel` is one; tests bring their own.
pub trait WatchClips: Send {
    /// `name@version`
    fn id(&self) -> Arc<str>;
    fn labels(&self) -> Arc<[Arc<str>]>;
    fn shape(&self) -> ClipShape;
    /// A picture as small as the model takes it: so it is kept.
    fn shrink(&self, picture: &Picture) -> Picture;
    /// One answer a clip; pictures of a clip in time order.
    ///
    /// # Errors
    /// A sentence saying what failed.
    fn classify(&mut self, clips: &[Vec<&Picture>]) -> Result<Vec<ClipScores>, String>;
}

/// One report a window: of the clip that ends with it.
pub struct Action {
    model: Box<dyn WatchClips>,
    cameras: HashMap<CameraId, Watched>,
}

/// The last pictures of a camera, as its configuration has them.
struct Watched {
    profile: Arc<CameraProfile>,
    stretch: Stretch,
    ring: Ring,
}

/// The last pictures, oldest first.
#[derive(Default)]
struct Ring {
    pictures: VecDeque<Seen>,
    last: Option<Cells>,
}

struct Seen {
    pts_ns: u64,
    picture: Picture,
    /// Part of it that is other than in the one before, 0 to 1.
    changed: f32,
}

impl Ring {
    fn push(&mut self, pts_ns: u64, picture: Picture) {
        let now = cells(&picture);
        let changed = self.last.as_ref().map_or(0.0, |was| part_changed(&now, was));
        self.last = Some(now);
        self.pictures.push_back(Seen {
            pts_ns,
            picture,
            changed,
        });
    }

    fn has_scene(&self) -> bool {
        median(self.pictures.iter().map(|seen| seen.changed).collect()) < NO_SCENE
    }
}

/// Where so much of the picture becomes another from frame to frame it shows no people, but the snow of a lost signal, or what a
/// camera sees that is swept about. Of the clips in `models/action/card.md` none comes near.
const NO_SCENE: f32 = 0.85;

/// A clip is whole when it spans so much of what the model takes.
const WHOLE: f64 = 0.65;

impl Action {
    pub fn new(model: Box<dyn WatchClips>) -> Self {
        Self {
            model,
            cameras: HashMap::new(),
        }
    }

    /// Keeps the window's frames. Returns what the window's report is unless the clip is to be looked at.
    fn take(&mut self, job: &Job) -> Option<Status> {
        let window = &job.window;
        if job.profile.behaviour.fight.is_none() {
            self.cameras.remove(&window.camera);
            return Some(Status::Gated);
        }
        let shape = self.model.shape();
        let new = || Watched {
            profile: job.profile.clone(),
            stretch: Stretch::default(),
            ring: Ring::default(),
        };
        let watched = self.cameras.entry(window.camera.clone()).or_insert_with(new);
        // Other masks, or another view: what was before is not to be mixed with it.
        if !Arc::ptr_eq(&watched.profile, &job.profile) {
            *watched = new();
        }
        let ring = &mut watched.ring;
        if watched.stretch.is_new(window) {
            *ring = Ring::default();
        }
        for frame in &window.frames {
            // The next recording, or a clock that was set back: what was before is of another time.
            if ring.pictures.back().is_some_and(|last| frame.pts_ns <= last.pts_ns) {
                *ring = Ring::default();
            }
            ring.push(frame.pts_ns, self.model.shrink(&frame.picture));
        }
        let pictures = &mut ring.pictures;
        let (Some(end_ns), false) = (pictures.back().map(|last| last.pts_ns), window.frames.is_empty()) else {
            return Some(Status::Empty);
        };
        while pictures
            .front()
            .is_some_and(|first| first.pts_ns + shape.span_ns <= end_ns)
        {
            pictures.pop_front();
        }
        let spanned_ns = end_ns.saturating_sub(pictures.front().map_or(end_ns, |first| first.pts_ns));
        let is_whole = pictures.len() >= shape.frames / 2 && (spanned_ns as f64) >= WHOLE * shape.span_ns as f64;
        if !is_whole || !ring.has_scene() {
            return Some(Status::Empty);
        }
        (!job.awake.action).then_some(Status::Gated)
    }

    fn look(&mut self, job: &Job) -> Result<Report, StageError> {
        let frames = self.cameras.get(job.camera()).map(|watched| &watched.ring.pictures);
        let (Some(first), Some(last)) = (frames.and_then(|f| f.front()), frames.and_then(|f| f.back())) else {
            return Err(StageError::Input("there are no frames".into()));
        };
        let clip = frames.into_iter().flatten().map(|seen| &seen.picture).collect();
        let scored = self.model.classify(&[clip]).map_err(StageError::Model)?.pop();
        let scored = scored.ok_or_else(|| StageError::Model("no answer to the clip".into()))?;
        Ok(Report {
            body: ReportBody::Action(ActionReport {
                start_ns: first.pts_ns,
                end_ns: last.pts_ns,
                scores: scored.scores,
                labels: self.model.labels(),
                model: self.model.id(),
            }),
            embedding: Some(scored.embedding),
            ..job.bare(Branch::Action, Status::Ok)
        })
    }
}

impl Stage for Action {
    type In = Job;
    type Out = Report;

    fn process(&mut self, job: Job, out: &mut Vec<Report>) -> Result<(), StageError> {
        out.push(match self.take(&job) {
            Some(status) => job.bare(Branch::Action, status),
            None => self.look(&job)?,
        });
        Ok(())
    }

    fn failed(job: &Job) -> Vec<Report> {
        vec![job.bare(Branch::Action, Status::Failed)]
    }

    fn recover(&mut self, job: &Job) {
        self.cameras.remove(job.camera());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::{BehaviourOptions, FightOptions};
    use crate::data::{AudioState, Frame, Snapshots, Window};
    use crate::stages::{Awake, CameraProfile};

    const MS: u64 = 1_000_000;

    /// Answers with the number of pictures that it was given.
    struct Counts;

    impl WatchClips for Counts {
        fn id(&self) -> Arc<str> {
            "counts@1".into()
        }
        fn labels(&self) -> Arc<[Arc<str>]> {
            Arc::from([Arc::from("fight")])
        }
        fn shape(&self) -> ClipShape {
            ClipShape {
                span_ns: 2_000 * MS,
                frames: 10,
            }
        }
        fn shrink(&self, picture: &Picture) -> Picture {
            picture.clone()
        }
        fn classify(&mut self, clips: &[Vec<&Picture>]) -> Result<Vec<ClipScores>, String> {
            let score = |clip: &Vec<&Picture>| ClipScores {
                scores: vec![clip.len() as f32],
                embedding: Arc::from([]),
            };
            Ok(clips.iter().map(score).collect())
        }
    }

    fn profile(fight: Option<FightOptions>) -> Arc<CameraProfile> {
        Arc::new(CameraProfile {
            behaviour: BehaviourOptions {
                fight,
                ..BehaviourOptions::default()
            },
            snapshots: Snapshots::Off,
            ..CameraProfile::default()
        })
    }

    fn wants_fights() -> Arc<CameraProfile> {
        profile(Some(FightOptions::default()))
    }

    /// Half a second at five frames a second, awake or not.
    fn job(profile: &Arc<CameraProfile>, seq: u64, action: bool) -> Job {
        let (start_ns, end_ns) = (seq * 500 * MS, (seq + 1) * 500 * MS);
        let frames = (start_ns.div_ceil(200 * MS)..end_ns.div_ceil(200 * MS)).map(|i| Frame {
            pts_ns: i * 200 * MS,
            picture: Arc::new(Picture {
                width: 32,
                height: 16,
                rgb: vec![0; 32 * 16 * 3],
            }),
            native: None,
        });
        let window = Window {
            camera: CameraId::new("yard"),
            seq,
            start_ns,
            end_ns,
            frames: frames.collect(),
            audio: vec![],
            audio_state: AudioState::None,
            utc_offset_ns: 0,
            arrived_ns: 0,
            breaks_off: false,
            stretch: 0,
        };
        Job {
            awake: Awake { vision: true, action },
            ..Job::new(window, profile.clone())
        }
    }

    fn step(stage: &mut Action, job: Job) -> (Status, Option<ActionReport>) {
        let mut out = Vec::new();
        stage.process(job, &mut out).unwrap();
        assert_eq!(out.len(), 1, "one report a window");
        let report = out.remove(0);
        let acted = match report.body {
            ReportBody::Action(acted) => Some(acted),
            _ => None,
        };
        (report.status, acted)
    }

    #[test]
    fn a_clip_that_sleeps_is_not_looked_at_and_the_first_one_awake_holds_what_came_before() {
        let (mut stage, profile) = (Action::new(Box::new(Counts)), wants_fights());
        for seq in 0..2 {
            let status = step(&mut stage, job(&profile, seq, false)).0;
            assert_eq!(status, Status::Empty, "no whole clip yet");
        }
        for seq in 2..8 {
            assert_eq!(step(&mut stage, job(&profile, seq, false)).0, Status::Gated);
        }
        // Frames 20 to 22.
        let (status, acted) = step(&mut stage, job(&profile, 8, true));
        let acted = acted.unwrap();
        assert_eq!((status, acted.scores[0]), (Status::Ok, 10.0));
        assert_eq!((acted.start_ns, acted.end_ns), (13 * 200 * MS, 22 * 200 * MS));
        assert_eq!(step(&mut stage, job(&profile, 9, false)).0, Status::Gated);
    }

    #[test]
    fn a_camera_that_does_not_ask_for_fights_costs_nothing() {
        let mut stage = Action::new(Box::new(Counts));
        assert_eq!(step(&mut stage, job(&profile(None), 0, true)).0, Status::Gated);
        assert!(stage.cameras.is_empty());
    }

    #[test]
    fn a_lost_signals_snow_is_no_clip_and_what_comes_after_it_is() {
        let (mut stage, always) = (Action::new(Box::new(Counts)), wants_fights());
        let snowy = |seq: u64| {
            let mut job = job(&always, seq, true);
            for (i, frame) in Arc::get_mut(&mut job.window).unwrap().frames.iter_mut().enumerate() {
                // Squares of four pixels, each of a brightness of its own.
                let hash = |n: u64| {
                    let z = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                    (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 40
                };
                let frame_number = seq * 8 + i as u64;
                let grey = |x: u64, y: u64| hash(frame_number | (x / 4) << 20 | (y / 4) << 30) as u8;
                let rgb = (0..32 * 16).flat_map(|at| [grey(at % 32, at / 32); 3]).collect();
                frame.picture = Arc::new(Picture {
                    width: 32,
                    height: 16,
                    rgb,
                });
            }
            job
        };
        for seq in 0..8 {
            assert_eq!(step(&mut stage, snowy(seq)).0, Status::Empty, "{seq}");
        }
        for seq in 8..12 {
            let _ = step(&mut stage, job(&always, seq, true));
        }
        assert_eq!(step(&mut stage, job(&always, 12, true)).0, Status::Ok);
    }

    #[test]
    fn a_clock_that_is_set_back_starts_a_new_clip() {
        let (mut stage, always) = (Action::new(Box::new(Counts)), wants_fights());
        for seq in 4..9 {
            let _ = step(&mut stage, job(&always, seq, true));
        }
        assert_eq!(step(&mut stage, job(&always, 0, true)).0, Status::Empty);
        let _ = step(&mut stage, job(&always, 1, true));
        let acted = step(&mut stage, job(&always, 2, true)).1.unwrap();
        assert_eq!((acted.start_ns, acted.scores[0]), (0, 8.0));
    }

    #[test]
    fn after_an_interruption_no_clip_joins_what_was_before_with_what_is_after() {
        let (mut stage, always) = (Action::new(Box::new(Counts)), wants_fights());
        for seq in 0..6 {
            let _ = step(&mut stage, job(&always, seq, true));
        }
        // The first window after it was shed on the way.
        let mut cut = job(&always, 7, true);
        Arc::get_mut(&mut cut.window).unwrap().stretch = 1;
        assert_eq!(step(&mut stage, cut).0, Status::Empty);
    }
    #[test]
    fn after_a_reload_no_clip_mixes_pictures_of_the_old_view_and_masks_in() {
        let (mut stage, before, after) = (Action::new(Box::new(Counts)), wants_fights(), wants_fights());
        for seq in 0..6 {
            let _ = step(&mut stage, job(&before, seq, true));
        }
        assert_eq!(step(&mut stage, job(&after, 6, true)).0, Status::Empty);
    }
}
