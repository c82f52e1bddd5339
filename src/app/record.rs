//! Behind the graph: verdicts → snapshots, store, MQTT, counters.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Board;
use super::keep::Keeper;
use crate::clock::Clock;
use crate::data::{Alert, Branch, CameraId, Emotion, HearingReport, Kind, Phase, Picture, Snapshots, Status};
use crate::graph::{EdgeOut, Next};
use crate::publish::payload::{AlertPayload, EmotionPayload, LevelsPayload, rounded, utc};
use crate::publish::{Publisher, Topics};
use crate::stages::Verdict;
use crate::store::{Message, Store, write_snapshot};

/// Takes what the graph decided and makes it last.
pub(super) struct Recorder {
    keeper: Keeper,
    publisher: Publisher,
    topics: Topics,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    /// Open alerts by camera and kind.
    open: HashMap<(CameraId, Kind), Vec<String>>,
    /// The pictures of open alerts, by alert.
    snapshots: HashMap<String, String>,
    levels: HashMap<CameraId, Levels>,
    emotion: HashMap<CameraId, (u64, Emotion)>,
}

impl Recorder {
    pub fn new(store: Store, publisher: Publisher, topics: Topics, clock: Arc<dyn Clock>, board: Arc<Board>) -> Self {
        Self {
            keeper: Keeper::new(store, clock.clone(), board.clone()),
            publisher,
            topics,
            clock,
            board,
            open: HashMap::new(),
            snapshots: HashMap::new(),
            levels: HashMap::new(),
            emotion: HashMap::new(),
        }
    }

    /// Runs until the edge closes. `first`: what is to be told before anything else.
    pub fn spawn(mut self, verdicts: EdgeOut<Verdict>, first: Vec<Message>) -> std::io::Result<JoinHandle<()>> {
        first.into_iter().for_each(|message| self.keeper.push(message));
        std::thread::Builder::new().name("wf-record".into()).spawn(move || {
            self.commit();
            loop {
                match verdicts.next(Duration::from_secs(1)) {
                    Next::Item(verdict) => self.take(verdict),
                    Next::Idle => {}
                    Next::Closed => break,
                }
                // A camera that streams leaves no idle second.
                if self.keeper.tend() {
                    self.publisher.wake();
                }
            }
            if self.keeper.commit_last() {
                self.publisher.wake();
            }
        })
    }

    fn take(&mut self, verdict: Verdict) {
        self.count(&verdict);
        for alert in &verdict.alerts {
            let mut alert = alert.clone();
            self.snapshot(&verdict, &mut alert);
            self.note_open(&alert);
            tracing::info!(
                camera = %alert.camera, kind = %alert.kind, phase = %alert.phase, zone = alert.zone.as_deref(),
                score = rounded(alert.score), id = %alert.id, "alert"
            );
            let payload = AlertPayload::new(&alert, self.topics.site(), self.topics.box_name());
            self.keeper.push(Message {
                alert_id: alert.id.clone(),
                camera: alert.camera.to_string(),
                kind: alert.kind.to_string(),
                phase: alert.phase.to_string(),
                started_utc_ms: alert.started_utc_ns / 1_000_000,
                topic: self.topics.alert(alert.camera.as_str(), alert.kind.as_str()),
                payload: serde_json::to_string(&payload).unwrap_or_default(),
            });
        }
        if !verdict.alerts.is_empty() {
            self.commit();
        }
        if let Some(learned) = &verdict.learned {
            self.keeper.keep_learned(verdict.camera.as_str(), learned);
        }
        self.levels(&verdict);
        self.emotion(&verdict);
    }

    fn commit(&mut self) {
        if self.keeper.commit_soon() {
            self.publisher.wake();
        }
    }

