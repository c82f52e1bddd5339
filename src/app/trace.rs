//! What every branch said over time, gathered from verdicts for a plot.

mod asked;

use std::collections::BTreeMap;

use crate::behaviour::BehaviourOptions;
use crate::config::CameraConfig;
use crate::data::{Alert, Kind, Phase, Severity};
use crate::fusion::pool;
use crate::nn::BACKGROUND;
use crate::stages::Verdict;
use asked::Asked;

/// One modality's scores over time, in seconds from the recording's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    pub name: String,
    /// Lowest and highest value shown.
    pub range: (f64, f64),
    pub unit: &'static str,
    /// Label → points of (seconds, value), in the order of time.
    pub series: BTreeMap<String, Vec<(f64, f64)>>,
    /// Label → the value from which it counts.
    pub thresholds: BTreeMap<String, f64>,
}

impl Lane {
    fn point(&mut self, label: &str, at_s: f64, value: f32) {
        let series = self.series.entry(label.to_owned()).or_default();
        series.push((at_s, f64::from(value)));
    }
}

/// Something found at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub at_s: f64,
    pub name: String,
    pub score: f64,
}

/// An alert from its start to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub id: String,
    pub name: String,
    pub severity: Severity,
    pub score: f64,
    pub from_s: f64,
    pub to_s: f64,
}

/// Everything that a plot shows.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub lanes: Vec<Lane>,
    pub findings: Vec<Mark>,
    pub alerts: Vec<Span>,
    pub seconds: f64,
    /// UTC of the first window, from which seconds are counted.
    pub start_utc_ns: Option<i64>,
    pub(super) asked: Asked,
}

/// The learned fusion's word on a fight, before nearness and the camera's own prior.
const TOGETHER: &str = "fight by picture and sound";
const SCORES: (f64, f64) = (0.0, 1.0);
const AFFECT: (f64, f64) = (-1.0, 1.0);
const LEVELS_DBFS: (f64, f64) = (-90.0, 0.0);
/// A person who walks by changes a few cells in a hundred; more than the greatest is drawn as that.
const MOVING_PERCENT: (f64, f64) = (0.0, 25.0);

impl Trace {
    pub fn new(camera: &CameraConfig) -> Self {
        let mut trace = Self {
            asked: Asked {
                kinds: camera.policy.kinds.iter().map(|p| p.kind).collect(),
                emotion: camera.emotion,
            },
            ..Self::default()
        };
        trace.thresholds(&camera.behaviour);
        trace
    }

    fn thresholds(&mut self, behaviour: &BehaviourOptions) {
        let asked = self.asked.clone();
        let mut need = |lane: &str, label: &str, from: f32| {
            let lane = self.lane(lane, SCORES, "score");
            lane.thresholds.insert(label.to_owned(), f64::from(from));
        };
        let zones = behaviour.zones.iter();
        for zone in zones.filter(|z| z.kinds.iter().any(|kind| asked.about(*kind))) {
            for (class, score) in &zone.min_score {
                need("video", class, *score);
            }
        }
        for rule in behaviour.sounds.iter().filter(|r| asked.about(r.kind)) {
            need("audio", rule.kind.as_str(), rule.threshold);
        }
        if let Some(fight) = behaviour.fight.as_ref().filter(|_| asked.about(Kind::Fight)) {
            for lane in ["action", "fusion"] {
                need(lane, Kind::Fight.as_str(), fight.threshold);
            }
        }
        for mood in behaviour.moods.iter().filter(|m| asked.about(m.kind)) {
            need("fusion", mood.kind.as_str(), mood.threshold);
        }
    }

    pub fn take(&mut self, verdict: &Verdict) {
        if let Some(window) = &verdict.window {
            let start_ns = *self.start_utc_ns.get_or_insert(window.utc_ns(window.start_ns));
            let seconds = |pts_ns: u64| (window.utc_ns(pts_ns) - start_ns) as f64 / 1e9;
            self.seconds = self.seconds.max(seconds(window.end_ns));
            self.see(verdict, seconds);
            self.hear(verdict, seconds);
            self.act(verdict, seconds);
            self.fuse(verdict, seconds);
            let end_s = seconds(window.end_ns);
            for (kind, score) in &verdict.judged {
                if self.asked.about(*kind) {
                    let lane = self.lane("fusion", SCORES, "score");
                    lane.point(kind.as_str(), end_s, *score);
                }
            }
            self.feel(verdict, end_s);
            if let Some(part) = verdict.moving {
                let lane = self.lane("motion", MOVING_PERCENT, "% of the picture");
                lane.point("moving", end_s, 100.0 * part);
            }
            for finding in verdict.findings.iter().filter(|f| self.asked.about(f.kind)) {
                self.findings.push(Mark {
                    at_s: seconds(finding.newest_ns()),
                    name: named(finding.kind, finding.zone.as_deref()),
                    score: finding.score.into(),
                });
            }
        }
        for alert in &verdict.alerts {
            self.alert(alert);
        }
    }

