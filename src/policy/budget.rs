//! So many alerts an hour of a kind in a zone.

use std::collections::{BTreeMap, VecDeque};

use super::key::KindInZone;

const HOUR_NS: u64 = 3_600_000_000_000;

/// When the alerts of the last hour started, by kind and zone: a noisy place takes nothing from the others.
#[derive(Default)]
pub(super) struct Budget {
    told_ns: BTreeMap<KindInZone, VecDeque<u64>>,
}

impl Budget {
    /// Whether one more may be told; 0 is no limit.
    pub fn allows(&mut self, of: &KindInZone, per_hour: u32, now_ns: u64) -> bool {
        let told = self.told_ns.entry(of.clone()).or_default();
        // A clock that starts anew gives no new budget, and takes none for longer than an hour.
        told.iter_mut().for_each(|t| *t = (*t).min(now_ns));
        while told.front().is_some_and(|t| now_ns.saturating_sub(*t) >= HOUR_NS) {
            told.pop_front();
        }
        per_hour == 0 || told.len() < per_hour as usize
    }

    /// Whether one more may be told, which is then counted.
    pub fn spend(&mut self, of: &KindInZone, per_hour: u32, now_ns: u64) -> bool {
        let may = self.allows(of, per_hour, now_ns);
        if may {
            self.told_ns.entry(of.clone()).or_default().push_back(now_ns);
        }
        may
    }
}
