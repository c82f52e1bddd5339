//! An alert's life: start, update, end. Pure.

mod budget;
mod key;
mod options;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::data::{Alert, CameraId, EndReason, Finding, Kind, Phase, Severity};
use crate::fusion::explained;
use budget::Budget;
use key::{Key, id};
pub use options::{KindPolicy, PolicyOptions};
pub use schedule::{NoSchedule, Schedule};

/// Updates of one alert are at least so far apart.
const UPDATE_NS: u64 = 2_000_000_000;
/// Those of one that lasts and does not change: the last message says until when it held. And those of one that stands for many: it is
/// there to keep the count of messages down.
const STILL_NS: u64 = 60_000_000_000;
/// Where the stream breaks off again and again, no new one that stands for many begins for so long after the last.
const SUMMARY_QUIET_NS: u64 = 600_000_000_000;

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
    /// What is seen is told so much behind the windows.
    behind_ns: u64,
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
            behind_ns: 0,
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

    /// While a camera's detector sleeps, what is seen is told some windows late: it is held for as much longer.
    pub fn set_behind(&mut self, behind_ns: u64) {
        self.behind_ns = behind_ns;
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
                let is_over =
                    policy.is_none_or(|p| !p.is_active(now_ns as i64 + utc_offset_ns, &self.options.timezone));
                if is_over || self.budget.allows(key.kind, key.zone.as_ref(), limit, now_ns) {
                    over.push(key.clone());
                } else if !open.told {
                    if open.alert.severity == Severity::Critical || !is_soon(self.ended_ns.get(key), now_ns) {
                        out.push(open.start(now_ns, utc_offset_ns));
                    }
                } else if now_ns.saturating_sub(open.last_sent_ns) >= open.update_after_ns(STILL_NS) {
                    out.push(open.update(now_ns, utc_offset_ns));
                }
                continue;
            }
            let hold_ns = policy.map_or(0, |p| ns(p.hold_s)) + self.behind_ns;
            if now_ns.saturating_sub(open.last_evidence_ns) > hold_ns {
                over.push(key.clone());
                continue;
            }
            let after_ns = policy.map_or(0, |p| ns(p.critical_after_s));
            if after_ns > 0 && open.last_evidence_ns.saturating_sub(open.opened_ns) >= after_ns {
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
            } else if now_ns.saturating_sub(open.last_sent_ns) >= open.update_after_ns(UPDATE_NS) {
                out.push(open.update(now_ns, utc_offset_ns));
            }
        }
        for key in over {
            out.extend(self.end(&key, EndReason::Cleared, now_ns, utc_offset_ns));
        }
        let longest = |of: fn(&KindPolicy) -> f32| ns(self.options.kinds.iter().map(of).fold(0.0, f32::max));
        let (cooldown_ns, track_ns) = (longest(|p| p.cooldown_s), longest(|p| p.track_cooldown_s));
        self.ended_ns
            .retain(|_, ended| now_ns.saturating_sub(*ended) <= cooldown_ns.max(SUMMARY_QUIET_NS));
        self.track_ended_ns
            .retain(|_, ended| now_ns.saturating_sub(*ended) <= track_ns);
        // One of a zone stays; of tracks and things there is no end.
        self.after_ns
            .retain(|key, ended| key.track.is_none() || now_ns.saturating_sub(*ended) <= TRACK_KNOWN_NS);
        out
    }

    /// Ends everything that is open.
    pub fn end_all(&mut self, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        // One that counts and was not told goes on counting: what it stands for is told when the stream has come back.
        let goes_on = |key: &Key, open: &Open| reason == EndReason::CameraLost && key.summary && !open.told;
        let open = self.open.iter().filter(|(key, open)| !goes_on(key, open));
        let keys: Vec<Key> = open.map(|(key, _)| key.clone()).collect();
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
        if !policy.is_active(held_utc_ns, zone) {
            self.after_ns.insert(one, finding.newest_ns());
            return Vec::new();
        }
        let critical = policy.critical_at.covers(held_utc_ns, zone);
        let own = if critical { Severity::Critical } else { policy.severity };
        let severity = finding.severity.map_or(own, |s| s.max(own));
        let all = one.summary_of();
        if let Some(open) = self.open.get_mut(&one) {
            open.absorb(finding, severity, utc_offset_ns);
            if !open.told
                && let Some(open) = self.open.get_mut(&all)
            {
                open.absorb(finding, severity, utc_offset_ns);
            }
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
        let waits = severity < Severity::Critical && is_soon(self.ended_ns.get(&all), now_ns);
        let open = self.open(all, finding, severity, utc_offset_ns);
        open.alert.suppressed = 1;
        open.alert.direction = None;
        if waits {
            return Vec::new();
        }
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
            tracks: who(finding).collect(),
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
            || (!finding.tracks.is_empty() && who(finding).all(known))
    }

    /// The alert ended when its evidence did; `updated_at` says when that was judged.
    fn end(&mut self, key: &Key, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Option<Alert> {
        let mut open = self.open.remove(key)?;
        if !key.summary || reason == EndReason::CameraLost {
            self.ended_ns.insert(key.clone(), open.last_evidence_ns);
        }
        if !key.summary {
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

/// Whether one that stands for many ended so lately that the next one waits.
fn is_soon(ended_ns: Option<&u64>, now_ns: u64) -> bool {
    ended_ns.is_some_and(|ended| now_ns.saturating_sub(*ended) < SUMMARY_QUIET_NS)
}

/// Who takes part. A thing that no track follows has a number of its own.
fn who(finding: &Finding) -> impl Iterator<Item = u64> {
    let tracks = finding.tracks.iter().map(|t| t.id);
    finding
        .key_track
        .into_iter()
        .chain(tracks.filter(|_| finding.key_track.is_none()))
}

impl Open {
    /// How long after the last message the next one is due, `changed_ns` where something has changed.
    fn update_after_ns(&self, changed_ns: u64) -> u64 {
        match self.changed {
            true => changed_ns,
            false if self.last_evidence_ns > self.last_sent_ns => STILL_NS,
            false => u64::MAX,
        }
    }

    fn absorb(&mut self, finding: &Finding, severity: Severity, utc_offset_ns: i64) {
        self.last_evidence_ns = self.last_evidence_ns.max(finding.newest_ns());
        let ids = |tracks: &[crate::data::AlertTrack]| tracks.iter().map(|t| t.id).collect::<Vec<_>>();
        let surer = finding.score > self.alert.score + 0.02;
        self.changed |= surer || ids(&finding.tracks) != ids(&self.alert.tracks);
        self.alert.tracks.clone_from(&finding.tracks);
        self.tracks.extend(who(finding));
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
