//! An alert's life: start, update, end. Pure.
//!
//! Single alerts that are more than `max_per_hour` are held back, and a summary counts them.

mod budget;
mod key;
mod open;
mod options;
mod schedule;
mod single;
mod summaries;

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{Alert, CameraId, EndReason, Finding, Phase, Severity};
use crate::fusion::explained;
use budget::Budget;
use key::{Key, KindInZone, id};
use open::UPDATE_NS;
pub use options::{KindPolicy, PolicyOptions};
pub use schedule::{NoSchedule, Schedule};
use single::{Single, who};
use summaries::Summaries;

/// So long it is known when the last alert of a track or thing ended.
const TRACK_KNOWN_NS: u64 = 3_600_000_000_000;
/// And for so much longer than that or a cooldown: what is found may be some windows old.
const LATE_NS: u64 = 60_000_000_000;

/// The alerts of one camera.
pub struct AlertLife {
    camera: CameraId,
    /// What ids derive from beside the alert itself: the camera, and the recording that it plays.
    source: String,
    options: PolicyOptions,
    singles: BTreeMap<Key, Single>,
    /// What stands for those that are held back.
    summaries: Summaries,
    /// When the last alert of a key ended, on the camera's clock: that one goes on over interruptions, whatever becomes of UTC.
    ended_ns: BTreeMap<Key, u64>,
    /// What is told of a key began after this: the end of its last alert, or the last hour in which it was not to be told.
    after_ns: BTreeMap<Key, u64>,
    /// When the last alert with this track ended, by kind and zone.
    track_ended_ns: BTreeMap<(KindInZone, u64), u64>,
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
            singles: BTreeMap::new(),
            summaries: Summaries::default(),
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

    /// While a camera's detector sleeps, what is seen is told some windows late: it is held for as much longer.
    pub fn set_behind(&mut self, behind_ns: u64) {
        self.behind_ns = behind_ns;
    }

    /// One window: `now_ns` is its end on the camera's clock. Findings of kinds without a policy are ignored.
    pub fn step(&mut self, findings: &[Finding], now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        // Asked before single ones take what has become free.
        let freed: BTreeSet<KindInZone> = self
            .summaries
            .open()
            .filter(|of| self.budget.allows(of, self.options.max_per_hour(of), now_ns))
            .cloned()
            .collect();
        let mut out = Vec::new();
        for finding in findings {
            out.extend(self.take(finding, now_ns, utc_offset_ns));
        }
        out.extend(self.step_singles(now_ns, utc_offset_ns));
        out.extend(self.step_summaries(&freed, now_ns, utc_offset_ns));
        self.forget(now_ns);
        out
    }

    /// Ends everything that is open.
    pub fn end_all(&mut self, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let keys: Vec<Key> = self.singles.keys().cloned().collect();
        let mut ended: Vec<Alert> = keys
            .iter()
            .filter_map(|key| self.end(key, reason, now_ns, utc_offset_ns))
            .collect();
        ended.extend(self.summaries.end_all(reason, now_ns, utc_offset_ns));
        // Tracks start anew after this: old ones mean nothing to it.
        self.track_ended_ns.clear();
        if reason != EndReason::CameraLost {
            self.ended_ns.clear();
            self.after_ns.clear();
        }
        ended
    }

    /// Opens a single alert, or goes on with it. Where the hour allows no more it is held back: it lives untold, is told
    /// should it last until the hour allows it, and is counted meanwhile.
    fn take(&mut self, finding: &Finding, now_ns: u64, utc_offset_ns: i64) -> Option<Alert> {
        let policy = self.options.of(finding.kind, finding.zone.as_ref())?;
        // What counts is that it holds now, not when it began.
        let held_utc_ns = finding.newest_ns() as i64 + utc_offset_ns;
        let zone = &self.options.timezone;
        let one = Key {
            kind: finding.kind,
            zone: finding.zone.clone(),
            track: finding.key_track,
            direction: finding.direction,
        };
        if !policy.is_active(held_utc_ns, zone) {
            self.after_ns.insert(one, finding.newest_ns());
            return None;
        }
        let critical = policy.critical_at.covers(held_utc_ns, zone);
        let own = if critical { Severity::Critical } else { policy.severity };
        let severity = finding.severity.map_or(own, |s| s.max(own));
        let (all, of) = (one.of_all(), one.kind_in_zone());
        if let Some(single) = self.singles.get_mut(&one) {
            single.absorb(finding, severity, utc_offset_ns);
            if !single.open.is_told() {
                self.summaries.absorb(&of, finding, severity, utc_offset_ns);
            }
            return None;
        }
        if self.is_quiet(&one, policy, finding) {
            return None;
        }
        let may = self.budget.spend(&of, policy.max_per_hour, now_ns);
        let mut single = Single::new(self.alert(&one, finding, severity, utc_offset_ns), finding);
        let start = may.then(|| single.open.start(now_ns, utc_offset_ns));
        self.singles.insert(one, single);
        if !may && !self.summaries.count(&of, finding, severity, utc_offset_ns) {
            let alert = self.alert(&all, finding, severity, utc_offset_ns);
            self.summaries.begin(of, alert, finding);
        }
        start
    }

