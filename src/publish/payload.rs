//! The wire form of what is published. Fields may be added within a version, never changed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{Alert, BBox, CameraStatus, Distribution, Emotion};

/// An alert, as in `watchfire.alert/1`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AlertPayload {
    /// Always `watchfire.alert/1`.
    pub schema: String,
    /// ULID of the alert; the same over its life.
    pub id: String,
    /// 0 for the start, then counting up: with `id` it tells repeats.
    pub seq: u32,
    /// `start`, `update` or `end`.
    pub phase: String,
    pub site: String,
    #[serde(rename = "box")]
    pub box_name: String,
    pub camera: String,
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// Probability, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f64,
    /// Probability before any evidence: its log-odds and the contributions add up to the score's. Null in what older
    /// versions told.
    #[serde(default)]
    pub prior: Option<f64>,
    /// When what it tells of began, as far as it was seen. UTC with milliseconds, as all times.
    pub started_at: String,
    /// When this message was made, on the camera's clock: that of a start is later than `started_at` by what it took to be sure.
    pub updated_at: String,
    /// When the evidence ended.
    pub ended_at: Option<String>,
    /// `cleared` (its evidence is gone), `camera_lost` (its stream broke off), `reload` (its camera was changed, removed or
    /// switched off), `restart` (the process before ended without telling), `shutdown` (it was stopped) or `eof` (the recording ended).
    pub end_reason: Option<String>,
    /// The zone's or line's name.
    pub zone: Option<String>,
    /// `left_to_right` or `right_to_left`.
    pub direction: Option<String>,
    pub tracks: Vec<TrackPayload>,
    /// What the faces of its tracks seem to express, by label; only of cameras that have opted in.
    pub emotion: Option<BTreeMap<String, f64>>,
    pub evidence: Vec<EvidencePayload>,
    /// 0, or how many alerts this one stands for: what is more than `max_per_hour` of a kind in a zone is told as one.
    #[serde(default)]
    pub suppressed: u32,
    /// The snapshot's file below `state.dir/snapshots`.
    pub snapshot: Option<String>,
    /// Null in this version.
    pub clip: Option<String>,
    /// The recording that it was found in (`replay` only).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrackPayload {
    pub id: u64,
    pub class: String,
    pub score: f64,
    /// x1, y1, x2, y2 in fractions of the picture.
    pub bbox: [f64; 4],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvidencePayload {
    /// `video` or `audio`.
    pub modality: String,
    /// `name@version`, or `rule:NAME` where a rule judged.
    pub model: String,
    pub label: String,
    pub score: f64,
    /// Signed, in log-odds.
    pub contribution: f64,
    /// |contribution| / Σ|contribution|
    pub share: f64,
    pub at: String,
}

impl AlertPayload {
    pub fn new(alert: &Alert, site: &str, box_name: &str) -> Self {
        Self {
            schema: "watchfire.alert/1".into(),
            id: alert.id.clone(),
            seq: alert.seq,
            phase: alert.phase.to_string(),
            site: site.into(),
            box_name: box_name.into(),
            camera: alert.camera.to_string(),
            kind: alert.kind.to_string(),
            severity: alert.severity.to_string(),
            prior: Some(rounded(alert.prior)),
            score: rounded(alert.score),
            started_at: utc(alert.started_utc_ns),
            updated_at: utc(alert.updated_utc_ns),
            ended_at: alert.ended_utc_ns.map(utc),
            end_reason: alert.end_reason.map(|r| r.to_string()),
            zone: alert.zone.as_ref().map(ToString::to_string),
            direction: alert.direction.map(|d| d.to_string()),
            tracks: alert
                .tracks
                .iter()
                .map(|t| TrackPayload {
                    id: t.id,
                    class: t.class.to_string(),
                    score: rounded(t.score),
                    bbox: corners(&t.bbox),
                })
                .collect(),
            emotion: alert.emotion.as_ref().map(by_label),
            evidence: alert
                .evidence
                .iter()
                .map(|e| EvidencePayload {
                    modality: e.modality.to_string(),
                    model: e.model.to_string(),
                    label: e.label.to_string(),
                    score: rounded(e.score),
                    contribution: rounded(e.contribution),
                    share: rounded(e.share),
                    at: utc(e.at_utc_ns),
                })
                .collect(),
            suppressed: alert.suppressed,
            snapshot: alert.snapshot.clone(),
            clip: None,
            source: None,
        }
    }

    /// The end of an alert that a crash left open.
    pub fn ended_by_restart(mut self, now_utc_ns: i64) -> Self {
        self.seq += 1;
        self.phase = "end".into();
        self.ended_at = Some(self.updated_at.clone());
        self.updated_at = utc(now_utc_ns);
        self.end_reason = Some("restart".into());
        self
    }
}

