//! An alert's life: start, update, end. Pure.

mod budget;
mod key;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::data::{Alert, CameraId, EndReason, Finding, Kind, Phase, Severity};
use crate::fusion::explained;
use budget::Budget;
use key::{Key, id};
pub use schedule::{NoSchedule, Schedule};

/// How alerts of one kind live.
#[derive(Clone, Debug, PartialEq)]
pub struct KindPolicy {
    pub kind: Kind,
    /// Only for this zone or line; it goes before one without.
    pub zone: Option<Arc<str>>,
    pub severity: Severity,
    /// The alert ends when its evidence has been gone for so long.
    pub hold_s: f32,
    /// No new alert of the same (kind, zone) for so long after an end.
    pub cooldown_s: f32,
    /// No new alert of the same (kind, zone) by the same tracks alone for so long after an end.
    pub track_cooldown_s: f32,
    /// When it may alert. Empty: always.
    pub active: Schedule,
    /// When its alerts are critical. Empty: never.
    pub critical_at: Schedule,
    /// Alerts that last longer than this become critical. 0: never.
    pub critical_after_s: f32,
    /// Alerts told in an hour, in one zone; what is more becomes one alert that counts it. 0: no limit.
    pub max_per_hour: u32,
}

impl KindPolicy {
    pub fn default_for(kind: Kind) -> Self {
        let (severity, hold_s, cooldown_s) = match kind {
            Kind::Intrusion => (Severity::Warning, 5.0, 10.0),
            Kind::Loitering => (Severity::Warning, 10.0, 60.0),
            Kind::LineCrossing => (Severity::Info, 2.0, 2.0),
            Kind::Crowd => (Severity::Warning, 10.0, 60.0),
            Kind::WrongWay => (Severity::Warning, 3.0, 5.0),
            Kind::Running => (Severity::Info, 3.0, 20.0),
            // Somebody who lies there is often not seen for a while.
            Kind::Fall => (Severity::Warning, 20.0, 10.0),
            Kind::LeftOrTaken => (Severity::Warning, 10.0, 10.0),
            Kind::Tamper => (Severity::Critical, 10.0, 60.0),
            Kind::Anomaly => (Severity::Info, 10.0, 300.0),
            Kind::Fight => (Severity::Critical, 5.0, 30.0),
            Kind::Aggression | Kind::Distress => (Severity::Warning, 5.0, 30.0),
            Kind::Gunshot | Kind::Explosion => (Severity::Critical, 5.0, 10.0),
            Kind::GlassBreak => (Severity::Critical, 5.0, 10.0),
            Kind::Siren => (Severity::Info, 5.0, 30.0),
            Kind::BabyCry | Kind::DogBark => (Severity::Info, 5.0, 30.0),
            Kind::Scream => (Severity::Warning, 5.0, 10.0),
        };
        let presence = matches!(kind, Kind::Intrusion | Kind::Loitering);
        Self {
            kind,
            zone: None,
            severity,
            hold_s,
            cooldown_s,
            track_cooldown_s: if presence { 60.0 } else { 0.0 },
            active: Schedule::default(),
            critical_at: Schedule::default(),
            critical_after_s: 0.0,
            // Crossings are counted: every one is told.
            max_per_hour: if kind == Kind::LineCrossing { 0 } else { 20 },
        }
    }
}

/// The life of one camera's alerts: an entry for every kind that may alert, and for zones of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyOptions {
    pub kinds: Vec<KindPolicy>,
    /// What schedules are read in.
    pub timezone: TimeZone,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            timezone: TimeZone::UTC,
        }
    }
}

impl PolicyOptions {
    /// The entry for the zone, or else the kind's.
    fn of(&self, kind: Kind, zone: Option<&Arc<str>>) -> Option<&KindPolicy> {
        let fits = |p: &&KindPolicy| p.kind == kind && (p.zone.is_none() || p.zone.as_ref() == zone);
        self.kinds.iter().filter(fits).max_by_key(|p| p.zone.is_some())
    }
}

/// Updates of one alert are at least so far apart.
const UPDATE_NS: u64 = 2_000_000_000;
/// Those of one that stands for many: it is there to keep the count of messages down.
const SUMMARY_UPDATE_NS: u64 = 60_000_000_000;

