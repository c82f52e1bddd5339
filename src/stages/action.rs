//! Frames → clips of a few seconds → what is being done in them. A ring of small pictures a camera, so that a clip that
//! is asked for when something begins to move starts before it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::vision::failed_reports;
use super::{ActionGate, CameraId, Job, Stage};
use crate::data::{ActionReport, Branch, Picture, Report, ReportBody, Status};
use crate::error::StageError;

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
    cameras: HashMap<CameraId, Ring>,
}

/// The last pictures of a camera, and whether something moves in them.
#[derive(Default)]
struct Ring {
    frames: VecDeque<(u64, Picture)>,
    moved_ns: Option<u64>,
}

/// Grey levels by which a cell of 8×8 pixels of the small picture must change, to count as moving.
const MOVING_LEVELS: f32 = 6.0;
/// Cells that must move at once; fewer are noise.
const MOVING_CELLS: usize = 2;
const CELL: usize = 8;
/// The model goes on looking for so long after the last motion.
const STAY_AWAKE_NS: u64 = 2_000_000_000;
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
        if job.profile.action == ActionGate::Off {
            self.cameras.remove(&window.camera);
            return Some(Status::Gated);
        }
        let shape = self.model.shape();
        let ring = self.cameras.entry(window.camera.clone()).or_default();
        if window.discontinuity {
            *ring = Ring::default();
        }
        for frame in &window.frames {
            // The next recording, or a clock that was set back: what was before is of another time.
            if ring.frames.back().is_some_and(|(last_ns, _)| frame.pts_ns <= *last_ns) {
                *ring = Ring::default();
            }
            let small = self.model.shrink(&frame.picture);
            if ring.frames.back().is_some_and(|(_, last)| moves(last, &small)) {
                ring.moved_ns = Some(frame.pts_ns);
            }
            ring.frames.push_back((frame.pts_ns, small));
        }
        let (Some((end_ns, _)), false) = (ring.frames.back(), window.frames.is_empty()) else {
            return Some(Status::Empty);
        };
        let end_ns = *end_ns;
        while ring
            .frames
            .front()
            .is_some_and(|(at_ns, _)| at_ns + shape.span_ns <= end_ns)
        {
            ring.frames.pop_front();
        }
        let spanned_ns = end_ns.saturating_sub(ring.frames.front().map_or(end_ns, |f| f.0));
        if ring.frames.len() < shape.frames / 2 || (spanned_ns as f64) < WHOLE * shape.span_ns as f64 {
            return Some(Status::Empty);
        }
        let awake = ring
            .moved_ns
            .is_some_and(|moved| end_ns.saturating_sub(moved) <= STAY_AWAKE_NS);
        (job.profile.action == ActionGate::Motion && !awake).then_some(Status::Gated)
    }

    fn look(&mut self, job: &Job) -> Result<Report, StageError> {
        let frames = self.cameras.get(job.camera()).map(|r| &r.frames);
        let (Some(first), Some(last)) = (frames.and_then(|f| f.front()), frames.and_then(|f| f.back())) else {
            return Err(StageError::Input("there are no frames".into()));
        };
        let clip = frames.into_iter().flatten().map(|(_, p)| p).collect();
        let scored = self.model.classify(&[clip]).map_err(StageError::Model)?.pop();
        let scored = scored.ok_or_else(|| StageError::Model("no answer to the clip".into()))?;
        Ok(Report {
            body: ReportBody::Action(ActionReport {
                start_ns: first.0,
                end_ns: last.0,
                scores: scored.scores,
                labels: self.model.labels(),
                model: self.model.id(),
            }),
            embedding: Some(scored.embedding),
            ..Report::bare(job.camera().clone(), job.window.seq, Branch::Action, Status::Ok)
        })
    }
}

/// Whether enough cells of two small pictures differ by more than noise and compression do.
fn moves(a: &Picture, b: &Picture) -> bool {
    if (a.width, a.height) != (b.width, b.height) {
        return true;
    }
    let (w, h) = (a.width as usize, a.height as usize);
    let cell = |x0: usize, y0: usize| {
        let (mut sum, mut n) = (0i32, 0);
        for y in y0..(y0 + CELL).min(h) {
            let row = (y * w + x0) * 3..(y * w + (x0 + CELL).min(w)) * 3;
            for (p, q) in a.rgb[row.clone()].iter().zip(&b.rgb[row]) {
                sum += (i32::from(*p) - i32::from(*q)).abs();
                n += 1;
            }
        }
        sum as f32 / n.max(1) as f32
    };
    let cells = (0..h)
        .step_by(CELL)
        .flat_map(|y| (0..w).step_by(CELL).map(move |x| (x, y)));
    cells
        .filter(|(x, y)| cell(*x, *y) > MOVING_LEVELS)
        .take(MOVING_CELLS)
        .count()
        == MOVING_CELLS
}

impl Stage for Action {
    type In = Vec<Job>;
    type Out = Report;

    fn process(&mut self, jobs: Vec<Job>, out: &mut Vec<Report>) -> Result<(), StageError> {
        // One after the other: two windows of one camera may be in a batch, and each has its own clip.
        for job in &jobs {
            if let Some(status) = self.take(job) {
                out.push(Report::bare(
                    job.camera().clone(),
                    job.window.seq,
                    Branch::Action,
                    status,
                ));
                continue;
            }
            match self.look(job) {
                Ok(report) => out.push(report),
                Err(error) => {
                    tracing::warn!(camera = %job.camera(), seq = job.window.seq, %error, "the clip model failed on a window");
                    out.extend(failed_reports(std::slice::from_ref(job), Branch::Action));
                }
            }
        }
        Ok(())
    }

