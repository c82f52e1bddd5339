//! What is more than `max_per_hour`: one alert of a kind in a zone, the summary, counts all that are held back.

use std::collections::BTreeMap;

use super::key::KindInZone;
use super::open::{Open, STILL_NS};
use crate::data::{Alert, EndReason, Finding, Severity};

/// Where the stream breaks off again and again, no new summary is told for so long after the last; but one that is critical, or
/// that ends meanwhile, is told sooner.
const QUIET_NS: u64 = 600_000_000_000;

/// The summaries of one camera.
#[derive(Default)]
pub(super) struct Summaries {
    open: BTreeMap<KindInZone, Open>,
    /// How new the evidence was of the last one that a lost stream ended.
    lost_ns: BTreeMap<KindInZone, u64>,
}

impl Summaries {
    pub fn open(&self) -> impl Iterator<Item = &KindInZone> {
        self.open.keys()
    }

    /// A summary of the first that is held back. The next `step` tells of it, or lets it wait.
    pub fn begin(&mut self, of: KindInZone, alert: Alert, finding: &Finding) {
        let mut open = Open::new(alert, finding);
        open.count();
        self.open.insert(of, open);
    }

    /// One more is held back. False where no summary is open that could count it.
    pub fn count(&mut self, of: &KindInZone, finding: &Finding, severity: Severity, utc_offset_ns: i64) -> bool {
        let Some(open) = self.open.get_mut(of) else {
            return false;
        };
        open.absorb(finding, severity, utc_offset_ns);
        open.count();
        true
    }

    /// One that was counted goes on.
    pub fn absorb(&mut self, of: &KindInZone, finding: &Finding, severity: Severity, utc_offset_ns: i64) {
        if let Some(open) = self.open.get_mut(of) {
            open.absorb(finding, severity, utc_offset_ns);
        }
    }

    /// A summary is there to keep the count of messages down: but for a rise of its severity it is updated once a minute
    /// at most.
    pub fn step(&mut self, is_over: impl Fn(&KindInZone) -> bool, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let (mut out, mut over) = (Vec::new(), Vec::new());
        for (of, open) in &mut self.open {
            let lost_ns = self.lost_ns.get(of);
            let waits = lost_ns.is_some_and(|lost| now_ns.saturating_sub(*lost) < QUIET_NS);
            if is_over(of) {
                over.push(of.clone());
            } else if open.is_told() {
                if open.is_due(STILL_NS, now_ns) {
                    out.push(open.update(now_ns, utc_offset_ns));
                }
            } else if !waits || open.alert.severity == Severity::Critical {
                out.push(open.start(now_ns, utc_offset_ns));
            }
        }
        for of in over {
            out.extend(self.end(&of, EndReason::Cleared, now_ns, utc_offset_ns));
        }
        out
    }

    pub fn end_all(&mut self, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let is_lost = reason == EndReason::CameraLost;
        // One that waits goes on counting: it is told when the stream has come back.
        let ends = self.open.iter().filter(|(_, open)| open.is_told() || !is_lost);
        let over: Vec<KindInZone> = ends.map(|(of, _)| of.clone()).collect();
        let ended: Vec<Alert> = over
            .iter()
            .flat_map(|of| self.end(of, reason, now_ns, utc_offset_ns))
            .collect();
        if !is_lost {
            self.lost_ns.clear();
        }
        ended
    }

    pub fn forget(&mut self, now_ns: u64) {
        self.lost_ns.retain(|_, lost| now_ns.saturating_sub(*lost) <= QUIET_NS);
    }

    /// One that still waited is told now: nothing else tells of what it counts.
    fn end(&mut self, of: &KindInZone, reason: EndReason, now_ns: u64, utc_offset_ns: i64) -> Vec<Alert> {
        let Some(mut open) = self.open.remove(of) else {
            return Vec::new();
        };
        if reason == EndReason::CameraLost {
            self.lost_ns.insert(of.clone(), open.last_evidence_ns);
        }
        let start = (!open.is_told()).then(|| open.start(now_ns, utc_offset_ns));
        let end = open.end(reason, now_ns, utc_offset_ns);
        start.into_iter().chain([end]).collect()
    }
}