/// So long it is known when the last alert of a track or thing ended.
const TRACK_KNOWN_NS: u64 = 3_600_000_000_000;

struct Open {
    alert: Alert,
    opened_ns: u64,
    last_evidence_ns: u64,
    last_sent_ns: u64,
    changed: bool,
    /// Everybody who ever took part.
    tracks: BTreeSet<u64>,
    /// False while it is held back: it lives, but nobody is told.
    told: bool,
    /// As severe as it was when it opened.
    began: Severity,
}

/// The alerts of one camera.
pub struct AlertLife {
    camera: CameraId,
    /// What ids derive from beside the alert itself: the camera, and the recording that it plays.
    source: String,
    options: PolicyOptions,
    open: BTreeMap<Key, Open>,
    /// When the last alert of a key ended, on the camera's clock: that one goes on over interruptions, whatever becomes of UTC.
    ended_ns: BTreeMap<Key, u64>,
    /// What is told of a key began after this: the end of its last alert, or the last hour in which it was not to be told.
    after_ns: BTreeMap<Key, u64>,
    /// When the last alert with this track ended, by kind and zone.
    track_ended_ns: BTreeMap<(Kind, Option<Arc<str>>, u64), u64>,
    budget: Budget,
    counter: u64,
}

impl AlertLife {
    pub fn new(camera: CameraId, options: PolicyOptions) -> Self {
        Self {
            source: camera.to_string(),
            camera,
            options,
            open: BTreeMap::new(),
            ended_ns: BTreeMap::new(),
            after_ns: BTreeMap::new(),
            track_ended_ns: BTreeMap::new(),
            budget: Budget::default(),
            counter: 0,
        }
    }

    /// Of a recording: alerts at the same second of two recordings are two.
    pub fn of_recording(mut self, name: &str) -> Self {
        self.source = format!("{}|{name}", self.camera);
        self
    }

    pub fn set_options(&mut self, options: PolicyOptions) {
        self.options = options;
    }

