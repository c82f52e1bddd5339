//! Floor 0: the types that travel through the house. Types only: no clock, no I/O, no tensor.

mod alert;
mod emotion;
mod evidence;
mod ids;
mod media;
mod report;
mod secret;
mod status;

pub use alert::{Alert, AlertTrack, EndReason, EvidenceItem, Phase};
pub use emotion::{Affect, Distribution, Emotion};
pub use evidence::{Direction, Evidence, Finding, Kind, Modality, Severity};
pub use ids::CameraId;
pub use media::{
    AudioChunk, AudioState, BBox, Detection, Face, Frame, LOOK_CELLS, LookCell, NS_PER_SAMPLE, Picture, PictureStats,
    Point, SAMPLE_RATE_HZ, Stretch, Track, Window,
};
pub use report::{
    ActionReport, Branch, Embedding, FaceReport, HearingReport, MAX_SKEW_NS, Report, ReportBody, Reports, SoundPatch,
    SpeechEmotion, Status, TrackFace, TrackedFrame, VisionReport,
};
pub use secret::{Redactor, Secret};
pub use status::{AudioInfo, CameraState, CameraStatus, Snapshots, StateReason, VideoInfo};
