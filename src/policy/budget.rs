//! So many alerts an hour of a kind, and a count of what was held back.

use std::collections::{BTreeMap, VecDeque};

use crate::data::Kind;

const HOUR_NS: u64 = 3_600_000_000_000;

#[derive(Default)]
pub(super) struct Budget {
    kinds: BTreeMap<Kind, Spent>,
}

#[derive(Default)]
struct Spent {
    /// When the alerts of the last hour started.
    told_ns: VecDeque<u64>,
    /// Alerts held back since the last that was told.
    held_back: u32,
}

impl Budget {
    /// Whether one more may be told; 0 is no limit.
    pub fn allows(&mut self, kind: Kind, per_hour: u32, now_ns: u64) -> bool {
        let told = &mut self.kinds.entry(kind).or_default().told_ns;
        // A clock that starts anew gives no new budget, and takes none for longer than an hour.
        told.iter_mut().for_each(|t| *t = (*t).min(now_ns));
        while told.front().is_some_and(|t| now_ns.saturating_sub(*t) >= HOUR_NS) {
            told.pop_front();
        }
        per_hour == 0 || told.len() < per_hour as usize
    }

    /// One is told. Returns how many were held back before it.
    pub fn spend(&mut self, kind: Kind, now_ns: u64) -> u32 {
        let spent = self.kinds.entry(kind).or_default();
        spent.told_ns.push_back(now_ns);
        std::mem::take(&mut spent.held_back)
    }

    pub fn hold_back(&mut self, kind: Kind) {
        self.kinds.entry(kind).or_default().held_back += 1;
    }

    /// One that was held back is told after all.
    pub fn take_back(&mut self, kind: Kind) {
        let held = &mut self.kinds.entry(kind).or_default().held_back;
        *held = held.saturating_sub(1);
    }
}