    fn note_open(&mut self, alert: &Alert) {
        let ids = self.open.entry((alert.camera.clone(), alert.kind)).or_default();
        let was = !ids.is_empty();
        match alert.phase {
            Phase::Start => ids.push(alert.id.clone()),
            Phase::Update => {}
            Phase::End => ids.retain(|id| *id != alert.id),
        }
        let is = !ids.is_empty();
        // Held while it is said: a camera or kind that is removed meanwhile has its topics cleared after this.
        let watched = self.board.watched.read();
        let is_watched = watched
            .get(&alert.camera)
            .is_some_and(|kinds| kinds.contains(&alert.kind));
        if was != is && is_watched {
            let topic = self.topics.active(alert.camera.as_str(), alert.kind.as_str());
            self.publisher
                .retain(topic, if is { b"ON".to_vec() } else { b"OFF".to_vec() });
        }
    }

    /// Takes the picture of an alert that starts, and names it in every message of that alert.
    fn snapshot(&mut self, verdict: &Verdict, alert: &mut Alert) {
        match alert.phase {
            Phase::Start => self.take_snapshot(verdict, alert),
            Phase::Update => alert.snapshot = self.snapshots.get(&alert.id).cloned(),
            Phase::End => alert.snapshot = self.snapshots.remove(&alert.id),
        }
    }

    fn take_snapshot(&mut self, verdict: &Verdict, alert: &mut Alert) {
        // What room is left is for alerts.
        if verdict.snapshots == Snapshots::Off || self.keeper.is_in_trouble() {
            return;
        }
        let Some(picture) = picture_of(verdict) else { return };
        let mut written = write_snapshot(self.keeper.dir(), alert, picture);
        if let Err(error) = &written
            && self.keeper.helped(error)
        {
            written = write_snapshot(self.keeper.dir(), alert, picture);
        }
        match written {
            Ok((name, bytes)) => {
                self.snapshots.insert(alert.id.clone(), name.clone());
                alert.snapshot = Some(name);
                if verdict.snapshots == Snapshots::Mqtt {
                    let topic = self.topics.snapshot(alert.camera.as_str(), alert.kind.as_str());
                    self.publisher.send_acknowledged(topic, bytes);
                }
            }
            Err(error) => tracing::warn!(camera = %alert.camera, %error, "no snapshot"),
        }
    }

    fn count(&self, verdict: &Verdict) {
        let metrics = self.board.metrics.read();
        let Some(camera) = metrics.cameras.get(&verdict.camera) else {
            return;
        };
        for report in verdict.reports.iter() {
            camera.report(report.branch, report.status);
        }
        let now_ns = self.clock.monotonic_ns();
        if let Some(window) = &verdict.window {
            camera.latency.observe_ns(now_ns.saturating_sub(window.arrived_ns));
        }
        let vision = verdict.reports.get(Branch::Vision);
        if vision.is_some_and(|v| v.status == Status::Ok) {
            camera.last_ok_ns.store(now_ns, Relaxed);
        }
        if verdict.reports.are_skewed() && camera.skewed.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                camera = %verdict.camera,
                "picture and sound lie too far apart to be joined: a fight is judged without the sound in such windows, which \
                 watchfire_skewed_total counts"
            );
        }
        let starts = verdict.alerts.iter().filter(|a| a.phase == Phase::Start).count();
        camera.alerts.fetch_add(starts as u64, Relaxed);
    }

    /// What a camera that has opted in sees in faces and hears in voices: told when it changes, at most once a second
    /// of stream.
    fn emotion(&mut self, verdict: &Verdict) {
        let Some(emotion) = &verdict.emotion else { return };
        let (at_ns, at_utc_ns) = match &verdict.window {
            Some(window) => (window.end_ns, window.utc_ns(window.end_ns)),
            None => (u64::MAX, self.clock.utc_ns()),
        };
        if let Some((told_ns, told)) = self.emotion.get(&verdict.camera)
            && (told == emotion || at_ns.abs_diff(*told_ns) < 1_000_000_000)
        {
            return;
        }
        let opted_in = self.board.emotion.read();
        if !opted_in.contains(&verdict.camera) {
            self.emotion.remove(&verdict.camera);
            return;
        }
        self.emotion.insert(verdict.camera.clone(), (at_ns, emotion.clone()));
        let payload = EmotionPayload::new(emotion, at_utc_ns);
        let topic = self.topics.emotion(verdict.camera.as_str());
        self.publisher
            .retain(topic, serde_json::to_vec(&payload).unwrap_or_default());
    }

    /// Once a second of stream.
    fn levels(&mut self, verdict: &Verdict) {
        let Some(window) = &verdict.window else { return };
        let since = self.levels.entry(verdict.camera.clone()).or_default();
        since.hear(verdict.heard());
        since.frames += window.frames.len();
        since.span_ns += window.end_ns - window.start_ns;
        if window.end_ns.saturating_sub(since.told_ns) < 1_000_000_000 {
            return;
        }
        let loudest = std::mem::replace(
            since,
            Levels {
                told_ns: window.end_ns,
                ..Levels::default()
            },
        );
        let mut tracks = BTreeMap::new();
        if let Some(frame) = verdict.seen().and_then(|s| s.frames.last()) {
            for track in &frame.tracks {
                *tracks.entry(track.class.to_string()).or_insert(0) += 1;
            }
        }
        let mut sounds: Vec<(Arc<str>, f32)> = loudest.sounds.into_iter().collect();
        sounds.sort_by(|a, b| b.1.total_cmp(&a.1));
        let seconds = loudest.span_ns as f64 / 1e9;
        let levels = LevelsPayload {
            at: utc(window.utc_ns(window.end_ns)),
            dbfs: loudest.dbfs.map(rounded),
            sounds: sounds
                .into_iter()
                .take(5)
                .map(|(label, score)| (label.to_string(), rounded(score)))
                .collect(),
            tracks,
            fps: (loudest.frames as f64 / seconds * 10.0).round() / 10.0,
            latency_ms: self.clock.monotonic_ns().saturating_sub(window.arrived_ns) / 1_000_000,
        };
        let topic = self.topics.levels(verdict.camera.as_str());
        self.publisher
            .send(topic, serde_json::to_vec(&levels).unwrap_or_default());
    }
}

