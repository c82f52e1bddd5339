use std::sync::Arc;

use super::evidence::named;
use super::{BBox, CameraId, Direction, Distribution, Kind, Modality, Severity};
use std::fmt;
use std::str::FromStr;

named! {
    Phase { Start = "start", Update = "update", End = "end" }
}

named! {
    /// Why an alert ended.
    EndReason {
        Cleared = "cleared",
        CameraLost = "camera_lost",
        Reload = "reload",
        Restart = "restart",
        Shutdown = "shutdown",
        Eof = "eof",
    }
}

/// A track as an alert names it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertTrack {
    pub id: u64,
    pub class: Arc<str>,
    pub score: f32,
    pub bbox: BBox,
}

/// Evidence with its share of the decision.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceItem {
    pub modality: Modality,
    pub model: Arc<str>,
    pub label: Arc<str>,
    pub score: f32,
    pub contribution: f32,
    /// |contribution| / Σ|contribution|, 0 to 1.
    pub share: f32,
    pub at_utc_ns: i64,
}

/// One message of an alert's life, as it stands after `seq` changes. The wire form is `publish::payload::AlertPayload`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// ULID; derives from camera, kind, start and a counter.
    pub id: String,
    pub seq: u32,
    pub phase: Phase,
    pub camera: CameraId,
    pub kind: Kind,
    pub severity: Severity,
    /// Before any evidence.
    pub prior: f32,
    pub score: f32,
    pub started_utc_ns: i64,
    pub updated_utc_ns: i64,
    pub ended_utc_ns: Option<i64>,
    pub end_reason: Option<EndReason>,
    pub zone: Option<Arc<str>>,
    pub direction: Option<Direction>,
    pub tracks: Vec<AlertTrack>,
    /// What the faces of its tracks seemed to express, where the camera has opted in.
    pub emotion: Option<Distribution>,
    pub evidence: Vec<EvidenceItem>,
    /// 0, or how many alerts this one stands for: what is more than `max_per_hour` of a kind in a zone is told as one.
    pub suppressed: u32,
    /// File name below the store's snapshot folder, or the snapshot topic.
    pub snapshot: Option<String>,
}
