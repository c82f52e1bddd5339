//! Joins the reports of a window and lets the pure floor judge: behaviour → findings → an alert's life.

mod over;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;

use super::blend::{BlendFight, Sounds, blend};
use super::join::{Joined, Joiner};
use super::{CameraId, CameraProfile, Input, Job, Stage};
use crate::behaviour::Behaviour;
use crate::data::{Branch, Emotion, EndReason, Finding, Report, Reports, Status, Stretch, Window};
use crate::error::StageError;
use crate::fusion::{Blend, Mood};
use crate::policy::AlertLife;
use over::Over;
pub use verdict::Verdict;

#[derive(Clone, Debug, PartialEq)]
pub struct FuseOptions {
    /// Who answers for each window.
    pub branches: Arc<[Branch]>,
    /// How long a window waits for its branches, or for [`WINDOWS_WAITED`] windows where these are longer. None: for as long as it
    /// takes (replay).
    pub deadline_ns: Option<u64>,
}

/// Two may wait in front of the slowest stage, and the others' turns are between them: what is computed of long windows is not to
/// come too late.
const WINDOWS_WAITED: u64 = 4;

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
        /// The newest window that was sent on its way before.
        after: Option<u64>,
    },
}

impl Input for FuseInput {
    fn camera(&self) -> &CameraId {
        match self {
            Self::Expect(job, _) => job.camera(),
            Self::Report(report) => &report.camera,
            Self::Over { camera, .. } => camera,
        }
    }
}

/// Joins and judges, camera by camera.
pub struct Fuse {
    options: FuseOptions,
    /// The learned fusion; None: clip model and sounds are pooled.
    fusion: Option<Box<dyn BlendFight>>,
    cameras: HashMap<CameraId, CameraMind>,
    now_ns: u64,
    /// Cameras whose stream is over and whose alerts are still to end.
    over: Vec<Over>,
    /// Verdicts for windows on which judging panicked, told at the next tick.
    owed: Vec<Verdict>,
    before: HashMap<CameraId, Before>,
}

/// The rules of a camera that is being reloaded: they know what stands there, and have learned more than the store gave the new
/// profile.
struct Before {
    behaviour: Behaviour,
    view: Arc<str>,
    since_ns: u64,
}

/// A camera that comes back later is taken out of the store, as after a new start.
const RELOADS_NS: u64 = 600_000_000_000;

/// What a camera has learned is told as often as this, in time of its stream.
const TELL_LEARNED_NS: u64 = 600_000_000_000;

struct CameraMind {
    joiner: Joiner,
    profile: Arc<CameraProfile>,
    stretch: Stretch,
    behaviour: Behaviour,
    sounds: Sounds,
    /// Outlives a panic: an open alert still gets its end.
    life: AlertLife,
    /// The window that is being judged; set between windows only after a panic.
    at_hand: Option<Arc<Window>>,
    mood: Mood,
    /// The newest frame that was told of.
    seen_ns: Option<u64>,
    /// Of the last judged window: end and UTC offset.
    last: (u64, i64),
    /// When it last told what it has learned.
    told_ns: Option<u64>,
    /// The newest window that was announced.
    expected: Option<u64>,
    /// How long its windows wait for their branches: the last one of a stream is short, and waits as long as those before it.
    patience_ns: Option<u64>,
}

impl Fuse {
    pub fn new(options: FuseOptions, fusion: Option<Box<dyn BlendFight>>) -> Self {
        Self {
            options,
            fusion,
            cameras: HashMap::new(),
            now_ns: 0,
            over: Vec::new(),
            owed: Vec::new(),
            before: HashMap::new(),
        }
    }

