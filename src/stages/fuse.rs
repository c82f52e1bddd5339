//! Joins the reports of a window and lets the pure floor judge: behaviour → findings → an alert's life.

use std::collections::HashMap;
use std::sync::Arc;

use super::join::{Joined, Joiner};
use super::{CameraId, CameraProfile, Input, Job, Stage};
use crate::behaviour::Behaviour;
use crate::data::{
    ActionReport, Alert, Branch, EndReason, HearingReport, Report, Reports, Snapshots, Status, VisionReport, Window,
};
use crate::error::StageError;
use crate::policy::AlertLife;

#[derive(Clone, Debug, PartialEq)]
pub struct FuseOptions {
    /// Who answers for each window.
    pub branches: Arc<[Branch]>,
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

impl Input for FuseInput {}

/// What came of a window.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub camera: CameraId,
    /// None when alerts end without a window (camera lost, shutdown).
    pub window: Option<Arc<Window>>,
    pub reports: Reports,
    pub alerts: Vec<Alert>,
    pub snapshots: Snapshots,
}

impl Verdict {
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

/// Joins and judges, camera by camera.
pub struct Fuse {
    options: FuseOptions,
    cameras: HashMap<CameraId, CameraMind>,
    now_ns: u64,
    /// Cameras whose stream is over and whose alerts are still to end.
    over: Vec<(CameraId, EndReason)>,
    /// Verdicts for windows on which judging panicked, told at the next tick.
    owed: Vec<Verdict>,
}

struct CameraMind {
    joiner: Joiner,
    profile: Arc<CameraProfile>,
    behaviour: Behaviour,
    /// Outlives a panic: an open alert still gets its end.
    life: AlertLife,
    /// The window that is being judged; set between windows only after a panic.
    at_hand: Option<Arc<Window>>,
    /// Of the last judged window: end and UTC offset.
    last: (u64, i64),
}

impl Fuse {
    pub fn new(options: FuseOptions) -> Self {
        Self {
            options,
            cameras: HashMap::new(),
            now_ns: 0,
            over: Vec::new(),
            owed: Vec::new(),
        }
    }

    fn mind(&mut self, job: &Job) -> &mut CameraMind {
        let branches = &self.options.branches;
        self.cameras.entry(job.camera().clone()).or_insert_with(|| CameraMind {
            joiner: Joiner::new(branches.clone()),
            profile: job.profile.clone(),
            behaviour: Behaviour::new(job.profile.behaviour.clone()),
            life: AlertLife::new(job.camera().clone(), job.profile.policy.clone()),
            at_hand: None,
            last: (0, 0),
        })
    }

    /// Ends the alerts of the cameras that are over. A camera stays in the list until that is done, and each of its
    /// windows is taken once: a panic on one of them ends neither the others' verdicts nor the alerts' ends.
    fn end_over(&mut self, out: &mut Vec<Verdict>) {
        while let Some((camera, reason)) = self.over.first().cloned() {
            if let Some(mind) = self.cameras.get_mut(&camera) {
                while let Some(joined) = mind.joiner.pop() {
                    out.push(mind.judge(joined));
                }
                mind.behaviour.reset();
                let (at_ns, offset_ns) = mind.last;
                let alerts = mind.life.end_all(reason, at_ns, offset_ns);
                if !alerts.is_empty() {
                    out.push(Verdict {
                        camera: camera.clone(),
                        window: None,
                        reports: Reports::default(),
                        alerts,
                        snapshots: Snapshots::Off,
                    });
                }
            }
            // A removed camera, or the end of a recording, leaves nothing behind.
            if matches!(reason, EndReason::Reload | EndReason::Eof) {
                self.cameras.remove(&camera);
            }
            self.over.remove(0);
        }
    }

