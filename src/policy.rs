//! An alert's life: start, update, end. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::data::{Alert, CameraId, EndReason, Finding, Kind, Phase, Severity};
use crate::fusion::explained;

/// How alerts of one kind live.
#[derive(Clone, Debug, PartialEq)]
pub struct KindPolicy {
    pub kind: Kind,
    pub severity: Severity,
    /// The alert ends when its evidence has been gone for so long.
    pub hold_s: f32,
    /// No new alert of the same (kind, zone) for so long after an end.
    pub cooldown_s: f32,
}

impl KindPolicy {
    pub fn default_for(kind: Kind) -> Self {
        let (severity, hold_s, cooldown_s) = match kind {
            Kind::Intrusion => (Severity::Warning, 5.0, 10.0),
            Kind::Loitering => (Severity::Warning, 10.0, 60.0),
            Kind::LineCrossing => (Severity::Info, 2.0, 2.0),
            Kind::Crowd => (Severity::Warning, 10.0, 60.0),
            Kind::Fight => (Severity::Critical, 5.0, 30.0),
            Kind::Gunshot | Kind::Explosion => (Severity::Critical, 5.0, 10.0),
            Kind::GlassBreak => (Severity::Critical, 5.0, 10.0),
            Kind::Siren => (Severity::Info, 5.0, 30.0),
            Kind::BabyCry | Kind::DogBark => (Severity::Info, 5.0, 30.0),
        };
        Self {
            kind,
            severity,
            hold_s,
            cooldown_s,
        }
    }
}

/// The life of one camera's alerts: one entry for every kind that may alert.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PolicyOptions {
    pub kinds: Vec<KindPolicy>,
}

/// Updates of one alert are at least so far apart.
const UPDATE_NS: u64 = 2_000_000_000;

/// What makes an alert the same one: presence and sounds by zone, crossings by track as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: Kind,
    zone: Option<Arc<str>>,
    track: Option<u64>,
}

struct Open {
    alert: Alert,
    last_evidence_ns: u64,
    last_sent_ns: u64,
    changed: bool,
}

/// The alerts of one camera.
pub struct AlertLife {
    camera: CameraId,
    options: PolicyOptions,
    open: BTreeMap<Key, Open>,
    /// When the last alert of a key ended.
    ended_ns: BTreeMap<Key, u64>,
    counter: u64,
}

impl AlertLife {
    pub fn new(camera: CameraId, options: PolicyOptions) -> Self {
        Self {
            camera,
            options,
            open: BTreeMap::new(),
            ended_ns: BTreeMap::new(),
            counter: 0,
        }
    }

    pub fn set_options(&mut self, options: PolicyOptions) {
        self.options = options;
    }

