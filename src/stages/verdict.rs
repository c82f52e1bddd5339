//! What leaves the graph.

use std::sync::Arc;

use super::CameraId;
use crate::data::{Alert, Emotion, HearingReport, Report, ReportBody, Snapshots, Status, VisionReport, Window};

/// What came of a window.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub camera: CameraId,
    /// None when alerts end without a window (camera lost, shutdown).
    pub window: Option<Arc<Window>>,
    pub vision: Option<Report>,
    pub hearing: Option<Report>,
    pub alerts: Vec<Alert>,
    pub snapshots: Snapshots,
    /// Only of cameras that have opted in.
    pub emotion: Option<Emotion>,
}

impl Verdict {
    /// A branch could not compute the window.
    pub fn has_failed(&self) -> bool {
        let mut reports = [&self.vision, &self.hearing].into_iter().flatten();
        reports.any(|r| r.status == Status::Failed)
    }

    pub fn seen(&self) -> Option<&VisionReport> {
        match &self.vision.as_ref()?.body {
            ReportBody::Vision(seen) => Some(seen),
            _ => None,
        }
    }

    pub fn heard(&self) -> Option<&HearingReport> {
        match &self.hearing.as_ref()?.body {
            ReportBody::Hearing(heard) => Some(heard),
            _ => None,
        }
    }
}