    fn step_singles(&mut self, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let (mut out, mut over) = (Vec::new(), Vec::new());
        for (key, single) in &mut self.singles {
            let policy = self.options.of(key.kind, key.zone.as_ref());
            let hold_ns = policy.map_or(0, |p| ns(p.hold_s)) + self.behind_ns;
            if now_ns.saturating_sub(single.open.last_evidence_ns) > hold_ns {
                over.push(key.clone());
                continue;
            }
            single.raise_after(policy.map_or(0, |p| ns(p.critical_after_s)));
            if single.open.is_told() {
                if single.open.is_due(UPDATE_NS, now_ns) {
                    out.push(single.open.update(now_ns, utc_offset_ns));
                }
                continue;
            }
            let limit = policy.map_or(0, |p| p.max_per_hour);
            // What has become critical is told in any case, and takes nothing from the hour.
            if self.budget.spend(&key.kind_in_zone(), limit, now_ns) || single.has_become_critical() {
                out.push(single.open.start(now_ns, utc_offset_ns));
            }
        }
        for key in over {
            out.extend(self.end(&key, EndReason::Cleared, now_ns, utc_offset_ns));
        }
        out
    }

    /// A summary ends with the hours of its kind, or when the hour has freed what single ones may take and leaves none
    /// held back.
    fn step_summaries(&mut self, freed: &BTreeSet<KindInZone>, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let held = self.singles.iter().filter(|(_, single)| !single.open.is_told());
        let held: BTreeSet<KindInZone> = held.map(|(key, _)| key.kind_in_zone()).collect();
        let is_over = |of: &KindInZone| {
            let policy = self.options.of(of.0, of.1.as_ref());
            let is_active = policy.is_some_and(|p| p.is_active(now_ns as i64 + utc_offset_ns, &self.options.timezone));
            !is_active || (freed.contains(of) && !held.contains(of))
        };
        self.summaries.step(is_over, now_ns, utc_offset_ns)
    }

    fn forget(&mut self, now_ns: u64) {
        let longest = |of: fn(&KindPolicy) -> f32| ns(self.options.kinds.iter().map(of).fold(0.0, f32::max));
        let (cooldown_ns, track_ns) = (longest(|p| p.cooldown_s), longest(|p| p.track_cooldown_s));
        let is_known = |ended: u64, for_ns: u64| now_ns.saturating_sub(ended + LATE_NS) <= for_ns;
        self.ended_ns.retain(|_, ended| is_known(*ended, cooldown_ns));
        self.track_ended_ns.retain(|_, ended| is_known(*ended, track_ns));
        // One of a zone stays; of tracks and things there is no end.
        self.after_ns
            .retain(|key, ended| key.track.is_none() || is_known(*ended, TRACK_KNOWN_NS));
        self.summaries.forget(now_ns);
    }

    /// An alert that nobody has been told of yet. What goes on after an alert's end has begun anew there.
    fn alert(&mut self, key: &Key, finding: &Finding, severity: Severity, utc_offset_ns: i64) -> Alert {
        let after_ns = self.after_ns.get(key).copied().unwrap_or_default();
        let at_utc_ns = finding.at_ns.max(after_ns) as i64 + utc_offset_ns;
        self.counter += 1;
        Alert {
            id: id(&self.source, key, at_utc_ns, self.counter),
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
            direction: key.direction,
            tracks: finding.tracks.clone(),
            emotion: None,
            evidence: explained(&finding.evidence, utc_offset_ns),
            suppressed: 0,
            snapshot: None,
        }
    }

    /// Whether it is too soon after the last: for its zone, or for all of its tracks.
    fn is_quiet(&self, key: &Key, policy: &KindPolicy, finding: &Finding) -> bool {
        let within = |ended: &u64, seconds: f32| finding.newest_ns().saturating_sub(*ended) < ns(seconds);
        let known = |id: u64| {
            let ended = self.track_ended_ns.get(&(key.kind_in_zone(), id));
            ended.is_some_and(|ended| within(ended, policy.track_cooldown_s))
        };
        self.ended_ns
            .get(key)
            .is_some_and(|ended| within(ended, policy.cooldown_s))
            || (!finding.tracks.is_empty() && who(finding).all(known))
    }

    fn end(&mut self, key: &Key, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Option<Alert> {
        let mut single = self.singles.remove(key)?;
        let ended_ns = single.open.last_evidence_ns;
        self.ended_ns.insert(key.clone(), ended_ns);
        self.after_ns.insert(key.clone(), ended_ns);
        for id in &single.tracks {
            self.track_ended_ns.insert((key.kind_in_zone(), *id), ended_ns);
        }
        let told = single.open.is_told();
        told.then(|| single.open.end(reason, now_ns, utc_offset_ns))
    }
}

fn ns(seconds: f32) -> u64 {
    (f64::from(seconds) * 1e9) as u64
}

#[cfg(test)]
mod tests;
