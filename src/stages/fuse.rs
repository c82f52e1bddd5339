//! Joins the reports of a window and lets the pure floor judge: behaviour → findings → an alert's life.

use std::collections::HashMap;
use std::sync::Arc;

use super::join::{Joined, Joiner};
use super::{CameraId, CameraProfile, Job, Stage};
use crate::behaviour::Behaviour;
use crate::data::{Alert, EndReason, HearingReport, Report, ReportBody, Snapshots, VisionReport, Window};
use crate::error::StageError;
use crate::policy::AlertLife;

#[derive(Clone, Debug, PartialEq, Default)]
pub struct FuseOptions {
    /// How long a window waits for its branches. None: for as long as it takes (replay).
    pub deadline_ns: Option<u64>,
}

/// What reaches the fuse stage.
#[derive(Clone, Debug)]
pub enum FuseInput {
    /// A window was handed to the branches at this host time.
    Expect(Job, u64),
    Report(Report),
    /// The camera's stream is over for now: its open alerts end.
    Over {
        camera: CameraId,
        reason: EndReason,
    },
}

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
}

impl Verdict {
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

/// Joins and judges, camera by camera.
pub struct Fuse {
    options: FuseOptions,
    cameras: HashMap<CameraId, CameraMind>,
    now_ns: u64,
}

struct CameraMind {
    joiner: Joiner,
    profile: Arc<CameraProfile>,
    behaviour: Behaviour,
    life: AlertLife,
    /// Of the last judged window: end and UTC offset.
    last: (u64, i64),
}

impl Fuse {
    pub fn new(options: FuseOptions) -> Self {
        Self {
            options,
            cameras: HashMap::new(),
            now_ns: 0,
        }
    }

    fn mind(&mut self, job: &Job) -> &mut CameraMind {
        self.cameras.entry(job.camera().clone()).or_insert_with(|| CameraMind {
            joiner: Joiner::default(),
            profile: job.profile.clone(),
            behaviour: Behaviour::new(job.profile.behaviour.clone()),
            life: AlertLife::new(job.camera().clone(), job.profile.policy.clone()),
            last: (0, 0),
        })
    }

    fn over(&mut self, camera: &CameraId, reason: EndReason, out: &mut Vec<Verdict>) {
        if let Some(mind) = self.cameras.get_mut(camera) {
            for joined in mind.joiner.drain() {
                out.push(mind.judge(joined));
            }
            mind.behaviour.reset();
            let (at_ns, offset_ns) = mind.last;
            let alerts = mind.life.end_all(reason, at_ns, offset_ns);
            if !alerts.is_empty() {
                out.push(Verdict {
                    camera: camera.clone(),
                    window: None,
                    vision: None,
                    hearing: None,
                    alerts,
                    snapshots: Snapshots::Off,
                });
            }
        }
    }

    fn drain_ready(&mut self, out: &mut Vec<Verdict>) {
        let now_ns = self.now_ns;
        for mind in self.cameras.values_mut() {
            while let Some(joined) = mind.joiner.next(now_ns) {
                out.push(mind.judge(joined));
            }
        }
    }
}

impl CameraMind {
    fn judge(&mut self, joined: Joined) -> Verdict {
        let Joined { job, vision, hearing } = joined;
        let window = job.window;
        let mut alerts = Vec::new();
        if !Arc::ptr_eq(&self.profile, &job.profile) {
            // A reload: what was open was judged by rules that are gone.
            alerts.extend(
                self.life
                    .end_all(EndReason::Reload, window.start_ns, window.utc_offset_ns),
            );
            self.behaviour = Behaviour::new(job.profile.behaviour.clone());
            self.life.set_options(job.profile.policy.clone());
            self.profile = job.profile;
        } else if window.discontinuity {
            self.behaviour.reset();
        }
        let mut findings = Vec::new();
        if let ReportBody::Vision(seen) = &vision.body {
            findings.extend(self.behaviour.see(seen));
        }
        if let ReportBody::Hearing(heard) = &hearing.body {
            findings.extend(self.behaviour.hear(heard));
        }
        alerts.extend(self.life.step(&findings, window.end_ns, window.utc_offset_ns));
        self.last = (window.end_ns, window.utc_offset_ns);
        Verdict {
            camera: window.camera.clone(),
            window: Some(window),
            vision: Some(vision),
            hearing: Some(hearing),
            alerts,
            snapshots: self.profile.snapshots,
        }
    }
}

impl Stage for Fuse {
    type In = FuseInput;
    type Out = Verdict;

    fn process(&mut self, input: FuseInput, out: &mut Vec<Verdict>) -> Result<(), StageError> {
        match input {
            FuseInput::Expect(job, at_ns) => {
                let deadline = self.options.deadline_ns.map(|d| at_ns + d);
                self.mind(&job).joiner.expect(job, deadline);
            }
            FuseInput::Report(report) => {
                let Some(mind) = self.cameras.get_mut(&report.camera) else {
                    return Ok(());
                };
                if !mind.joiner.accept(report) {
                    return Ok(());
                }
                while let Some(joined) = mind.joiner.next(self.now_ns) {
                    out.push(mind.judge(joined));
                }
            }
            FuseInput::Over { camera, reason } => {
                self.over(&camera, reason, out);
                // A removed camera, or the end of a recording, leaves nothing behind.
                if matches!(reason, EndReason::Reload | EndReason::Eof) {
                    self.cameras.remove(&camera);
                }
            }
        }
        Ok(())
    }

    fn failed(_: &FuseInput) -> Vec<Verdict> {
        Vec::new()
    }

    fn recover(&mut self, input: &FuseInput) {
        let camera = match input {
            FuseInput::Expect(job, _) => job.camera(),
            FuseInput::Report(report) => &report.camera,
            FuseInput::Over { camera, .. } => camera,
        };
        self.cameras.remove(camera);
    }

    fn tick(&mut self, now_ns: u64, out: &mut Vec<Verdict>) {
        self.now_ns = now_ns;
        self.drain_ready(out);
    }

    fn finish(&mut self, out: &mut Vec<Verdict>) {
        let mut cameras: Vec<CameraId> = self.cameras.keys().cloned().collect();
        cameras.sort();
        for camera in cameras {
            self.over(&camera, EndReason::Shutdown, out);
        }
    }
}
