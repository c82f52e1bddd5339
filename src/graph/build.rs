//! The topology.
//!
//! ```text
//! camera ──windows──▶ gate ──┬─▶ vision  ─┐
//!                            ├─▶ action  ─┼─▶ fuse ──verdicts──▶ (store and MQTT, or the replay's writer)
//!                            └─▶ hearing ─┘
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::edge::{Edge, EdgeIn, EdgeMeter, EdgeOut, Policy};
use super::mailbox::{Mailbox, PostOffice};
use super::metrics::{CameraMetrics, Metrics, StageMetrics};
use super::runner::Runner;
use super::watch::{Health, Pulse};
use crate::clock::Clock;
use crate::data::{Branch, CameraId, EndReason, Status, Window};
use crate::stages::{
    Action, BlendFight, CameraProfile, Detect, Fuse, FuseInput, FuseOptions, Gate, Hearing, Input, Job, Listen,
    ReadFaces, ReadVoice, Stage, Verdict, Vision, WatchClips,
};

/// Live drops what it cannot keep up with; replay waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Live,
    Replay,
}

#[derive(Clone, Debug)]
pub struct GraphOptions {
    pub pace: Pace,
    /// Windows in front of a stage that looks at pictures, per camera.
    pub mailbox_depth: usize,
    /// Windows in front of the gate and of the stage that hears, per camera: both are quick, and what a stalled network sends
    /// at once must not cost them a shot. Well under what `fuse` waits for: what waits longer there is computed for nobody.
    pub burst_depth: usize,
    /// How long `fuse` waits for a window's branches.
    pub fuse_deadline: Duration,
}

impl GraphOptions {
    pub fn live() -> Self {
        Self {
            pace: Pace::Live,
            mailbox_depth: 2,
            burst_depth: 4,
            fuse_deadline: Duration::from_secs(3),
        }
    }

    pub fn replay() -> Self {
        Self {
            pace: Pace::Replay,
            ..Self::live()
        }
    }
}

/// The models that the stages ask.
pub struct Models {
    pub detector: Box<dyn Detect>,
    /// None: no camera wants what it finds, and there is no such branch.
    pub action: Option<Box<dyn WatchClips>>,
    /// Joins the embeddings of clips and sounds.
    pub fusion: Option<Box<dyn BlendFight>>,
    pub sound: Box<dyn Listen>,
    /// None: no camera has opted into emotion; else asked only for those that have.
    pub voice: Option<Box<dyn ReadVoice>>,
    pub faces: Option<Box<dyn ReadFaces>>,
}

/// The running graph.
pub struct Graph {
    clock: Arc<dyn Clock>,
    windows: PostOffice<Job>,
    new_routes: Sender<(CameraId, Route)>,
    branches: Vec<(Branch, PostOffice<Job>)>,
    reports: EdgeIn<FuseInput>,
    health: Health,
    threads: Vec<JoinHandle<()>>,
}

/// A camera's way from the gate to the branches.
type Route = Vec<(Branch, Mailbox<Job>)>;

/// Where a camera's windows go in. When it is dropped the camera is gone from the graph.
pub struct CameraInlet {
    windows: Mailbox<Job>,
    branches: Arc<[Branch]>,
    profile: Arc<CameraProfile>,
    metrics: Arc<CameraMetrics>,
    exit: CameraExit,
}

/// Says that a camera's stream is over.
#[derive(Clone)]
pub struct CameraExit {
    camera: CameraId,
    reports: EdgeIn<FuseInput>,
    /// The number after that of the newest window on its way; 0: there was none.
    sent: Arc<AtomicU64>,
}