    fn mind(&mut self, job: &Job) -> &mut CameraMind {
        let before = &mut self.before;
        let branches = &self.options.branches;
        self.cameras.entry(job.camera().clone()).or_insert_with(|| CameraMind {
            joiner: Joiner::new(branches.clone()),
            profile: job.profile.clone(),
            stretch: Stretch::default(),
            behaviour: behaviour(job, before.remove(job.camera())),
            sounds: Sounds::default(),
            life: life(job),
            at_hand: None,
            mood: Mood::default(),
            seen_ns: None,
            last: (0, 0),
            told_ns: None,
            expected: None,
            patience_ns: None,
        })
    }

    fn is_due(&self, over: &Over) -> bool {
        let mind = self.cameras.get(&over.camera);
        let waits = mind.is_some_and(|m| !m.joiner.is_empty());
        over.is_due(mind.and_then(|m| m.expected), waits, self.now_ns)
    }

    /// Ends the alerts of the cameras that are over, where that is due or `now` says so. A camera stays in the list until
    /// that is done, and each of its windows is taken once: a panic on one of them ends neither the others' verdicts nor
    /// the alerts' ends.
    fn end_over(&mut self, out: &mut Vec<Verdict>, now: impl Fn(&Over) -> bool) {
        while let Some(at) = self.over.iter().position(|over| now(over) || self.is_due(over)) {
            let (camera, reason) = (self.over[at].camera.clone(), self.over[at].reason);
            let (mut alerts, mut learned, mut emotion) = (Vec::new(), None, None);
            if let Some(mind) = self.cameras.get_mut(&camera) {
                while let Some(joined) = mind.joiner.pop() {
                    out.push(mind.judge(joined, self.fusion.as_deref_mut()));
                }
                mind.interrupt();
                emotion = mind.profile.emotion.then(Emotion::default);
                let (at_ns, offset_ns) = mind.last;
                alerts = mind.life.end_all(reason, at_ns, offset_ns);
                learned = mind.behaviour.learned();
            }
            // The end of a recording is waited for, also where nothing was open.
            if !alerts.is_empty() || learned.is_some() || emotion.is_some() || reason == EndReason::Eof {
                out.push(Verdict {
                    alerts,
                    learned,
                    emotion,
                    ..Verdict::bare(camera.clone())
                });
            }
            // A removed camera, or the end of a recording, leaves nothing behind.
            if matches!(reason, EndReason::Reload | EndReason::Eof) {
                let gone = self.cameras.remove(&camera).filter(|_| reason == EndReason::Reload);
                self.before.extend(gone.map(|mind| {
                    let before = Before {
                        behaviour: mind.behaviour,
                        view: mind.profile.view.clone(),
                        since_ns: self.now_ns,
                    };
                    (camera, before)
                }));
            }
            self.over.remove(at);
        }
    }

    /// After a panic: the camera that was being judged starts anew, but for its open alerts. They go on while their
    /// evidence does and end when it is gone, as they would have without the panic.
    fn start_anew(&mut self) {
        for (camera, mind) in &mut self.cameras {
            let Some(window) = mind.at_hand.take() else { continue };
            let learned = mind.behaviour.learned();
            mind.behaviour = Behaviour::new(mind.profile.behaviour.clone());
            if let Some(learned) = learned {
                // Counts of its own: what does not fit is left, and begins anew.
                let _ = mind.behaviour.recall(&learned);
            }
            mind.mood.reset();
            mind.last = (window.end_ns, window.utc_offset_ns);
            let mut reports = Reports::default();
            for branch in &*self.options.branches {
                reports.put(Report::bare(camera.clone(), window.seq, *branch, Status::Failed));
            }
            self.owed.push(Verdict {
                reports,
                window: Some(window),
                emotion: mind.profile.emotion.then(Emotion::default),
                ..Verdict::bare(camera.clone())
            });
        }
    }

    fn drain_ready(&mut self, out: &mut Vec<Verdict>) {
        let now_ns = self.now_ns;
        for mind in self.cameras.values_mut() {
            while let Some(joined) = mind.joiner.next(now_ns) {
                out.push(mind.judge(joined, self.fusion.as_deref_mut()));
            }
        }
    }
}

