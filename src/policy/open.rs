//! What was told of an open alert, and when the next message is due.

use crate::data::{Alert, AlertTrack, EndReason, Finding, Phase, Severity};
use crate::fusion::explained;

/// Updates of one alert are at least so far apart.
pub(super) const UPDATE_NS: u64 = 2_000_000_000;
/// Those of one that lasts and does not change: the last message says until when it held.
pub(super) const STILL_NS: u64 = 60_000_000_000;

/// An alert that has begun and not ended.
pub(super) struct Open {
    pub alert: Alert,
    pub last_evidence_ns: u64,
    last_sent_ns: u64,
    changed: bool,
    /// As severe as it was in its last message; None while it is held back: it lives, but nobody is told.
    told: Option<Severity>,
}

impl Open {
    pub fn new(alert: Alert, finding: &Finding) -> Self {
        Self {
            alert,
            last_evidence_ns: finding.newest_ns(),
            last_sent_ns: 0,
            changed: false,
            told: None,
        }
    }

    pub fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Whether the next message is due, `changed_ns` after the last where something has changed. A rise of its severity
    /// waits no longer than any update.
    pub fn is_due(&self, changed_ns: u64, now_ns: u64) -> bool {
        let after_ns = if self.told < Some(self.alert.severity) {
            UPDATE_NS
        } else if self.changed {
            changed_ns
        } else if self.last_evidence_ns > self.last_sent_ns {
            STILL_NS
        } else {
            return false;
        };
        now_ns.saturating_sub(self.last_sent_ns) >= after_ns
    }

    pub fn absorb(&mut self, finding: &Finding, severity: Severity, utc_offset_ns: i64) {
        self.last_evidence_ns = self.last_evidence_ns.max(finding.newest_ns());
        let ids = |tracks: &[AlertTrack]| tracks.iter().map(|t| t.id).collect::<Vec<_>>();
        let surer = finding.score > self.alert.score + 0.02;
        self.changed |= surer || ids(&finding.tracks) != ids(&self.alert.tracks);
        self.alert.tracks.clone_from(&finding.tracks);
        self.raise(severity);
        // Score and evidence go together: the one explains the other.
        if surer {
            (self.alert.prior, self.alert.score) = (finding.prior, finding.score);
            self.alert.evidence = explained(&finding.evidence, utc_offset_ns);
        }
    }

    /// Severity only rises.
    pub fn raise(&mut self, severity: Severity) {
        self.alert.severity = self.alert.severity.max(severity);
    }

    /// It stands for one more.
    pub fn count(&mut self) {
        self.alert.suppressed += 1;
        self.changed = true;
    }

    /// It is told from now on.
    pub fn start(&mut self, now_ns: u64, utc_offset_ns: i64) -> Alert {
        self.send(Phase::Start, now_ns, utc_offset_ns)
    }

    pub fn update(&mut self, now_ns: u64, utc_offset_ns: i64) -> Alert {
        self.alert.seq += 1;
        self.send(Phase::Update, now_ns, utc_offset_ns)
    }

    /// The alert ended when its evidence did; `updated_at` says when that was judged.
    pub fn end(&mut self, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Alert {
        // A camera's clock may have become known, or been set back, since it started.
        let ended_utc_ns = self.last_evidence_ns as i64 + utc_offset_ns;
        self.alert.ended_utc_ns = Some(ended_utc_ns.max(self.alert.started_utc_ns));
        self.alert.end_reason = Some(reason);
        self.alert.seq += 1;
        self.send(Phase::End, now_ns, utc_offset_ns)
    }

    fn send(&mut self, phase: Phase, now_ns: u64, utc_offset_ns: i64) -> Alert {
        self.changed = false;
        self.last_sent_ns = now_ns;
        self.told = Some(self.alert.severity);
        self.alert.phase = phase;
        self.alert.updated_utc_ns = now_ns as i64 + utc_offset_ns;
        self.alert.clone()
    }
}