    /// After a panic: the camera that was being judged starts anew, but for its open alerts. They go on while their
    /// evidence does and end when it is gone, as they would have without the panic.
    fn start_anew(&mut self) {
        for (camera, mind) in &mut self.cameras {
            let Some(window) = mind.at_hand.take() else { continue };
            mind.behaviour = Behaviour::new(mind.profile.behaviour.clone());
            mind.last = (window.end_ns, window.utc_offset_ns);
            let mut reports = Reports::default();
            for branch in &*self.options.branches {
                reports.put(Report::bare(camera.clone(), window.seq, *branch, Status::Failed));
            }
            self.owed.push(Verdict {
                camera: camera.clone(),
                reports,
                window: Some(window),
                alerts: Vec::new(),
                snapshots: Snapshots::Off,
            });
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
        let Joined { job, reports } = joined;
        let window = job.window;
        self.at_hand = Some(window.clone());
        #[cfg(test)]
        tests::trip(window.seq);
        let reloaded = !Arc::ptr_eq(&self.profile, &job.profile);
        if reloaded {
            self.behaviour = Behaviour::new(job.profile.behaviour.clone());
        } else if window.discontinuity {
            self.behaviour.reset();
        }
        let mut findings = Vec::new();
        if let Some(seen) = reports.seen() {
            findings.extend(self.behaviour.see(seen));
        }
        if let Some(heard) = reports.heard() {
            findings.extend(self.behaviour.hear(heard));
        }
        // Alerts change last: whatever panics above loses none of their messages.
        let mut alerts = Vec::new();
        if reloaded {
            // What was open was judged by rules that are gone.
            alerts = self
                .life
                .end_all(EndReason::Reload, window.start_ns, window.utc_offset_ns);
            self.life.set_options(job.profile.policy.clone());
            self.profile = job.profile;
        }
        alerts.extend(self.life.step(&findings, window.end_ns, window.utc_offset_ns));
        self.at_hand = None;
        self.last = (window.end_ns, window.utc_offset_ns);
        Verdict {
            camera: window.camera.clone(),
            window: Some(window),
            reports,
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
                self.over.push((camera, reason));
                self.end_over(out);
            }
        }
        Ok(())
    }

    fn failed(_: &FuseInput) -> Vec<Verdict> {
        Vec::new()
    }

    fn recover(&mut self, _: &FuseInput) {
        self.start_anew();
    }

    fn recover_between(&mut self) {
        self.start_anew();
    }

    fn tick(&mut self, now_ns: u64, out: &mut Vec<Verdict>) {
        self.now_ns = now_ns;
        out.append(&mut self.owed);
        self.end_over(out);
        self.drain_ready(out);
    }