    /// Kinds with an open alert that was told, in order and without repeats.
    pub fn open_kinds(&self) -> Vec<Kind> {
        let told = self.open.iter().filter(|(_, open)| open.told);
        let mut kinds: Vec<Kind> = told.map(|(key, _)| key.kind).collect();
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
            let policy = self.options.of(key.kind, key.zone.as_ref());
            let limit = policy.map_or(0, |p| p.max_per_hour);
            if key.summary {
                if self.budget.allows(key.kind, key.zone.as_ref(), limit, now_ns) {
                    over.push(key.clone());
                } else if open.changed && now_ns.saturating_sub(open.last_sent_ns) >= SUMMARY_UPDATE_NS {
                    out.push(open.update(now_ns, utc_offset_ns));
                }
                continue;
            }
            if now_ns.saturating_sub(open.last_evidence_ns) > policy.map_or(0, |p| ns(p.hold_s)) {
                over.push(key.clone());
                continue;
            }
            let after_ns = policy.map_or(0, |p| ns(p.critical_after_s));
            if after_ns > 0 && now_ns.saturating_sub(open.opened_ns) >= after_ns {
                open.raise(Severity::Critical);
            }
            if !open.told {
                // What has become critical is told in any case, and does not end the one that counts the rest.
                let allowed = self.budget.spend(key.kind, key.zone.as_ref(), limit, now_ns);
                if allowed || (open.alert.severity == Severity::Critical && open.began < Severity::Critical) {
                    out.push(open.start(now_ns, utc_offset_ns));
                }
                if allowed {
                    over.push(key.summary_of());
                }
            } else if open.changed && now_ns.saturating_sub(open.last_sent_ns) >= UPDATE_NS {
                out.push(open.update(now_ns, utc_offset_ns));
            }
        }
        for key in over {
            out.extend(self.end(&key, EndReason::Cleared, now_ns, utc_offset_ns));
        }
        let longest = |of: fn(&KindPolicy) -> f32| ns(self.options.kinds.iter().map(of).fold(0.0, f32::max));
        let (cooldown_ns, track_ns) = (longest(|p| p.cooldown_s), longest(|p| p.track_cooldown_s));
        self.ended_ns
            .retain(|_, ended| now_ns.saturating_sub(*ended) <= cooldown_ns);
        self.track_ended_ns
            .retain(|_, ended| now_ns.saturating_sub(*ended) <= track_ns);
        // One of a zone stays; of tracks and things there is no end.
        self.after_ns
            .retain(|key, ended| key.track.is_none() || now_ns.saturating_sub(*ended) <= TRACK_KNOWN_NS);
        out
    }

    /// Ends everything that is open.
    pub fn end_all(&mut self, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let keys: Vec<Key> = self.open.keys().cloned().collect();
        let ended: Vec<Alert> = keys
            .iter()
            .filter_map(|key| self.end(key, reason, now_ns, utc_offset_ns))
            .collect();
        // Tracks start anew after this: old ones mean nothing to it.
        self.track_ended_ns.clear();
        if reason != EndReason::CameraLost {
            self.ended_ns.clear();
            self.after_ns.clear();
        }
        ended
    }

    /// A single alert, or that which stands for many; the end of such a one where the hour allows single ones again.
    fn take(&mut self, finding: &Finding, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let Some(policy) = self.options.of(finding.kind, finding.zone.as_ref()) else {
            return Vec::new();
        };
        // What counts is that it holds now, not when it began.
        let held_utc_ns = finding.newest_ns() as i64 + utc_offset_ns;
        let zone = &self.options.timezone;
        let one = Key {
            kind: finding.kind,
            zone: finding.zone.clone(),
            track: finding.key_track,
            direction: finding.direction,
            summary: false,
        };
        if !policy.active.is_empty() && !policy.active.covers(held_utc_ns, zone) {
            self.after_ns.insert(one, finding.newest_ns());
            return Vec::new();
        }
        let critical = policy.critical_at.covers(held_utc_ns, zone);
        let own = if critical { Severity::Critical } else { policy.severity };
        let severity = finding.severity.map_or(own, |s| s.max(own));
        let all = one.summary_of();
        if let Some(open) = self.open.get_mut(&one) {
            open.absorb(finding, severity, utc_offset_ns);
            return Vec::new();
        }
        if self.is_quiet(&one, policy, finding) {
            return Vec::new();
        }
        let (zone, limit) = (finding.zone.as_ref(), policy.max_per_hour);
        if self.budget.spend(finding.kind, zone, limit, now_ns) {
            let ended = self.end(&all, EndReason::Cleared, now_ns, utc_offset_ns);
            let started = self
                .open(one, finding, severity, utc_offset_ns)
                .start(now_ns, utc_offset_ns);
            return ended.into_iter().chain([started]).collect();
        }
        // It lives untold, and is told should it last until the hour allows it; meanwhile it is counted.
        self.open(one, finding, severity, utc_offset_ns);
        if let Some(open) = self.open.get_mut(&all) {
            open.absorb(finding, severity, utc_offset_ns);
            open.alert.suppressed += 1;
            open.changed = true;
            return Vec::new();
        }
        let open = self.open(all, finding, severity, utc_offset_ns);
        open.alert.suppressed = 1;
        open.alert.direction = None;
        vec![open.start(now_ns, utc_offset_ns)]
    }

    /// Opens an alert that nobody has been told of yet. What goes on after an alert's end has begun anew there.
    fn open(&mut self, key: Key, finding: &Finding, severity: Severity, utc_offset_ns: i64) -> &mut Open {
        let one = Key {
            summary: false,
            ..key.clone()
        };
        let after_ns = self.after_ns.get(&one).copied().unwrap_or_default();
        let at_utc_ns = finding.at_ns.max(after_ns) as i64 + utc_offset_ns;
        self.counter += 1;
        let alert = Alert {
            id: id(&self.source, &key, at_utc_ns, self.counter),
            seq: 0,
            phase: Phase::Start,
            camera: self.camera.clone(),
            kind: finding.kind,
            severity,
            prior: finding.prior,
            score: finding.score,
            started_utc_ns: at_utc_ns,
            updated_utc_ns: at_utc_ns,
            ended_utc_ns: None,
            end_reason: None,
            zone: finding.zone.clone(),
            direction: finding.direction,
            tracks: finding.tracks.clone(),
            emotion: None,
            evidence: explained(&finding.evidence, utc_offset_ns),
            suppressed: 0,
            snapshot: None,
        };
        let open = Open {
            alert,
            opened_ns: finding.newest_ns(),
            last_evidence_ns: finding.newest_ns(),
            last_sent_ns: 0,
            changed: false,
            tracks: finding.tracks.iter().map(|t| t.id).collect(),
            told: false,
            began: severity,
        };
        self.open.entry(key).insert_entry(open).into_mut()
    }

    /// Whether it is too soon after the last: for its zone, or for all of its tracks.
    fn is_quiet(&self, key: &Key, policy: &KindPolicy, finding: &Finding) -> bool {
        let within = |ended: &u64, seconds: f32| finding.newest_ns().saturating_sub(*ended) < ns(seconds);
        let known = |id: u64| {
            let ended = self.track_ended_ns.get(&(key.kind, key.zone.clone(), id));
            ended.is_some_and(|ended| within(ended, policy.track_cooldown_s))
        };
        self.ended_ns
            .get(key)
            .is_some_and(|ended| within(ended, policy.cooldown_s))
            || (!finding.tracks.is_empty() && finding.tracks.iter().all(|t| known(t.id)))
    }

    /// The alert ended when its evidence did; `updated_at` says when that was judged.
    fn end(&mut self, key: &Key, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Option<Alert> {
        let mut open = self.open.remove(key)?;
        if !key.summary {
            self.ended_ns.insert(key.clone(), open.last_evidence_ns);
            self.after_ns.insert(key.clone(), open.last_evidence_ns);
        }
        for id in &open.tracks {
            let whose = (key.kind, key.zone.clone(), *id);
            self.track_ended_ns.insert(whose, open.last_evidence_ns);
        }
        if !open.told {
            return None;
        }
        // A camera's clock may have become known, or been set back, since it started.
        let ended_utc_ns = open.last_evidence_ns as i64 + utc_offset_ns;
        open.alert.ended_utc_ns = Some(ended_utc_ns.max(open.alert.started_utc_ns));
        open.alert.end_reason = Some(reason);
        Some(open.next(Phase::End, now_ns as i64 + utc_offset_ns))
    }
}

