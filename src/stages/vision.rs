//! Frames → detections → tracks.

use std::collections::HashMap;
use std::sync::Arc;

use super::{CameraId, CameraProfile, Job, Stage};
use crate::data::{Branch, Detection, Picture, Report, ReportBody, Status, TrackedFrame, VisionReport};
use crate::error::StageError;
use crate::tracking::{Tracker, TrackerOptions};

/// A detector as this stage needs it. `nn::Detector` is one; tests bring their own.
pub trait Detect: Send {
    /// `name@version`
    fn id(&self) -> Arc<str>;
    fn labels(&self) -> Arc<[Arc<str>]>;
    /// One list a picture, in order.
    ///
    /// # Errors
    /// A sentence saying what failed.
    fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String>;
}

/// Turns a window's frames into tracked objects. One report a window, also when nothing was seen.
pub struct Vision {
    detector: Box<dyn Detect>,
    cameras: HashMap<CameraId, CameraTracks>,
}

struct CameraTracks {
    tracker: Tracker,
    profile: Arc<CameraProfile>,
}

impl Vision {
    pub fn new(detector: Box<dyn Detect>) -> Self {
        Self {
            detector,
            cameras: HashMap::new(),
        }
    }

    fn report(&mut self, job: &Job, found: Vec<Vec<Detection>>) -> Report {
        let window = &job.window;
        let labels = self.detector.labels();
        let state = self
            .cameras
            .entry(window.camera.clone())
            .or_insert_with(|| CameraTracks {
                tracker: Tracker::new(TrackerOptions::default()),
                profile: job.profile.clone(),
            });
        if !Arc::ptr_eq(&state.profile, &job.profile) {
            state.tracker = Tracker::new(TrackerOptions::default());
            state.profile = job.profile.clone();
        } else if window.discontinuity {
            state.tracker.reset();
        }
        if window.frames.is_empty() {
            return Report::bare(window.camera.clone(), window.seq, Branch::Vision, Status::Empty);
        }
        let aspect = window
            .frames
            .first()
            .map_or(16.0 / 9.0, |f| f.picture.width as f32 / f.picture.height.max(1) as f32);
        let frames = window
            .frames
            .iter()
            .zip(found)
            .map(|(frame, mut detections)| {
                detections.retain(|d| {
                    labels
                        .get(d.class)
                        .is_some_and(|label| job.profile.detect.contains(label))
                });
                TrackedFrame {
                    pts_ns: frame.pts_ns,
                    tracks: state.tracker.update(&detections, &labels, frame.pts_ns),
                }
            })
            .collect();
        Report {
            body: ReportBody::Vision(VisionReport {
                frames,
                aspect,
                model: self.detector.id(),
            }),
            ..Report::bare(window.camera.clone(), window.seq, Branch::Vision, Status::Ok)
        }
    }
}

impl Stage for Vision {
    type In = Vec<Job>;
    type Out = Report;

    fn process(&mut self, jobs: Vec<Job>, out: &mut Vec<Report>) -> Result<(), StageError> {
        let pictures: Vec<&Picture> = jobs
            .iter()
            .flat_map(|j| j.window.frames.iter().map(|f| &*f.picture))
            .collect();
        let found = if pictures.is_empty() {
            Vec::new()
        } else {
            self.detector.detect(&pictures).map_err(StageError::Model)?
        };
        let mut found = found.into_iter();
        for job in &jobs {
            let own: Vec<_> = found.by_ref().take(job.window.frames.len()).collect();
            let report = self.report(job, own);
            out.push(report);
        }
        Ok(())
    }

    fn failed(jobs: &Vec<Job>) -> Vec<Report> {
        failed_reports(jobs, Branch::Vision)
    }

    fn recover(&mut self, jobs: &Vec<Job>) {
        for job in jobs {
            self.cameras.remove(job.camera());
        }
    }
}

/// One `failed` report for each window of a batch.
pub(super) fn failed_reports(jobs: &[Job], branch: Branch) -> Vec<Report> {
    jobs.iter()
        .map(|j| Report::bare(j.camera().clone(), j.window.seq, branch, Status::Failed))
        .collect()
}
