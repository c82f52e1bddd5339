//! Frames → detections → tracks.

use std::collections::HashMap;
use std::sync::Arc;

use super::faces::Faces;
use super::held::{Held, Plan};
use super::{CameraId, CameraProfile, Input, Job, NoiseReduction, ReadFaces, Stage};
use crate::data::{
    Branch, Detection, FaceReport, Picture, Report, ReportBody, Status, Stretch, TrackedFrame, VisionReport,
};
use crate::denoise::Denoise;
use crate::error::{StageError, is_news};
use crate::tracking::{Tracker, TrackerOptions};

/// A detector as this stage needs it. `nn::Detector` is one; tests bring their own.
pub trait Detect: Send {
    /// `name@version`
    fn id(&self) -> Arc<str>;
    fn labels(&self) -> Arc<[Arc<str>]>;
    /// By label, the score from which a detection counts; empty where the detector has none of its own.
    fn thresholds(&self) -> Arc<[f32]> {
        Arc::default()
    }
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
    /// With the detector's own thresholds.
    tracking: TrackerOptions,
}

struct CameraTracks {
    tracker: Tracker,
    held: Held,
    denoise: Denoise,
    profile: Arc<CameraProfile>,
    stretch: Stretch,
}

impl Vision {
    pub fn new(detector: Box<dyn Detect>, faces: Option<Box<dyn ReadFaces>>) -> Self {
        let tracking = TrackerOptions {
            high: detector.thresholds(),
            ..TrackerOptions::default()
        };
        Self {
            detector,
            faces: faces.map(Faces::new),
            cameras: HashMap::new(),
            tracking,
        }
    }

    fn plan(&mut self, job: &Job) -> Plan {
        let state = self
            .cameras
            .entry(job.camera().clone())
            .or_insert_with(|| CameraTracks {
                tracker: Tracker::new(self.tracking.clone()),
                held: Held::new(job.profile.clone()),
                denoise: Denoise::default(),
                profile: job.profile.clone(),
                stretch: Stretch::default(),
            });
        state.held.plan(job)
    }

    /// What the detector looks at instead of the frames of the plan, for each frame that it looks at.
    fn cleaned(&mut self, job: &Job, plan: &Plan) -> Vec<Option<Picture>> {
        let looked = plan.frames.iter().filter(|(_, look)| *look).map(|(frame, _)| frame);
        match self.cameras.get_mut(job.camera()) {
            Some(state) if job.profile.noise_reduction == NoiseReduction::Auto => looked
                .map(|frame| state.denoise.clean(&frame.picture, frame.pts_ns))
                .collect(),
            _ => looked.map(|_| None).collect(),
        }
    }

    /// `found` has a list for each frame of the plan that was looked at.
    fn report(&mut self, job: &Job, plan: Plan, found: Vec<Vec<Detection>>) -> Report {
        let window = &job.window;
        let labels = self.detector.labels();
        let looked = plan.frames.iter().any(|(_, look)| *look);
        let status = match (window.frames.is_empty() && plan.frames.is_empty(), looked) {
            (true, _) => Status::Empty,
            (false, true) => Status::Ok,
            (false, false) => Status::Gated,
        };
        let bare = job.bare(Branch::Vision, status);
        let Some(state) = self.cameras.get_mut(&window.camera) else {
            return bare;
        };
        let (interrupted, changed) = (state.stretch.is_new(window), !Arc::ptr_eq(&state.profile, &job.profile));
        if changed {
            state.denoise = Denoise::default();
            state.profile = job.profile.clone();
            self.faces.iter_mut().for_each(|f| f.forget(&window.camera));
        }
        if changed || interrupted {
            state.tracker.reset();
        }
        let Some((first, _)) = plan.frames.first() else {
            return bare;
        };
        let aspect = first.picture.width as f32 / first.picture.height.max(1) as f32;
        state.tracker.set_aspect(aspect);
        let mut found = found.into_iter();
        let mut frames = Vec::with_capacity(plan.frames.len());
        for (frame, look) in &plan.frames {
            let tracks = if *look {
                let mut detections = found.next().unwrap_or_default();
                let wanted = |d: &Detection| labels.get(d.class).is_some_and(|l| job.profile.detect.contains(l));
                detections.retain(wanted);
                state.tracker.update(&detections, &labels, frame.pts_ns)
            } else {
                state.tracker.still(&labels, frame.pts_ns)
            };
            frames.push(TrackedFrame {
                pts_ns: frame.pts_ns,
                tracks,
            });
        }
        if looked && !plan.awake && !state.tracker.is_steady() {
            state.held.look_on(window);
        }
        let faces = if plan.awake {
            self.read_faces(job, &frames)
        } else {
            None
        };
        Report {
            body: ReportBody::Vision(VisionReport {
                frames,
                aspect,
                model: self.detector.id(),
                faces,
            }),
            ..bare
        }
    }