    fn finish(&mut self, out: &mut Vec<Verdict>) {
        out.append(&mut self.owed);
        let mut cameras: Vec<CameraId> = self.cameras.keys().cloned().collect();
        cameras.sort();
        self.over
            .extend(cameras.into_iter().map(|camera| (camera, EndReason::Shutdown)));
        self.end_over(out);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::behaviour::{BehaviourOptions, SoundRule};
    use crate::data::{AudioState, Kind, Phase, ReportBody, Severity, SoundPatch};
    use crate::policy::{KindPolicy, PolicyOptions};

    const S: u64 = 1_000_000_000;

    thread_local! {
        static TRIP: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Judging panics on the window with the number that a test has set.
    pub(super) fn trip(seq: u64) {
        TRIP.with(|t| assert!(t.get() != Some(seq), "a bug in a rule"));
    }

    fn profile() -> Arc<CameraProfile> {
        let siren = SoundRule {
            kind: Kind::Siren,
            threshold: 0.5,
            min_windows: 1,
        };
        let policy = KindPolicy {
            kind: Kind::Siren,
            severity: Severity::Info,
            hold_s: 3.0,
            cooldown_s: 0.0,
        };
        Arc::new(CameraProfile {
            detect: vec![],
            behaviour: BehaviourOptions {
                sounds: vec![siren],
                ..BehaviourOptions::default()
            },
            policy: PolicyOptions { kinds: vec![policy] },
            snapshots: Snapshots::Off,
        })
    }

    fn job(profile: &Arc<CameraProfile>, camera: &str, seq: u64) -> Job {
        let window = Window {
            camera: CameraId::new(camera),
            seq,
            start_ns: seq * S,
            end_ns: (seq + 1) * S,
            frames: vec![],
            audio: vec![],
            audio_state: AudioState::Present,
            utc_offset_ns: 0,
            arrived_ns: 0,
            discontinuity: false,
        };
        Job {
            window: Arc::new(window),
            profile: profile.clone(),
        }
    }

    /// A window in which a siren has this score, through the stage; after a panic, as the runner does.
    fn hear(fuse: &mut Fuse, job: Job, score: f32) -> Vec<Verdict> {
        let window = &job.window;
        let bare = |branch| Report::bare(window.camera.clone(), window.seq, branch, Status::Empty);
        let patch = SoundPatch {
            start_ns: window.start_ns,
            end_ns: window.end_ns,
            scores: vec![score],
            level_dbfs: -20.0,
        };
        let heard = Report {
            status: Status::Ok,
            body: ReportBody::Hearing(HearingReport {
                patches: vec![patch],
                labels: Arc::from([Arc::from("siren")]),
                ..HearingReport::default()
            }),
            ..bare(Branch::Hearing)
        };
        let vision = bare(Branch::Vision);
        let mut out = Vec::new();
        for input in [
            FuseInput::Expect(job, 0),
            FuseInput::Report(vision),
            FuseInput::Report(heard),
        ] {
            step(fuse, input, &mut out);
        }
        out
    }

    fn options() -> FuseOptions {
        FuseOptions {
            branches: Arc::from([Branch::Vision, Branch::Hearing]),
            deadline_ns: None,
        }
    }

    fn step(fuse: &mut Fuse, input: FuseInput, out: &mut Vec<Verdict>) {
        let kept = input.clone();
        if catch_unwind(AssertUnwindSafe(|| fuse.process(input, out))).is_err() {
            fuse.recover(&kept);
        }
        fuse.tick(1, out);
    }

    fn told(verdicts: &[Verdict]) -> Vec<(Phase, Option<EndReason>)> {
        let alerts = verdicts.iter().flat_map(|v| &v.alerts);
        alerts.map(|a| (a.phase, a.end_reason)).collect()
    }

    #[test]
    fn a_panic_while_judging_fails_that_window_and_an_open_alert_goes_on_to_its_own_end() {
        let (mut fuse, profile) = (Fuse::new(options()), profile());
        let started = hear(&mut fuse, job(&profile, "yard", 1), 0.9);
        assert_eq!(told(&started), [(Phase::Start, None)]);
        assert_eq!(
            told(&hear(&mut fuse, job(&profile, "gate", 1), 0.9)),
            [(Phase::Start, None)]
        );

        TRIP.set(Some(2));
        let failed = hear(&mut fuse, job(&profile, "yard", 2), 0.9);
        TRIP.set(None);
        assert_eq!(failed.len(), 1, "exactly one verdict a window");
        assert_eq!(failed[0].window.as_ref().map(|w| w.seq), Some(2));
        let status = |v: &Verdict, branch| v.reports.get(branch).map(|r| r.status);
        assert_eq!(status(&failed[0], Branch::Vision), Some(Status::Failed));
        assert_eq!(status(&failed[0], Branch::Hearing), Some(Status::Failed));
        assert!(told(&failed).is_empty());

        // The siren goes on, as the same alert; then it is over.
        assert!(told(&hear(&mut fuse, job(&profile, "yard", 3), 0.9)).is_empty());
        let mut rest = Vec::new();
        for seq in 4..10 {
            rest.extend(hear(&mut fuse, job(&profile, "yard", seq), 0.1));
        }
        assert_eq!(told(&rest), [(Phase::End, Some(EndReason::Cleared))]);
        let end = rest.iter().flat_map(|v| &v.alerts).next().unwrap();
        assert_eq!(end.id, started[0].alerts[0].id);
        // And the other camera noticed nothing.
        let mut out = Vec::new();
        fuse.finish(&mut out);
        assert_eq!(told(&out), [(Phase::End, Some(EndReason::Shutdown))]);
        assert_eq!(out[0].camera.as_str(), "gate");
    }

    #[test]
    fn a_lost_camera_ends_its_alerts_although_its_last_window_panics() {
        let (mut fuse, profile) = (Fuse::new(options()), profile());
        hear(&mut fuse, job(&profile, "yard", 1), 0.9);
        let mut out = Vec::new();
        for seq in [2, 3] {
            step(&mut fuse, FuseInput::Expect(job(&profile, "yard", seq), 0), &mut out);
        }
        TRIP.set(Some(2));
        let over = FuseInput::Over {
            camera: CameraId::new("yard"),
            reason: EndReason::CameraLost,
        };
        step(&mut fuse, over, &mut out);
        TRIP.set(None);
        assert_eq!(told(&out), [(Phase::End, Some(EndReason::CameraLost))]);
        let mut judged: Vec<u64> = out.iter().filter_map(|v| Some(v.window.as_ref()?.seq)).collect();
        judged.sort_unstable();
        assert_eq!(judged, [2, 3]);
    }
}
