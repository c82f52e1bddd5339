//! An alert that stands for itself alone.

use std::collections::BTreeSet;

use super::open::Open;
use crate::data::{Alert, Finding, Severity};

pub(super) struct Single {
    pub open: Open,
    opened_ns: u64,
    /// As severe as it was when it opened.
    began: Severity,
    /// Everybody who ever took part.
    pub tracks: BTreeSet<u64>,
}

impl Single {
    pub fn new(alert: Alert, finding: &Finding) -> Self {
        Self {
            opened_ns: finding.newest_ns(),
            began: alert.severity,
            tracks: who(finding).collect(),
            open: Open::new(alert, finding),
        }
    }

    pub fn absorb(&mut self, finding: &Finding, severity: Severity, utc_offset_ns: i64) {
        self.open.absorb(finding, severity, utc_offset_ns);
        self.tracks.extend(who(finding));
    }

    /// What lasts for so long is critical; seconds in which it is only held do not count. 0: never.
    pub fn raise_after(&mut self, critical_after_ns: u64) {
        let lasted_ns = self.open.last_evidence_ns.saturating_sub(self.opened_ns);
        if critical_after_ns > 0 && lasted_ns >= critical_after_ns {
            self.open.raise(Severity::Critical);
        }
    }

    pub fn has_become_critical(&self) -> bool {
        self.open.alert.severity == Severity::Critical && self.began < Severity::Critical
    }
}

/// Who takes part. A thing that no track follows has a number of its own.
pub(super) fn who(finding: &Finding) -> impl Iterator<Item = u64> {
    let tracks = finding.tracks.iter().map(|t| t.id);
    finding
        .key_track
        .into_iter()
        .chain(tracks.filter(|_| finding.key_track.is_none()))
}