    fn failed(jobs: &Vec<Job>) -> Vec<Report> {
        failed_reports(jobs, Branch::Action)
    }

    fn recover(&mut self, jobs: &Vec<Job>) {
        for job in jobs {
            self.cameras.remove(job.camera());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::BehaviourOptions;
    use crate::data::{AudioState, Frame, Snapshots, Window};
    use crate::policy::PolicyOptions;
    use crate::stages::CameraProfile;

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

    fn profile(action: ActionGate) -> Arc<CameraProfile> {
        Arc::new(CameraProfile {
            detect: vec![],
            action,
            behaviour: BehaviourOptions::default(),
            policy: PolicyOptions::default(),
            snapshots: Snapshots::Off,
            learned: None,
            emotion: false,
        })
    }

    /// Half a second at five frames a second; each frame as bright as `grey` says of its number.
    fn job(profile: &Arc<CameraProfile>, seq: u64, grey: impl Fn(u64) -> u8) -> Job {
        let (start_ns, end_ns) = (seq * 500 * MS, (seq + 1) * 500 * MS);
        let frames = (start_ns.div_ceil(200 * MS)..end_ns.div_ceil(200 * MS)).map(|i| Frame {
            pts_ns: i * 200 * MS,
            picture: Arc::new(Picture {
                width: 32,
                height: 16,
                rgb: vec![grey(i); 32 * 16 * 3],
            }),
            native: None,
        });
        Job {
            window: Arc::new(Window {
                camera: CameraId::new("yard"),
                seq,
                start_ns,
                end_ns,
                frames: frames.collect(),
                audio: vec![],
                audio_state: AudioState::None,
                utc_offset_ns: 0,
                arrived_ns: 0,
                discontinuity: false,
            }),
            profile: profile.clone(),
            look: None,
        }
    }

    fn step(stage: &mut Action, job: Job) -> (Status, Option<ActionReport>) {
        let mut out = Vec::new();
        stage.process(vec![job], &mut out).unwrap();
        assert_eq!(out.len(), 1, "one report a window");
        let report = out.remove(0);
        let acted = match report.body {
            ReportBody::Action(acted) => Some(acted),
            _ => None,
        };
        (report.status, acted)
    }

    #[test]
    fn nothing_is_looked_at_while_nothing_moves_and_the_first_clip_holds_what_came_before() {
        let (mut stage, profile) = (Action::new(Box::new(Counts)), profile(ActionGate::Motion));
        let still = |_| 100;
        for seq in 0..2 {
            assert_eq!(
                step(&mut stage, job(&profile, seq, still)).0,
                Status::Empty,
                "no whole clip yet"
            );
        }
        for seq in 2..8 {
            assert_eq!(step(&mut stage, job(&profile, seq, still)).0, Status::Gated);
        }
        // Frames 20 to 22: the last one is the first that moves.
        let (status, acted) = step(&mut stage, job(&profile, 8, |i| if i == 22 { 160 } else { 100 }));
        let acted = acted.unwrap();
        assert_eq!((status, acted.scores[0]), (Status::Ok, 10.0));
        assert_eq!((acted.start_ns, acted.end_ns), (13 * 200 * MS, 22 * 200 * MS));
        // Awake for two seconds more, then asleep.
        let later: Vec<Status> = (9..16)
            .map(|seq| step(&mut stage, job(&profile, seq, still)).0)
            .collect();
        assert_eq!(later.iter().filter(|s| **s == Status::Ok).count(), 4, "{later:?}");
        assert_eq!(later[6], Status::Gated);
    }

    #[test]
    fn a_camera_that_does_not_ask_costs_nothing_and_one_that_always_asks_is_never_gated() {
        let mut stage = Action::new(Box::new(Counts));
        let off = profile(ActionGate::Off);
        assert_eq!(step(&mut stage, job(&off, 0, |_| 0)).0, Status::Gated);
        assert!(stage.cameras.is_empty());
        let always = profile(ActionGate::Always);
        let statuses: Vec<Status> = (0..5).map(|seq| step(&mut stage, job(&always, seq, |_| 0)).0).collect();
        assert_eq!(statuses[3..], [Status::Ok, Status::Ok]);
    }

    #[test]
    fn a_clock_that_is_set_back_starts_a_new_clip() {
        let (mut stage, always) = (Action::new(Box::new(Counts)), profile(ActionGate::Always));
        for seq in 4..9 {
            let _ = step(&mut stage, job(&always, seq, |_| 0));
        }
        assert_eq!(step(&mut stage, job(&always, 0, |_| 0)).0, Status::Empty);
        let _ = step(&mut stage, job(&always, 1, |_| 0));
        let acted = step(&mut stage, job(&always, 2, |_| 0)).1.unwrap();
        assert_eq!((acted.start_ns, acted.scores[0]), (0, 8.0));
    }

    #[test]
    fn after_an_interruption_no_clip_joins_what_was_before_with_what_is_after() {
        let (mut stage, always) = (Action::new(Box::new(Counts)), profile(ActionGate::Always));
        for seq in 0..6 {
            let _ = step(&mut stage, job(&always, seq, |_| 0));
        }
        let mut cut = job(&always, 6, |_| 0);
        Arc::get_mut(&mut cut.window).unwrap().discontinuity = true;
        assert_eq!(step(&mut stage, cut).0, Status::Empty);
    }
}