    /// What the faces of the window's one native-size picture seem to express. Asked of no camera that has not opted
    /// in. A face model that fails costs the faces of this window and nothing else.
    fn read_faces(&mut self, job: &Job, frames: &[TrackedFrame]) -> Option<FaceReport> {
        if !job.profile.emotion {
            return None;
        }
        let window = &job.window;
        let frame = window.frames.iter().find(|f| f.native.is_some())?;
        let tracked = frames.iter().find(|t| t.pts_ns == frame.pts_ns)?;
        let read = self.faces.as_mut()?.read(&window.camera, frame, &tracked.tracks);
        read.unwrap_or_else(|error| {
            if is_news(&format!("{} {error}", window.camera)) {
                tracing::warn!(camera = %window.camera, seq = window.seq, error, "faces could not be read in a window");
            }
            None
        })
    }
}

impl Stage for Vision {
    type In = Job;
    type Out = Report;

    fn process(&mut self, job: Job, out: &mut Vec<Report>) -> Result<(), StageError> {
        let plan = self.plan(&job);
        let cleaned = self.cleaned(&job, &plan);
        let looked_at = plan.frames.iter().filter(|(_, look)| *look);
        let pictures: Vec<&Picture> = looked_at
            .zip(&cleaned)
            .map(|((frame, _), cleaned)| cleaned.as_ref().unwrap_or(&frame.picture))
            .collect();
        let found = if pictures.is_empty() {
            Vec::new()
        } else {
            self.detector.detect(&pictures).map_err(StageError::Model)?
        };
        out.push(self.report(&job, plan, found));
        Ok(())
    }

    fn failed(job: &Job) -> Vec<Report> {
        vec![job.bare(Branch::Vision, Status::Failed)]
    }

    fn recover(&mut self, job: &Job) {
        if let Some(state) = self.cameras.get_mut(job.camera()) {
            // Those who judge go on, and know the ids that were given: none is given twice.
            state.tracker.reset();
            state.held = Held::new(state.profile.clone());
            state.denoise = Denoise::default();
        }
        self.faces.iter_mut().for_each(|f| f.forget(job.camera()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::sync::mpsc::{Sender, channel};

    use super::super::FaceReading;
    use super::*;
    use crate::data::{AudioState, BBox, Frame, Window};

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
            breaks_off: false,
            stretch: 0,
        };
        Job::new(window, profile.clone())
    }

    fn see(emotion: bool, windows: u64) -> (Vec<VisionReport>, u32) {
        let asked = Arc::<AtomicU32>::default();
        let mut vision = Vision::new(Box::new(OnePerson), Some(Box::new(Counting(asked.clone()))));
        let profile = Arc::new(CameraProfile {
            detect: vec!["person".into()],
            emotion,
            ..CameraProfile::default()
        });
        let mut out = Vec::new();
        for seq in 0..windows {
            vision.process(job(seq, &profile), &mut out).unwrap();
        }
        let bodies = out.into_iter().map(|r| match r.body {
            ReportBody::Vision(seen) => seen,
            _ => panic!("no vision"),
        });
        (bodies.collect(), asked.load(Relaxed))
    }

    /// Sees nobody, and hands on what it is shown.
    struct Shown(Sender<Picture>);

    impl Detect for Shown {
        fn id(&self) -> Arc<str> {
            "detector@test".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["person".into()].into()
        }

        fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String> {
            for picture in pictures {
                self.0.send((*picture).clone()).unwrap();
            }
            Ok(vec![vec![]; pictures.len()])
        }
    }

    /// Frames of a grey wall that differ by up to `noise` levels, and what the detector is shown of them.
    fn shown(noise: u32, noise_reduction: NoiseReduction) -> Vec<(Arc<Picture>, Picture)> {
        let (sender, receiver) = channel();
        let mut vision = Vision::new(Box::new(Shown(sender)), None);
        let profile = Arc::new(CameraProfile {
            noise_reduction,
            ..CameraProfile::default()
        });
        let mut state = 1u32;
        let mut sent = Vec::new();
        for seq in 0..4 {
            let mut job = job(seq, &profile);
            let mut window = (*job.window).clone();
            for frame in &mut window.frames {
                let mut picture = (*frame.picture).clone();
                for pixel in picture.rgb.chunks_exact_mut(3) {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    pixel.fill(80 + ((state >> 16) % (noise + 1)) as u8);
                }
                frame.picture = Arc::new(picture);
                sent.push(frame.picture.clone());
            }
            job.window = Arc::new(window);
            vision.process(job, &mut Vec::new()).unwrap();
        }
        drop(vision);
        sent.into_iter().zip(receiver).collect()
    }

    #[test]
    fn the_detector_sees_less_noise_and_only_where_there_is_some_and_the_camera_wants_it() {
        let noisy = shown(30, NoiseReduction::Auto);
        assert_eq!(noisy.len(), 12);
        assert!(noisy[3..].iter().all(|(sent, shown)| **sent != *shown));
        let same = |of: Vec<(Arc<Picture>, Picture)>| of.iter().all(|(sent, shown)| **sent == *shown);
        assert!(same(shown(30, NoiseReduction::Off)));
        assert!(same(shown(2, NoiseReduction::Auto)));
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
