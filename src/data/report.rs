use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::evidence::named;
use super::{Affect, BBox, CameraId, Track};

named! {
    /// The branches of the graph.
    Branch { Vision = "vision", Action = "action", Hearing = "hearing" }
}

/// How a branch fared with a window. Exactly one report a window a branch, whatever happens (invariant 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Computed.
    Ok,
    /// Nothing to compute: a window without frames or without sound.
    Empty,
    /// The gate judged the window not worth computing.
    Gated,
    /// Evicted under load before it was computed.
    Shed,
    /// Missed the deadline of `fuse`.
    Late,
    /// The stage failed or panicked on it.
    Failed,
}

/// A branch's learned summary of a window, for the learned fusion.
pub type Embedding = Arc<[f32]>;

/// A branch's answer to one window.
#[derive(Clone, Debug)]
pub struct Report {
    pub camera: CameraId,
    pub seq: u64,
    pub branch: Branch,
    pub status: Status,
    pub body: ReportBody,
    pub embedding: Option<Embedding>,
}

impl Report {
    /// A report with a status and nothing to say.
    pub fn bare(camera: CameraId, seq: u64, branch: Branch, status: Status) -> Self {
        Self {
            camera,
            seq,
            branch,
            status,
            body: ReportBody::None,
            embedding: None,
        }
    }
}

#[derive(Clone, Debug)]
pub enum ReportBody {
    None,
    Vision(VisionReport),
    Action(ActionReport),
    Hearing(HearingReport),
}

/// What became of one window: one place a branch.
#[derive(Clone, Debug, Default)]
pub struct Reports([Option<Report>; Branch::ALL.len()]);

impl Reports {
    pub fn put(&mut self, report: Report) {
        let place = report.branch as usize;
        self.0[place] = Some(report);
    }

    pub fn get(&self, branch: Branch) -> Option<&Report> {
        self.0[branch as usize].as_ref()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Report> {
        self.0.iter().flatten()
    }

    pub fn is_gated(&self, branch: Branch) -> bool {
        self.get(branch).is_some_and(|report| report.status == Status::Gated)
    }

    pub fn seen(&self) -> Option<&VisionReport> {
        match &self.get(Branch::Vision)?.body {
            ReportBody::Vision(seen) => Some(seen),
            _ => None,
        }
    }

    pub fn acted(&self) -> Option<&ActionReport> {
        match &self.get(Branch::Action)?.body {
            ReportBody::Action(acted) => Some(acted),
            _ => None,
        }
    }

    pub fn heard(&self) -> Option<&HearingReport> {
        match &self.get(Branch::Hearing)?.body {
            ReportBody::Hearing(heard) => Some(heard),
            _ => None,
        }
    }

    /// What was heard during the clip. None too when the two lie further apart than [`MAX_SKEW_NS`].
    pub fn heard_beside_clip(&self) -> Option<&HearingReport> {
        self.heard().filter(|_| !self.are_skewed())
    }

    /// Clip and sounds of the window are no pair: they lie further apart than [`MAX_SKEW_NS`].
    pub fn are_skewed(&self) -> bool {
        let (Some(clip), Some(heard)) = (self.acted(), self.heard()) else {
            return false;
        };
        let (Some(first), Some(last)) = (heard.patches.first(), heard.patches.last()) else {
            return false;
        };
        first.start_ns > clip.end_ns + MAX_SKEW_NS || last.end_ns + MAX_SKEW_NS < clip.start_ns
    }
}

/// Sound that begins so long after a clip, or ends so long before it, is not joined with it.
pub const MAX_SKEW_NS: u64 = 500_000_000;

/// What vision saw: the tracks as they stood at each frame of the window, in time order.
#[derive(Clone, Debug)]
pub struct VisionReport {
    pub frames: Vec<TrackedFrame>,
    /// Width of the picture over its height: what turns fractions of the width into those of the height.
    pub aspect: f32,
    /// `name@version` of the detector.
    pub model: Arc<str>,
    /// Only of cameras that have opted in, and only of windows with a native-size picture.
    pub faces: Option<FaceReport>,
}

/// What the faces of a window seem to express.
#[derive(Clone, Debug)]
pub struct FaceReport {
    /// Time of the picture that they were read in.
    pub at_ns: u64,
    /// Labels of `TrackFace::scores`, in order.
    pub labels: Arc<[Arc<str>]>,
    /// `name@version` of the model.
    pub model: Arc<str>,
    /// The tracks whose face was read in this window.
    pub tracks: Vec<TrackFace>,
}

/// A track's face: probabilities by label pooled over the pictures in which it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackFace {
    pub track: u64,
    /// Where the face is in this window's picture.
    pub bbox: BBox,
    /// How much the face shows, 0 to 1: size, sharpness, frontal or not.
    pub quality: f32,
    /// They sum to 1.
    pub scores: Vec<f32>,
    /// Pictures that were pooled so far.
    pub pictures: u32,
}

#[derive(Clone, Debug)]
pub struct TrackedFrame {
    pub pts_ns: u64,
    pub tracks: Vec<Track>,
}

/// What the clip model made of the frames that end with the window.
#[derive(Clone, Debug, Default)]
pub struct ActionReport {
    /// Times of the clip's first and last frame.
    pub start_ns: u64,
    pub end_ns: u64,
    /// Probabilities by label, 0 to 1.
    pub scores: Vec<f32>,
    pub labels: Arc<[Arc<str>]>,
    /// `name@version` of the clip model.
    pub model: Arc<str>,
}

impl ActionReport {
    /// Labels with their scores but for the last, which is what the clip model says else.
    pub fn told(&self) -> impl Iterator<Item = (&Arc<str>, f32)> {
        let told = self.labels.len().saturating_sub(1).max(1);
        self.labels.iter().zip(self.scores.iter().copied()).take(told)
    }
}

/// What hearing heard: the patches whose end fell into the window, in time order.
#[derive(Clone, Debug, Default)]
pub struct HearingReport {
    pub patches: Vec<SoundPatch>,
    /// Labels of `SoundPatch::scores`, in order: the sound model's, then those of rules.
    pub labels: Arc<[Arc<str>]>,
    /// Labels that a rule gives, with the name of the rule.
    pub rules: Arc<[(Arc<str>, Arc<str>)]>,
    /// Loudness of the window in dBFS (RMS; -120 for digital silence).
    pub level_dbfs: f32,
    /// `name@version` of the sound model.
    pub model: Arc<str>,
    /// What a voice seems to express; only of cameras that have opted in, and only where somebody spoke.
    pub speech_emotion: Option<SpeechEmotion>,
}

impl HearingReport {
    /// What gives the score of a label: the sound model, or a rule beside it.
    pub fn source(&self, label: &str) -> Arc<str> {
        let rule = self.rules.iter().find(|(l, _)| &**l == label);
        rule.map_or_else(|| self.model.clone(), |(_, model)| model.clone())
    }
}

/// What a voice seems to express in a stretch of speech.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechEmotion {
    pub start_ns: u64,
    pub end_ns: u64,
    /// Labels of `probabilities`, in order.
    pub labels: Arc<[Arc<str>]>,
    /// They sum to 1.
    pub probabilities: Vec<f32>,
    pub affect: Affect,
    /// `name@version` of the model.
    pub model: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct SoundPatch {
    pub start_ns: u64,
    pub end_ns: u64,
    /// By label, 0 to 1: independent probabilities, and the strength of rules.
    pub scores: Vec<f32>,
    pub level_dbfs: f32,
}