impl Graph {
    /// Starts the stages. Verdicts come out of the returned edge; it closes when the graph has ended.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(
        options: &GraphOptions,
        models: Models,
        clock: Arc<dyn Clock>,
        metrics: &mut Metrics,
    ) -> std::io::Result<(Self, EdgeOut<Verdict>)> {
        let live = options.pace == Pace::Live;
        let shed_or_wait = if live { Policy::DropOldest } else { Policy::Block };
        let mut edge = |name| EdgeMeter::new(metrics.edges.entry(name).or_default().clone(), clock.clone());
        let (windows, windows_out) = PostOffice::new(options.burst_depth, shed_or_wait, edge("windows"));
        let mut branches = Vec::new();
        let mut branch = |branch: Branch| {
            let metrics = edge(branch.as_str());
            let depth = match branch {
                Branch::Hearing => options.burst_depth,
                Branch::Vision | Branch::Action => options.mailbox_depth,
            };
            let (office, out) = PostOffice::new(depth, shed_or_wait, metrics);
            branches.push((branch, office));
            out
        };
        let vision_out = branch(Branch::Vision);
        let action_out = models.action.map(|model| (model, branch(Branch::Action)));
        let hearing_out = branch(Branch::Hearing);
        let (reports, reports_out) = Edge::bounded(256, Policy::Block, edge("reports"));
        let (verdicts, verdicts_out) = Edge::bounded(64, Policy::Block, edge("verdicts"));
        let (new_routes, routes) = unbounded();

        let mut health = Health::default();
        let mut threads = Vec::new();
        let mut stages = Stages {
            clock: clock.clone(),
            metrics,
            health: &mut health,
        };

        let fan_out = FanOut {
            routes,
            known: HashMap::new(),
            reports: reports.clone(),
            clock: clock.clone(),
        };
        let to_fuse = |reports: EdgeIn<FuseInput>| {
            move |report| {
                let _ = reports.push(FuseInput::Report(report));
            }
        };
        let deadline_ns = live.then_some(options.fuse_deadline.as_nanos() as u64);
        threads.push(stages.spawn("gate", Gate::default(), windows_out, fan_out.into_sink())?);
        threads.push(stages.spawn(
            "vision",
            Vision::new(models.detector, models.faces),
            vision_out,
            to_fuse(reports.clone()),
        )?);
        if let Some((model, action_out)) = action_out {
            let to_fuse = to_fuse(reports.clone());
            threads.push(stages.spawn("action", Action::new(model), action_out, to_fuse)?);
        }
        threads.push(stages.spawn(
            "hearing",
            Hearing::new(models.sound, models.voice),
            hearing_out,
            to_fuse(reports.clone()),
        )?);
        threads.push(stages.spawn(
            "fuse",
            Fuse::new(
                FuseOptions {
                    branches: branches.iter().map(|b| b.0).collect(),
                    deadline_ns,
                },
                models.fusion,
            ),
            reports_out,
            move |verdict| {
                let _ = verdicts.push(verdict);
            },
        )?);
        Ok((
            Self {
                clock,
                windows,
                new_routes,
                branches,
                reports,
                health,
                threads,
            },
            verdicts_out,
        ))
    }

    /// Connects a camera.
    pub fn camera(&self, camera: CameraId, profile: CameraProfile, metrics: Arc<CameraMetrics>) -> CameraInlet {
        let route = self.branches.iter().map(|(b, office)| (*b, office.mailbox())).collect();
        // The gate's thread holds the routes; it is gone only when the graph is.
        let _ = self.new_routes.send((camera.clone(), route));
        CameraInlet {
            windows: self.windows.mailbox(),
            branches: self.branches.iter().map(|b| b.0).collect(),
            profile: Arc::new(profile),
            metrics,
            exit: CameraExit {
                camera,
                reports: self.reports.clone(),
                sent: Arc::default(),
            },
        }
    }

    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Ordered stop: the inlets must be gone; each stage ends when its inputs close. Names whoever still runs at
    /// the deadline.
    ///
    /// # Errors
    /// The stages that did not end in time.
    pub fn stop(self, deadline: Duration) -> Result<(), Vec<&'static str>> {
        let Self {
            clock,
            windows,
            new_routes,
            branches,
            reports,
            health,
            threads,
        } = self;
        drop((windows, new_routes, branches, reports));
        let until_ns = clock.monotonic_ns() + deadline.as_nanos() as u64;
        let (done, all_joined) = crossbeam_channel::bounded::<()>(0);
        let joiner = std::thread::Builder::new().name("wf-join".into()).spawn(move || {
            for thread in threads {
                let _ = thread.join();
            }
            drop(done);
        });
        let left = Duration::from_nanos(until_ns.saturating_sub(clock.monotonic_ns()));
        match (joiner, all_joined.recv_timeout(left)) {
            (Ok(_), Err(crossbeam_channel::RecvTimeoutError::Disconnected)) => Ok(()),
            _ => Err(health.running()),
        }
    }
}