    /// Kinds with an open alert, in order and without repeats.
    pub fn open_kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.open.keys().map(|k| k.kind).collect();
        kinds.dedup();
        kinds
    }

    /// One window: `now_ns` is its end on the camera's clock. Findings of kinds without a policy are ignored.
    pub fn step(&mut self, findings: &[Finding], now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let mut out = Vec::new();
        for finding in findings {
            out.extend(self.take(finding, now_ns, utc_offset_ns));
        }
        let mut over = Vec::new();
        for (key, open) in &mut self.open {
            let hold_ns = policy(&self.options, key.kind).map_or(0, |p| (p.hold_s * 1e9) as u64);
            if now_ns.saturating_sub(open.last_evidence_ns) > hold_ns {
                over.push(key.clone());
            } else if open.changed && now_ns.saturating_sub(open.last_sent_ns) >= UPDATE_NS {
                open.changed = false;
                open.last_sent_ns = now_ns;
                out.push(open.next(Phase::Update, now_ns as i64 + utc_offset_ns));
            }
        }
        for key in over {
            out.extend(self.end(&key, EndReason::Cleared, now_ns, utc_offset_ns));
        }
        let longest = self.options.kinds.iter().map(|p| p.cooldown_s).fold(0.0, f32::max);
        self.ended_ns
            .retain(|_, ended| now_ns.saturating_sub(*ended) <= (longest * 1e9) as u64);
        out
    }

    /// Ends everything that is open.
    pub fn end_all(&mut self, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let keys: Vec<Key> = self.open.keys().cloned().collect();
        let ended: Vec<Alert> = keys
            .iter()
            .filter_map(|key| self.end(key, reason, now_ns, utc_offset_ns))
            .collect();
        // The stream's clock may start anew after this: old ends mean nothing to it.
        self.ended_ns.clear();
        ended
    }

    fn take(&mut self, finding: &Finding, now_ns: u64, utc_offset_ns: i64) -> Option<Alert> {
        let policy = policy(&self.options, finding.kind)?;
        let key = Key {
            kind: finding.kind,
            zone: finding.zone.clone(),
            track: finding.key_track,
        };
        if let Some(open) = self.open.get_mut(&key) {
            open.absorb(finding, utc_offset_ns);
            return None;
        }
        let cooldown_ns = (policy.cooldown_s * 1e9) as u64;
        if self
            .ended_ns
            .get(&key)
            .is_some_and(|ended| finding.at_ns.saturating_sub(*ended) < cooldown_ns)
        {
            return None;
        }
        self.counter += 1;
        let started = finding.at_ns as i64 + utc_offset_ns;
        let alert = Alert {
            id: id(&self.camera, &key, started, self.counter),
            seq: 0,
            phase: Phase::Start,
            camera: self.camera.clone(),
            kind: finding.kind,
            severity: policy.severity,
            score: finding.score,
            started_utc_ns: started,
            updated_utc_ns: started,
            ended_utc_ns: None,
            end_reason: None,
            zone: finding.zone.clone(),
            direction: finding.direction,
            tracks: finding.tracks.clone(),
            evidence: explained(&finding.evidence, utc_offset_ns),
            snapshot: None,
        };
        let open = Open {
            alert: alert.clone(),
            last_evidence_ns: finding.at_ns,
            last_sent_ns: now_ns,
            changed: false,
        };
        self.open.insert(key, open);
        Some(alert)
    }

    /// The alert ended when its evidence did; `updated_at` says when that was judged.
    fn end(&mut self, key: &Key, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Option<Alert> {
        let mut open = self.open.remove(key)?;
        self.ended_ns.insert(key.clone(), open.last_evidence_ns);
        open.alert.ended_utc_ns = Some(open.last_evidence_ns as i64 + utc_offset_ns);
        open.alert.end_reason = Some(reason);
        Some(open.next(Phase::End, now_ns as i64 + utc_offset_ns))
    }
}

impl Open {
    fn absorb(&mut self, finding: &Finding, utc_offset_ns: i64) {
        self.last_evidence_ns = self.last_evidence_ns.max(finding.at_ns);
        let ids = |tracks: &[crate::data::AlertTrack]| tracks.iter().map(|t| t.id).collect::<Vec<_>>();
        let better = finding.score > self.alert.score + 0.02;
        self.changed |= better || ids(&finding.tracks) != ids(&self.alert.tracks);
        self.alert.tracks.clone_from(&finding.tracks);
        if better {
            self.alert.score = finding.score;
            self.alert.evidence = explained(&finding.evidence, utc_offset_ns);
        }
    }

    fn next(&mut self, phase: Phase, at_utc_ns: i64) -> Alert {
        self.alert.seq += 1;
        self.alert.phase = phase;
        self.alert.updated_utc_ns = at_utc_ns;
        self.alert.clone()
    }
}

fn policy(options: &PolicyOptions, kind: Kind) -> Option<&KindPolicy> {
    options.kinds.iter().find(|p| p.kind == kind)
}