impl Open {
    fn absorb(&mut self, finding: &Finding, severity: Severity, utc_offset_ns: i64) {
        self.last_evidence_ns = self.last_evidence_ns.max(finding.newest_ns());
        let ids = |tracks: &[crate::data::AlertTrack]| tracks.iter().map(|t| t.id).collect::<Vec<_>>();
        let surer = finding.score > self.alert.score + 0.02;
        self.changed |= surer || ids(&finding.tracks) != ids(&self.alert.tracks);
        self.alert.tracks.clone_from(&finding.tracks);
        self.tracks.extend(finding.tracks.iter().map(|t| t.id));
        self.raise(severity);
        // Score and evidence go together: the one explains the other.
        if surer {
            (self.alert.prior, self.alert.score) = (finding.prior, finding.score);
            self.alert.evidence = explained(&finding.evidence, utc_offset_ns);
        }
    }

    /// Severity only rises.
    fn raise(&mut self, severity: Severity) {
        if severity > self.alert.severity {
            self.alert.severity = severity;
            self.changed = true;
        }
    }

    /// It is told from now on.
    fn start(&mut self, now_ns: u64, utc_offset_ns: i64) -> Alert {
        self.told = true;
        self.changed = false;
        self.last_sent_ns = now_ns;
        self.alert.updated_utc_ns = now_ns as i64 + utc_offset_ns;
        self.alert.clone()
    }

    fn update(&mut self, now_ns: u64, utc_offset_ns: i64) -> Alert {
        self.changed = false;
        self.last_sent_ns = now_ns;
        self.next(Phase::Update, now_ns as i64 + utc_offset_ns)
    }

    fn next(&mut self, phase: Phase, at_utc_ns: i64) -> Alert {
        self.alert.seq += 1;
        self.alert.phase = phase;
        self.alert.updated_utc_ns = at_utc_ns;
        self.alert.clone()
    }
}

fn ns(seconds: f32) -> u64 {
    (f64::from(seconds) * 1e9) as u64
}

#[cfg(test)]
mod tests;