    /// The surest track of each class at each frame; nobody is 0.
    fn see(&mut self, verdict: &Verdict, seconds: impl Fn(u64) -> f64) {
        let Some(seen) = verdict.seen().filter(|_| self.asked.of_tracks()) else {
            return;
        };
        let lane = self.lane("video", SCORES, "score");
        for frame in &seen.frames {
            let mut best: BTreeMap<String, f32> = lane.series.keys().map(|class| (class.clone(), 0.0)).collect();
            for track in frame.tracks.iter().filter(|t| t.seen) {
                let score = best.entry(track.class.to_string()).or_default();
                *score = score.max(track.score);
            }
            for (class, score) in best {
                lane.point(&class, seconds(frame.pts_ns), score);
            }
        }
    }

    /// The scores of each patch, and how loud it was.
    fn hear(&mut self, verdict: &Verdict, seconds: impl Fn(u64) -> f64) {
        let Some(heard) = verdict.heard().filter(|_| self.asked.of_sound()) else {
            return;
        };
        let shown: Vec<bool> = heard
            .labels
            .iter()
            .map(|label| &**label != BACKGROUND && self.asked.hears(label))
            .collect();
        for patch in &heard.patches {
            let at_s = seconds(patch.start_ns);
            let lane = self.lane("audio", SCORES, "score");
            let scores = heard.labels.iter().zip(&patch.scores);
            for ((label, score), _) in scores.zip(&shown).filter(|(_, shown)| **shown) {
                lane.point(label, at_s, *score);
            }
            let level = self.lane("level", LEVELS_DBFS, "dBFS");
            level.point("loudness", at_s, patch.level_dbfs.max(LEVELS_DBFS.0 as f32));
        }
    }

    /// What the clip model says of the clip that ends there.
    fn act(&mut self, verdict: &Verdict, seconds: impl Fn(u64) -> f64) {
        let Some(acted) = verdict.acted().filter(|_| self.asked.about(Kind::Fight)) else {
            return;
        };
        let lane = self.lane("action", SCORES, "score");
        for (label, score) in acted.told() {
            lane.point(label, seconds(acted.end_ns), score);
        }
    }

    /// What the learned fusion makes of picture and sound of a clip, together and of each alone.
    fn fuse(&mut self, verdict: &Verdict, seconds: impl Fn(u64) -> f64) {
        let (Some(blend), Some(acted)) = (&verdict.blend, verdict.acted()) else {
            return;
        };
        if !self.asked.about(Kind::Fight) {
            return;
        }
        let (lane, at_s) = (self.lane("fusion", SCORES, "score"), seconds(acted.end_ns));
        lane.point(TOGETHER, at_s, pool(blend.prior, &blend.evidence));
        for evidence in &blend.evidence {
            let name = format!("{} by {} alone", evidence.label, evidence.modality);
            lane.point(&name, at_s, evidence.score);
        }
    }

    /// What faces, voice and both seem to express; nothing where nothing was read lately.
    fn feel(&mut self, verdict: &Verdict, at_s: f64) {
        let Some(emotion) = verdict.emotion.as_ref().filter(|_| self.asked.of_moods()) else {
            return;
        };
        let lanes = [
            ("face", &emotion.face),
            ("voice", &emotion.speech),
            ("emotion", &emotion.fused),
        ];
        for (name, says) in lanes {
            let lane = self.lane(name, SCORES, "score");
            for (label, p) in says.iter().flatten().filter(|(label, _)| &**label != "neutral") {
                lane.point(label, at_s, *p);
            }
        }
        let lane = self.lane("affect", AFFECT, "of the voice");
        if let Some(affect) = emotion.affect {
            lane.point("arousal", at_s, affect.arousal);
            lane.point("valence", at_s, affect.valence);
        }
    }

    fn alert(&mut self, alert: &Alert) {
        let Some(start_ns) = self.start_utc_ns else { return };
        let seconds = |utc_ns: i64| (utc_ns - start_ns) as f64 / 1e9;
        let to_s = seconds(alert.ended_utc_ns.unwrap_or(alert.updated_utc_ns));
        let spans = &mut self.alerts;
        let span = match spans.iter().position(|s| s.id == alert.id) {
            Some(at) => &mut spans[at],
            None => {
                spans.push(Span {
                    id: alert.id.clone(),
                    name: named(alert.kind, alert.zone.as_deref()),
                    severity: alert.severity,
                    score: alert.score.into(),
                    from_s: seconds(alert.started_utc_ns),
                    to_s,
                });
                let last = spans.len() - 1;
                &mut spans[last]
            }
        };
        span.score = alert.score.into();
        span.severity = alert.severity;
        // An alert without a message of its end is open to the end of the plot.
        span.to_s = if alert.phase == Phase::End { to_s } else { f64::INFINITY };
    }

    fn lane(&mut self, name: &str, range: (f64, f64), unit: &'static str) -> &mut Lane {
        let at = self.lanes.iter().position(|l| l.name == name).unwrap_or_else(|| {
            self.lanes.push(Lane {
                name: name.to_owned(),
                range,
                unit,
                ..Lane::default()
            });
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }
}

fn named(kind: Kind, zone: Option<&str>) -> String {
    zone.map_or_else(|| kind.to_string(), |zone| format!("{kind} {zone}"))
}

#[cfg(test)]
mod tests;