/// A camera's state, retained.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CameraStatusPayload {
    /// `starting`, `streaming`, `stalled`, `offline`, `disabled` or `error`.
    pub state: String,
    pub since: String,
    /// `auth_failed`, `not_found`, `unreachable`, `refused`, `tls`, `no_video`, `unsupported_codec`, `stalled`, `eos`,
    /// `config` or `internal`.
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub attempts: u32,
    pub retry_at: Option<String>,
    #[serde(rename = "box")]
    pub box_name: String,
    /// The camera's clock minus the host's.
    pub clock_offset_ms: Option<i64>,
    pub video: Option<VideoPayload>,
    pub audio: Option<AudioPayload>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VideoPayload {
    pub codec: String,
    pub width: u32,
    pub height: u32,
    pub fps: f64,
    pub decoder: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AudioPayload {
    pub codec: String,
    pub rate_hz: u32,
}

impl CameraStatusPayload {
    pub fn new(status: &CameraStatus, box_name: &str) -> Self {
        Self {
            state: status.state.to_string(),
            since: utc(status.since_utc_ns),
            reason: status.reason.map(|r| r.to_string()),
            detail: status.detail.clone(),
            attempts: status.attempts,
            retry_at: status.retry_at_utc_ns.map(utc),
            box_name: box_name.into(),
            clock_offset_ms: status.clock_offset_ms,
            video: status.video.as_ref().map(|v| VideoPayload {
                codec: v.codec.clone(),
                width: v.width_px,
                height: v.height_px,
                fps: rounded(v.fps),
                decoder: v.decoder.clone(),
            }),
            audio: status.audio.as_ref().map(|a| AudioPayload {
                codec: a.codec.clone(),
                rate_hz: a.rate_hz,
            }),
        }
    }
}

/// The box, retained, every 30 s.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BoxStatusPayload {
    pub version: String,
    pub uptime_s: u64,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Cameras by state.
    pub cameras: BTreeMap<String, u32>,
    /// Alerts that wait for the broker.
    pub outbox: u64,
    /// Windows shed under load since the start.
    pub shed: u64,
    /// Alerts that were dropped because too many waited, since the start.
    pub evicted: u64,
    /// What a person should look at: a wrong configuration, a full disk.
    pub problems: Vec<String>,
}

/// For tuning thresholds, once a second.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LevelsPayload {
    pub at: String,
    /// Loudness (RMS) of the loudest window since the last message; null without sound.
    pub dbfs: Option<f64>,
    /// The five likeliest sounds since the last message, with the highest score of each.
    pub sounds: BTreeMap<String, f64>,
    /// Tracks by class.
    pub tracks: BTreeMap<String, u32>,
    /// Frames analysed a second.
    pub fps: f64,
    /// From the window's last part received to its verdict.
    pub latency_ms: u64,
}

/// What a camera's people seem to express: probabilities by label. Null where nothing was read in the last 5 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmotionPayload {
    pub at: String,
    /// Of the faces in view, each weighed by how much it shows.
    pub face: Option<BTreeMap<String, f64>>,
    /// Of the voice.
    pub speech: Option<BTreeMap<String, f64>>,
    /// Of the voice on the whole, from -1 (calm) to 1 (excited).
    #[serde(default)]
    #[schemars(range(min = -1.0, max = 1.0))]
    pub arousal: Option<f64>,
    /// Of the voice on the whole, from -1 (unpleasant) to 1 (pleasant).
    #[serde(default)]
    #[schemars(range(min = -1.0, max = 1.0))]
    pub valence: Option<f64>,
    /// Both, pooled over the labels that both know.
    pub fused: Option<BTreeMap<String, f64>>,
}

impl EmotionPayload {
    pub fn new(emotion: &Emotion, at_utc_ns: i64) -> Self {
        let of = |d: &Option<Distribution>| d.as_ref().map(by_label);
        Self {
            at: utc(at_utc_ns),
            face: of(&emotion.face),
            speech: of(&emotion.speech),
            arousal: emotion.affect.map(|a| rounded(a.arousal)),
            valence: emotion.affect.map(|a| rounded(a.valence)),
            fused: of(&emotion.fused),
        }
    }
}

fn by_label(d: &Distribution) -> BTreeMap<String, f64> {
    d.iter().map(|(label, p)| (label.to_string(), rounded(*p))).collect()
}

/// RFC 3339 in UTC with milliseconds.
pub fn utc(ns: i64) -> String {
    let ms = ns.div_euclid(1_000_000);
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}

/// Four decimals: a score is not surer than that, and payloads stay readable.
pub fn rounded(v: f32) -> f64 {
    (f64::from(v) * 1e4).round() / 1e4
}

fn corners(b: &BBox) -> [f64; 4] {
    [b.x1, b.y1, b.x2, b.y2].map(rounded)
}

