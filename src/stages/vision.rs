//! Frames → detections → tracks.

use std::collections::HashMap;
use std::sync::Arc;

use super::faces::Faces;
use super::{CameraId, CameraProfile, Job, ReadFaces, Stage};
use crate::data::{Branch, Detection, FaceReport, Picture, Report, ReportBody, Status, TrackedFrame, VisionReport};
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
    /// None where no camera has opted in.
    faces: Option<Faces>,
    cameras: HashMap<CameraId, CameraTracks>,
}

struct CameraTracks {
    tracker: Tracker,
    profile: Arc<CameraProfile>,
}

impl Vision {
    pub fn new(detector: Box<dyn Detect>, faces: Option<Box<dyn ReadFaces>>) -> Self {
        Self {
            detector,
            faces: faces.map(Faces::new),
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
            self.faces.iter_mut().for_each(|f| f.forget(&window.camera));
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
        let frames: Vec<TrackedFrame> = window
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
        let faces = self.read_faces(job, &frames);
        Report {
            body: ReportBody::Vision(VisionReport {
                frames,
                aspect,
                model: self.detector.id(),
                faces,
            }),
            ..Report::bare(window.camera.clone(), window.seq, Branch::Vision, Status::Ok)
        }
    }
}

impl Vision {
    /// What the faces of the window's one native-size picture seem to express. Asked of no camera that has not opted
    /// in. A face model that fails costs the faces of this window and nothing else.
    fn read_faces(&mut self, job: &Job, frames: &[TrackedFrame]) -> Option<FaceReport> {
        if !job.profile.emotion {
            return None;
        }
        let window = &job.window;
        let at = window.frames.iter().position(|f| f.native.is_some())?;
        let faces = self.faces.as_mut()?;
        let read = faces.read(&window.camera, &window.frames[at], &frames.get(at)?.tracks);
        read.unwrap_or_else(|error| {
            tracing::warn!(camera = %window.camera, seq = window.seq, error, "faces could not be read in a window");
            None
        })
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
            self.faces.iter_mut().for_each(|f| f.forget(job.camera()));
        }
    }
}

/// One `failed` report for each window of a batch.
pub(super) fn failed_reports(jobs: &[Job], branch: Branch) -> Vec<Report> {
    jobs.iter()
        .map(|j| Report::bare(j.camera().clone(), j.window.seq, branch, Status::Failed))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::super::FaceReading;
    use super::*;
    use crate::behaviour::BehaviourOptions;
    use crate::data::{AudioState, BBox, Frame, Snapshots, Window};
    use crate::policy::PolicyOptions;

    const BOX: BBox = BBox {
        x1: 0.3,
        y1: 0.1,
        x2: 0.7,
        y2: 0.9,
    };

    /// Sees one person, always in the same place.
    struct OnePerson;

    impl Detect for OnePerson {
        fn id(&self) -> Arc<str> {
            "detector@test".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["person".into()].into()
        }

        fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String> {
            let person = Detection {
                bbox: BOX,
                class: 0,
                score: 0.9,
            };
            Ok(vec![vec![person]; pictures.len()])
        }
    }

    /// Counts how often it is asked, and fails from the second time on.
    struct Counting(Arc<AtomicU32>);

    impl ReadFaces for Counting {
        fn id(&self) -> Arc<str> {
            "face_emotion@test".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["neutral".into(), "anger".into()].into()
        }

        fn read(&mut self, _: &Picture) -> Result<Option<FaceReading>, String> {
            if self.0.fetch_add(1, Relaxed) > 0 {
                return Err("broken".into());
            }
            Ok(Some(FaceReading {
                bbox: BOX,
                quality: 0.9,
                scores: vec![0.2, 0.8],
            }))
        }
    }

    fn job(seq: u64, profile: &Arc<CameraProfile>) -> Job {
        let picture = Arc::new(Picture {
            width: 200,
            height: 200,
            rgb: vec![80; 200 * 200 * 3],
        });
        let frames = (0..3).map(|i| Frame {
            pts_ns: (seq * 3 + i) * 200_000_000,
            picture: picture.clone(),
            native: (i == 2).then(|| picture.clone()),
        });
        let window = Window {
            camera: CameraId::new("yard"),
            seq,
            start_ns: seq * 600_000_000,
            end_ns: (seq + 1) * 600_000_000,
            frames: frames.collect(),
            audio: vec![],
            audio_state: AudioState::None,
            utc_offset_ns: 0,
            arrived_ns: 0,
            discontinuity: false,
        };
        Job {
            window: Arc::new(window),
            profile: profile.clone(),
            look: None,
        }
    }

    fn see(emotion: bool, windows: u64) -> (Vec<VisionReport>, u32) {
        let asked = Arc::<AtomicU32>::default();
        let mut vision = Vision::new(Box::new(OnePerson), Some(Box::new(Counting(asked.clone()))));
        let profile = Arc::new(CameraProfile {
            detect: vec!["person".into()],
            behaviour: BehaviourOptions::default(),
            policy: PolicyOptions::default(),
            snapshots: Snapshots::Off,
            action: super::super::ActionGate::Off,
            learned: None,
            emotion,
        });
        let mut out = Vec::new();
        for seq in 0..windows {
            vision.process(vec![job(seq, &profile)], &mut out).unwrap();
        }
        let bodies = out.into_iter().map(|r| match r.body {
            ReportBody::Vision(seen) => seen,
            _ => panic!("no vision"),
        });
        (bodies.collect(), asked.load(Relaxed))
    }

    #[test]
    fn no_face_is_looked_for_on_a_camera_that_has_not_opted_in() {
        let (seen, asked) = see(false, 3);
        assert_eq!(asked, 0);
        assert!(seen.iter().all(|s| s.faces.is_none()));
        assert!(seen.iter().flat_map(|s| &s.frames).any(|f| !f.tracks.is_empty()));
    }

    #[test]
    fn a_camera_that_has_opted_in_tells_its_tracks_faces_and_a_broken_face_model_costs_these_only() {
        let (seen, asked) = see(true, 2);
        assert_eq!(asked, 2);
        let faces = seen[0].faces.as_ref().unwrap();
        assert_eq!(
            (faces.at_ns, faces.tracks.len(), faces.tracks[0].track),
            (400_000_000, 1, 1)
        );
        assert!(seen[1].faces.is_none() && !seen[1].frames[2].tracks.is_empty());
    }
}
