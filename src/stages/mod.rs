//! The stages of the graph, one small file each: synchronous structs that own their state and have no thread, no
//! channel, no clock and no lock. `graph::runner` gives them all of that.

mod action;
mod blend;
mod faces;
mod fuse;
mod gate;
mod hearing;
mod held;
mod join;
mod models;
mod vision;
mod voice;

use std::sync::Arc;

pub use action::{Action, ClipScores, ClipShape, WatchClips};
pub use blend::BlendFight;
pub use faces::{FaceReading, ReadFaces};
pub use fuse::{Fuse, FuseInput, FuseOptions, Verdict};
pub use gate::Gate;
pub use hearing::{Hearing, Listen, SoundScores};
pub use models::FaceModels;
pub use vision::{Detect, Vision};
pub use voice::{ReadVoice, VoiceReading};

use crate::behaviour::BehaviourOptions;
use crate::cells::Cells;
use crate::data::{Branch, CameraId, PictureStats, Report, Snapshots, Status, Window};
use crate::error::StageError;
use crate::policy::PolicyOptions;

/// What a camera wants of the stages. A reload hands out a new one, and the stages rebuild what hangs on it.
#[derive(Debug, Default)]
pub struct CameraProfile {
    /// Classes that are tracked; others are dropped after the detector.
    pub detect: Vec<Arc<str>>,
    pub gating: Gating,
    pub noise_reduction: NoiseReduction,
    pub audio_gain: AudioGain,
    pub behaviour: BehaviourOptions,
    pub policy: PolicyOptions,
    pub snapshots: Snapshots,
    /// What the camera's behaviour learned before, from the store.
    pub learned: Option<Arc<str>>,
    /// A digest of where the pictures come from: what stood in another view does not stand in this one.
    pub view: Arc<str>,
    /// What faces and voices express is read: only where the operator has opted in.
    pub emotion: bool,
    /// Which recording this is; None: a live stream. Its alerts' ids derive from it.
    pub recording: Option<Arc<str>>,
}

/// What is computed of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Gating {
    /// The detector looks at every window.
    #[default]
    Always,
    /// It looks while something moves or is loud, and now and then.
    Motion,
    /// Nothing ever sleeps, not even the clip model: what the others are measured against (`replay --gating`).
    Never,
}

/// What is done about noise in the pictures before the detector looks at them. Nobody else sees these pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NoiseReduction {
    /// As much as the frames themselves show: none by day.
    #[default]
    Auto,
    Off,
}

/// What is done about sound that is very quiet before the sound model listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AudioGain {
    #[default]
    Off,
    /// It is raised to a level that the model knows.
    Auto,
}

/// Whose work a window is worth. The clip model sleeps while nothing moves, whatever the camera's gating; hearing never
/// sleeps: it costs little, and what matters may be quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awake {
    pub vision: bool,
    pub action: bool,
}

impl Awake {
    pub const ALL: Self = Self {
        vision: true,
        action: true,
    };
}

/// A window on its way, with its camera's wishes.
#[derive(Clone, Debug)]
pub struct Job {
    pub window: Arc<Window>,
    pub profile: Arc<CameraProfile>,
    /// What its last picture looks like, where the camera watches for tampering. The gate fills it in, so that it is
    /// known also when vision sheds the window.
    pub look: Option<Arc<PictureStats>>,
    /// The same picture in cells, where the camera watches for what is left or taken.
    pub cells: Option<Arc<Cells>>,
    /// The gate's word on it.
    pub awake: Awake,
    /// Part of the picture that moves, 0 to 1, as the gate measured it.
    pub moving: Option<f32>,
}

impl Job {
    /// Before the gate has seen it: everybody is awake.
    pub fn new(window: Window, profile: Arc<CameraProfile>) -> Self {
        Self {
            window: Arc::new(window),
            profile,
            look: None,
            cells: None,
            awake: Awake::ALL,
            moving: None,
        }
    }

    /// The answer of a branch that has nothing to say of the window.
    pub(crate) fn bare(&self, branch: Branch, status: Status) -> Report {
        Report::bare(self.camera().clone(), self.window.seq, branch, status)
    }
}

/// What a stage takes: something of one camera.
pub trait Input: Clone + Send {
    fn camera(&self) -> &CameraId;
}

impl Input for Job {
    fn camera(&self) -> &CameraId {
        &self.window.camera
    }
}

/// One step of the graph.
pub trait Stage: Send {
    type In: Input;
    type Out: Send;

    /// Works on one input and pushes what comes of it to `out`.
    ///
    /// # Errors
    /// The input could not be computed; the runner then sends what [`Stage::failed`] says instead.
    fn process(&mut self, input: Self::In, out: &mut Vec<Self::Out>) -> Result<(), StageError>;

    /// What stands for an input that failed, so that fan-in never stalls (invariant 1).
    fn failed(input: &Self::In) -> Vec<Self::Out>;

    /// After a panic on `input`: forget the state of its camera, and of no other.
    fn recover(&mut self, _input: &Self::In) {}

    /// After a panic in [`Stage::tick`] or [`Stage::finish`].
    fn recover_between(&mut self) {}

    /// Called while idle and between inputs, with the host's monotonic time.
    fn tick(&mut self, _now_ns: u64, _out: &mut Vec<Self::Out>) {}

    /// The inputs have closed: the last words.
    fn finish(&mut self, _out: &mut Vec<Self::Out>) {}
}

#[cfg(test)]
mod gating_tests;