/// The JSON Schemas of docs/schema by file name.
pub fn schemas() -> Vec<(&'static str, String)> {
    fn text<T: JsonSchema>() -> String {
        let schema = schemars::schema_for!(T);
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    }
    vec![
        ("alert.json", text::<AlertPayload>()),
        ("camera_status.json", text::<CameraStatusPayload>()),
        ("box_status.json", text::<BoxStatusPayload>()),
        ("levels.json", text::<LevelsPayload>()),
        ("emotion.json", text::<EmotionPayload>()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::{
        Affect, AlertTrack, CameraId, Direction, EndReason, EvidenceItem, Kind, Modality, Phase, Severity,
    };

    const S: i64 = 1_000_000_000;

    fn feelings(happy: f32, sad: f32) -> Distribution {
        vec![("happy".into(), happy), ("sad".into(), sad)]
    }

    fn evidence(modality: Modality, model: &str, label: &str, numbers: [f32; 3], at_s: i64) -> EvidenceItem {
        let [score, contribution, share] = numbers;
        EvidenceItem {
            modality,
            model: model.into(),
            label: label.into(),
            score,
            contribution,
            share,
            at_utc_ns: at_s * S,
        }
    }

    #[test]
    fn an_alert_is_told_field_by_field() {
        let alert = Alert {
            id: "01JDEADBEEF".into(),
            seq: 3,
            phase: Phase::End,
            camera: CameraId::new("yard"),
            kind: Kind::LineCrossing,
            severity: Severity::Warning,
            prior: 0.05,
            score: 0.871_26,
            started_utc_ns: 10 * S,
            updated_utc_ns: 25 * S,
            ended_utc_ns: Some(20 * S),
            end_reason: Some(EndReason::CameraLost),
            zone: Some("gate".into()),
            direction: Some(Direction::RightToLeft),
            tracks: vec![AlertTrack {
                id: 7,
                class: "car".into(),
                score: 0.62,
                bbox: BBox {
                    x1: 0.1,
                    y1: 0.2,
                    x2: 0.3,
                    y2: 0.4,
                },
            }],
            emotion: Some(feelings(0.75, 0.25)),
            evidence: vec![
                evidence(Modality::Video, "detector@1", "person", [0.62, 2.5, 0.8], 11),
                evidence(Modality::Audio, "sound@2", "siren", [0.34, -0.625, 0.2], 12),
            ],
            suppressed: 4,
            snapshot: Some("yard/01JDEADBEEF.jpg".into()),
        };
        let told = serde_json::to_value(AlertPayload::new(&alert, "gatehouse", "edge-1")).unwrap();
        let expected = json!({
            "schema": "watchfire.alert/1", "id": "01JDEADBEEF", "seq": 3, "phase": "end",
            "site": "gatehouse", "box": "edge-1", "camera": "yard", "kind": "line_crossing", "severity": "warning",
            "score": 0.8713, "prior": 0.05,
            "started_at": "1970-01-01T00:00:10.000Z", "updated_at": "1970-01-01T00:00:25.000Z",
            "ended_at": "1970-01-01T00:00:20.000Z", "end_reason": "camera_lost",
            "zone": "gate", "direction": "right_to_left",
            "tracks": [{"id": 7, "class": "car", "score": 0.62, "bbox": [0.1, 0.2, 0.3, 0.4]}],
            "emotion": {"happy": 0.75, "sad": 0.25},
            "evidence": [
                {
                    "modality": "video", "model": "detector@1", "label": "person",
                    "score": 0.62, "contribution": 2.5, "share": 0.8, "at": "1970-01-01T00:00:11.000Z",
                },
                {
                    "modality": "audio", "model": "sound@2", "label": "siren",
                    "score": 0.34, "contribution": -0.625, "share": 0.2, "at": "1970-01-01T00:00:12.000Z",
                },
            ],
            "suppressed": 4, "snapshot": "yard/01JDEADBEEF.jpg", "clip": null,
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn what_people_express_is_told_field_by_field() {
        let emotion = Emotion {
            face: Some(feelings(0.5, 0.5)),
            speech: Some(feelings(0.25, 0.75)),
            affect: Some(Affect {
                arousal: 0.5,
                valence: -0.25,
            }),
            fused: Some(feelings(0.375, 0.625)),
        };
        let told = serde_json::to_value(EmotionPayload::new(&emotion, 10 * S)).unwrap();
        let expected = json!({
            "at": "1970-01-01T00:00:10.000Z",
            "face": {"happy": 0.5, "sad": 0.5}, "speech": {"happy": 0.25, "sad": 0.75},
            "arousal": 0.5, "valence": -0.25, "fused": {"happy": 0.375, "sad": 0.625},
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(1_763_951_746_120_999_999), "2025-11-24T02:35:46.120Z");
    }
}
