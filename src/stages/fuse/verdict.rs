//! What came of a window, in one piece.

use std::sync::Arc;

use crate::data::{
    ActionReport, Alert, CameraId, Emotion, Finding, HearingReport, Kind, Reports, Snapshots, Status, VisionReport,
    Window,
};
use crate::fusion::Blend;

/// What came of a window.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub camera: CameraId,
    /// None when alerts end without a window (camera lost, shutdown).
    pub window: Option<Arc<Window>>,
    pub reports: Reports,
    /// What the window held, before an alert's life was made of it.
    pub findings: Vec<Finding>,
    pub alerts: Vec<Alert>,
    pub snapshots: Snapshots,
    /// What the camera's behaviour has learned, now and then, to be kept.
    pub learned: Option<Arc<str>>,
    /// Only of cameras that have opted in.
    pub emotion: Option<Emotion>,
    /// What the learned fusion made of the window's clip, whether that was a finding or not.
    pub blend: Option<Blend>,
    /// How sure the kinds are that weigh several senses, whether that was a finding or not.
    pub judged: Vec<(Kind, f32)>,
    /// Part of the picture that moves, 0 to 1, where it was measured.
    pub moving: Option<f32>,
}

impl Verdict {
    /// One that says nothing.
    pub fn bare(camera: CameraId) -> Self {
        Self {
            camera,
            window: None,
            reports: Reports::default(),
            findings: Vec::new(),
            alerts: Vec::new(),
            snapshots: Snapshots::Off,
            learned: None,
            emotion: None,
            blend: None,
            judged: Vec::new(),
            moving: None,
        }
    }

    /// A branch could not compute the window.
    pub fn has_failed(&self) -> bool {
        self.reports.iter().any(|r| r.status == Status::Failed)
    }

    pub fn seen(&self) -> Option<&VisionReport> {
        self.reports.seen()
    }

    pub fn acted(&self) -> Option<&ActionReport> {
        self.reports.acted()
    }

    pub fn heard(&self) -> Option<&HearingReport> {
        self.reports.heard()
    }
}