/// A ULID (its time is the alert's start) whose random part is a hash of what the alert is about: the same recording
/// gives the same ids.
fn id(camera: &CameraId, key: &Key, started_utc_ns: i64, counter: u64) -> String {
    let text = format!(
        "{camera}|{}|{:?}|{:?}|{started_utc_ns}|{counter}",
        key.kind, key.zone, key.track
    );
    let hash = Sha256::digest(text.as_bytes());
    let mut random = [0u8; 16];
    random[6..].copy_from_slice(&hash[..10]);
    ulid::Ulid::from_parts((started_utc_ns / 1_000_000).max(0) as u64, u128::from_be_bytes(random)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn life() -> AlertLife {
        let kinds = vec![
            KindPolicy {
                kind: Kind::Intrusion,
                severity: Severity::Warning,
                hold_s: 3.0,
                cooldown_s: 10.0,
            },
            KindPolicy {
                kind: Kind::LineCrossing,
                severity: Severity::Info,
                hold_s: 1.0,
                cooldown_s: 0.0,
            },
        ];
        AlertLife::new(CameraId::new("yard"), PolicyOptions { kinds })
    }

    fn finding(kind: Kind, at_ns: u64, tracks: &[u64]) -> Finding {
        let track = |id: &u64| crate::data::AlertTrack {
            id: *id,
            class: "person".into(),
            score: 0.9,
            bbox: crate::data::BBox {
                x1: 0.0,
                y1: 0.0,
                x2: 0.1,
                y2: 0.1,
            },
        };
        Finding {
            kind,
            zone: Some("fence".into()),
            direction: None,
            key_track: (kind == Kind::LineCrossing).then(|| tracks[0]),
            tracks: tracks.iter().map(track).collect(),
            score: 0.9,
            evidence: vec![],
            at_ns,
        }
    }

    fn told(alerts: &[Alert]) -> Vec<(Phase, u32)> {
        alerts.iter().map(|a| (a.phase, a.seq)).collect()
    }

    #[test]
    fn an_intrusion_is_one_alert_while_people_come_and_go() {
        let mut life = life();
        let mut all = Vec::new();
        for t in 0..10 {
            let who: &[u64] = if t < 5 { &[1] } else { &[1, 2] };
            all.extend(life.step(&[finding(Kind::Intrusion, t * S, who)], t * S, 0));
        }
        for t in 10..20 {
            all.extend(life.step(&[], t * S, 0));
        }
        assert_eq!(told(&all), [(Phase::Start, 0), (Phase::Update, 1), (Phase::End, 2)]);
        assert_eq!(all[2].end_reason, Some(EndReason::Cleared));
        assert_eq!(all[2].ended_utc_ns, Some(9 * S as i64));
        assert!(all.iter().all(|a| a.id == all[0].id));
    }

    #[test]
    fn after_an_end_the_same_zone_is_quiet_for_the_cooldown() {
        let mut life = life();
        let mut starts = 0;
        for t in 0..30 {
            let seen = t < 2 || (6..8).contains(&t) || t > 20;
            let findings = if seen {
                vec![finding(Kind::Intrusion, t * S, &[1])]
            } else {
                vec![]
            };
            starts += life
                .step(&findings, t * S, 0)
                .iter()
                .filter(|a| a.phase == Phase::Start)
                .count();
        }
        assert_eq!(starts, 2);
    }

    #[test]
    fn each_crossing_track_is_an_alert_of_its_own() {
        let mut life = life();
        let both = [
            finding(Kind::LineCrossing, S, &[1]),
            finding(Kind::LineCrossing, S, &[2]),
        ];
        let started = life.step(&both, S, 0);
        assert_eq!(started.len(), 2);
        assert_ne!(started[0].id, started[1].id);
    }

    #[test]
    fn kinds_without_a_policy_never_alert() {
        assert!(life().step(&[finding(Kind::Siren, 0, &[])], 0, 0).is_empty());
    }

    #[test]
    fn the_same_story_has_the_same_ids() {
        let tell = || life().step(&[finding(Kind::Intrusion, S, &[1])], S, 5)[0].id.clone();
        assert_eq!(tell(), tell());
    }

    #[test]
    fn a_lost_camera_ends_what_is_open_with_its_reason() {
        let mut life = life();
        let _ = life.step(&[finding(Kind::Intrusion, S, &[1])], S, 0);
        assert_eq!(life.open_kinds(), [Kind::Intrusion]);
        let ended = life.end_all(EndReason::CameraLost, 2 * S, 0);
        assert_eq!((ended.len(), ended[0].end_reason), (1, Some(EndReason::CameraLost)));
        assert!(life.open_kinds().is_empty());
    }
}