/// What came and was heard since the last message of levels: a shot between two messages must not be missed by who chooses a threshold.
#[derive(Default)]
struct Levels {
    told_ns: u64,
    frames: usize,
    span_ns: u64,
    dbfs: Option<f32>,
    sounds: BTreeMap<Arc<str>, f32>,
}

impl Levels {
    fn hear(&mut self, heard: Option<&HearingReport>) {
        let Some(heard) = heard else { return };
        self.dbfs = Some(
            self.dbfs
                .map_or(heard.level_dbfs, |louder| louder.max(heard.level_dbfs)),
        );
        for patch in &heard.patches {
            for (label, score) in heard.labels.iter().zip(&patch.scores) {
                let best = self.sounds.entry(label.clone()).or_default();
                *best = best.max(*score);
            }
        }
    }
}

/// The newest picture of the verdict's window.
fn picture_of(verdict: &Verdict) -> Option<&Picture> {
    verdict.window.as_ref()?.frames.last().map(|f| &*f.picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SoundPatch;

    #[test]
    fn a_shot_between_two_messages_stands_in_the_next() {
        let heard = |scores: &[&[f32]], level_dbfs| HearingReport {
            patches: scores
                .iter()
                .map(|s| SoundPatch {
                    start_ns: 0,
                    end_ns: 0,
                    scores: s.to_vec(),
                    level_dbfs,
                })
                .collect(),
            labels: Arc::from(["gunshot".into(), "siren".into()]),
            rules: Arc::from([]),
            level_dbfs,
            model: "sound@1".into(),
            speech_emotion: None,
        };
        let mut levels = Levels::default();
        levels.hear(Some(&heard(&[&[0.9, 0.1], &[0.2, 0.3]], -20.0)));
        levels.hear(Some(&heard(&[&[0.1, 0.2]], -50.0)));
        levels.hear(None);
        assert_eq!(levels.dbfs, Some(-20.0));
        assert_eq!(levels.sounds.into_values().collect::<Vec<_>>(), [0.9, 0.3]);
    }
}