impl CameraInlet {
    /// Sends a window on its way. Under load the oldest waiting window of this camera goes instead, and is counted.
    pub fn push(&self, window: Window) {
        self.exit.sent.store(window.seq + 1, Relaxed);
        self.metrics.windows.fetch_add(1, Relaxed);
        self.metrics.frames.fetch_add(window.frames.len() as u64, Relaxed);
        self.metrics
            .stream_ms
            .fetch_add((window.end_ns - window.start_ns) / 1_000_000, Relaxed);
        let job = Job::new(window, self.profile.clone());
        if self.windows.push(job).is_some() {
            // Nobody was told of that window yet: it is shed for every branch, here.
            for branch in &*self.branches {
                self.metrics.report(*branch, Status::Shed);
            }
        }
    }

    /// The stream is over for now: open alerts end with this reason.
    pub fn over(&self, reason: EndReason) {
        self.exit.over(reason);
    }

    /// For whoever ends the camera when this inlet is gone.
    pub fn exit(&self) -> CameraExit {
        self.exit.clone()
    }
}

impl CameraExit {
    /// The stream is over: open alerts end with this reason once the windows on their way are judged.
    pub fn over(&self, reason: EndReason) {
        let _ = self.reports.push(FuseInput::Over {
            camera: self.camera.clone(),
            reason,
            after: self.sent.load(Relaxed).checked_sub(1),
        });
    }
}

/// Starts stages with their runner, metrics and pulse.
struct Stages<'a> {
    clock: Arc<dyn Clock>,
    metrics: &'a mut Metrics,
    health: &'a mut Health,
}

impl Stages<'_> {
    fn spawn<S: Stage + 'static>(
        &mut self,
        name: &'static str,
        stage: S,
        intake: impl super::runner::Intake<S::In>,
        sink: impl FnMut(S::Out) + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        let metrics: Arc<StageMetrics> = self.metrics.stages.entry(name).or_default().clone();
        let pulse = Arc::new(Pulse::default());
        self.health.pulses.push((name, pulse.clone()));
        let runner = Runner {
            name,
            clock: self.clock.clone(),
            metrics,
            pulse,
            health: self.health.clone(),
        };
        runner.spawn(stage, intake, sink)
    }
}

/// Behind the gate: tells `fuse` to expect the window, then hands it to the branches, and answers for what they shed.
struct FanOut {
    routes: Receiver<(CameraId, Route)>,
    known: HashMap<CameraId, Route>,
    reports: EdgeIn<FuseInput>,
    clock: Arc<dyn Clock>,
}

impl FanOut {
    fn into_sink(mut self) -> impl FnMut(Job) + Send + 'static {
        move |job| self.send(job)
    }

    fn send(&mut self, job: Job) {
        while let Ok((camera, route)) = self.routes.try_recv() {
            self.known.insert(camera, route);
        }
        let Some(route) = self.known.get(job.camera()) else {
            return;
        };
        let _ = self
            .reports
            .push(FuseInput::Expect(job.clone(), self.clock.monotonic_ns()));
        for (branch, mailbox) in route {
            // A window without a picture must not take the place of one that has: cameras may give one a second. The last one of a
            // stretch has vision tell what it kept to itself.
            let tells_all = *branch == Branch::Vision && job.window.breaks_off;
            if *branch != Branch::Hearing && job.window.frames.is_empty() && !tells_all {
                let empty = job.bare(*branch, Status::Empty);
                let _ = self.reports.push(FuseInput::Report(empty));
                continue;
            }
            if let Some(evicted) = mailbox.push(job.clone()) {
                let shed = evicted.bare(*branch, Status::Shed);
                let _ = self.reports.push(FuseInput::Report(shed));
            }
        }
    }
}