impl CameraMind {
    /// What comes next is another stretch of the stream.
    fn interrupt(&mut self) {
        self.behaviour.reset();
        self.sounds.clear();
        self.mood.reset();
        self.seen_ns = None;
    }

    fn judge(&mut self, joined: Joined, fusion: Option<&mut (dyn BlendFight + 'static)>) -> Verdict {
        let Joined { job, reports } = joined;
        let window = job.window.clone();
        self.at_hand = Some(window.clone());
        #[cfg(test)]
        tests::trip(window.seq);
        if self.stretch.is_new(&window) {
            self.interrupt();
        }
        let (findings, blended) = self.findings(&job, &reports, fusion);
        let since_ns = *self.told_ns.get_or_insert(window.end_ns);
        let mut learned = None;
        if window.end_ns.abs_diff(since_ns) >= TELL_LEARNED_NS {
            self.told_ns = Some(window.end_ns);
            learned = self.behaviour.learned();
        }
        // Alerts change last: whatever panics above loses none of their messages.
        let told_ns = reports.seen().and_then(|seen| seen.frames.last()).map(|f| f.pts_ns);
        self.seen_ns = told_ns.or(self.seen_ns);
        // Also of a window in which nothing was told: a detector that falls asleep keeps the first ones to itself.
        if let Some(seen_ns) = self
            .seen_ns
            .filter(|_| told_ns.is_some() || reports.is_gated(Branch::Vision))
        {
            let own_ns = window.end_ns - window.start_ns;
            self.life.set_behind(window.end_ns.saturating_sub(seen_ns + own_ns));
        }
        let mut alerts = self.life.step(&findings, window.end_ns, window.utc_offset_ns);
        let emotion = self.profile.emotion.then(|| self.mood.now(window.end_ns));
        for alert in &mut alerts {
            alert.emotion = self.mood.of_tracks(alert.tracks.iter().map(|t| t.id));
        }
        self.at_hand = None;
        self.last = (window.end_ns, window.utc_offset_ns);
        Verdict {
            camera: window.camera.clone(),
            window: Some(window),
            reports,
            findings,
            alerts,
            snapshots: self.profile.snapshots,
            learned,
            emotion,
            blend: blended,
            judged: self.behaviour.judged(),
            moving: job.moving,
        }
    }

    /// What the rules find in one window, and the learned fusion of its fight.
    fn findings(
        &mut self,
        job: &Job,
        reports: &Reports,
        fusion: Option<&mut (dyn BlendFight + 'static)>,
    ) -> (Vec<Finding>, Option<Blend>) {
        let window = &job.window;
        let mut findings = Vec::new();
        if let Some(seen) = reports.seen() {
            findings.extend(self.behaviour.see(seen, window.utc_offset_ns));
            seen.faces.iter().for_each(|faces| self.mood.see(faces));
        }
        if let Some(heard) = reports.heard() {
            findings.extend(self.behaviour.hear(heard, window.utc_offset_ns));
            if let Some(voice) = &heard.speech_emotion {
                self.mood.hear(voice);
            }
        }
        if job.profile.emotion {
            let (seen, heard) = (reports.seen(), reports.heard());
            findings.extend(
                self.behaviour
                    .feel(&self.mood, seen, heard, window.start_ns..window.end_ns),
            );
        }
        if let (Some(look), Some(frame)) = (&job.look, window.frames.last()) {
            findings.extend(self.behaviour.look(look, frame.pts_ns));
        }
        if let (Some(cells), Some(frame)) = (&job.cells, window.frames.last()) {
            findings.extend(self.behaviour.stands(cells, frame.pts_ns));
        }
        if let (Some(part), Some(frame)) = (job.moving, window.frames.last()) {
            let moves = self.behaviour.moves(part, frame.pts_ns, window.utc_offset_ns);
            findings.extend(moves);
        }
        let mut blended = None;
        if self.behaviour.wants_fights() {
            self.sounds.take(reports);
            let blend = fusion.and_then(|head| blend(head, reports, &self.sounds));
            findings.extend(self.behaviour.act(reports, blend.as_ref()));
            blended = blend;
        }
        (findings, blended)
    }
}

/// A camera's rules, with what those before them know.
fn behaviour(job: &Job, before: Option<Before>) -> Behaviour {
    let mut behaviour = Behaviour::new(job.profile.behaviour.clone());
    let learned = before.as_ref().and_then(|before| before.behaviour.learned());
    let learned = learned.or_else(|| job.profile.learned.clone());
    if let Some(why) = learned.and_then(|text| behaviour.recall(&text).err()) {
        tracing::warn!(camera = %job.camera(), "what was learned cannot be used and begins anew: {why}");
    }
    if let Some(before) = before.filter(|before| before.view == job.profile.view) {
        behaviour.succeed(before.behaviour);
    }
    behaviour
}

fn life(job: &Job) -> AlertLife {
    let life = AlertLife::new(job.camera().clone(), job.profile.policy.clone());
    match &job.profile.recording {
        Some(name) => life.of_recording(name),
        None => life,
    }
}

impl Stage for Fuse {
    type In = FuseInput;
    type Out = Verdict;

    fn process(&mut self, input: FuseInput, out: &mut Vec<Verdict>) -> Result<(), StageError> {
        match input {
            FuseInput::Expect(job, at_ns) => {
                let (camera, seq) = (job.camera().clone(), job.window.seq);
                let expected = self.cameras.get(&camera).and_then(|m| m.expected);
                // The stream goes on: what was over is over now.
                self.end_over(out, |over| over.camera == camera && !over.covers(seq, expected));
                // A window of the stream before the reload came behind its end: what it opened was judged by rules that are gone.
                if self
                    .cameras
                    .get(&camera)
                    .is_some_and(|m| !Arc::ptr_eq(&m.profile, &job.profile))
                {
                    self.over.push(Over::at_once(camera.clone(), EndReason::Reload));
                    self.end_over(out, |over| over.camera == camera);
                }
                let length_ns = job.window.end_ns - job.window.start_ns;
                let patience_ns = self.options.deadline_ns.map(|d| d.max(WINDOWS_WAITED * length_ns));
                let mind = self.mind(&job);
                let patience_ns = patience_ns.max(mind.patience_ns);
                (mind.expected, mind.patience_ns) = (Some(seq), patience_ns);
                mind.joiner.expect(job, patience_ns.map(|wait| at_ns + wait));
            }
            FuseInput::Report(report) => {
                let Some(mind) = self.cameras.get_mut(&report.camera) else {
                    return Ok(());
                };
                if !mind.joiner.accept(report) {
                    return Ok(());
                }
                while let Some(joined) = mind.joiner.next(self.now_ns) {
                    out.push(mind.judge(joined, self.fusion.as_deref_mut()));
                }
                self.end_over(out, |_| false);
            }
            FuseInput::Over { camera, reason, after } => {
                let patience_ns = self.cameras.get(&camera).and_then(|mind| mind.patience_ns);
                self.over.push(Over {
                    camera,
                    reason,
                    after,
                    until_ns: patience_ns.or(self.options.deadline_ns).map(|wait| self.now_ns + wait),
                });
                self.end_over(out, |_| false);
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
        self.before
            .retain(|_, before| now_ns.saturating_sub(before.since_ns) < RELOADS_NS);
        out.append(&mut self.owed);
        self.drain_ready(out);
        self.end_over(out, |_| false);
    }

    fn finish(&mut self, out: &mut Vec<Verdict>) {
        out.append(&mut self.owed);
        let mut cameras: Vec<CameraId> = self.cameras.keys().cloned().collect();
        cameras.sort();
        let over = |camera| Over::at_once(camera, EndReason::Shutdown);
        self.over.extend(cameras.into_iter().map(over));
        self.end_over(out, |_| true);
    }
}

#[cfg(test)]
mod tests;
