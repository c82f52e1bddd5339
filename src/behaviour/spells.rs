//! What tracks do for a while: since when each does it, and whether that lasted.

use std::collections::BTreeMap;

/// Who was not seen doing it for so long has stopped.
const LOST_NS: u64 = 1_000_000_000;
/// Who was seen doing it so lately still does.
const FRESH_NS: u64 = 600_000_000;

pub(super) struct Spell<T> {
    pub since_ns: u64,
    pub last_ns: u64,
    pub what: T,
}

pub(super) struct Spells<T> {
    /// It must last so long.
    least_ns: u64,
    going: BTreeMap<u64, Spell<T>>,
    /// Lasted and ended since they were asked for: in a long window who ran has often gone when it ends.
    over: Vec<Spell<T>>,
    asked_ns: u64,
}

impl<T> Spells<T> {
    pub fn new(least_ns: u64) -> Self {
        Self {
            least_ns,
            going: BTreeMap::new(),
            over: Vec::new(),
            asked_ns: 0,
        }
    }

    pub fn clear(&mut self) {
        self.going.clear();
        self.over.clear();
    }

    pub fn goes_on(&self, id: u64) -> bool {
        self.going.contains_key(&id)
    }

    /// The track does it at this frame; `new` is what is known of one that begins.
    pub fn does(&mut self, id: u64, at_ns: u64, new: impl FnOnce() -> T) -> &mut T {
        let spell = self.going.entry(id).or_insert_with(|| Spell {
            since_ns: at_ns,
            last_ns: at_ns,
            what: new(),
        });
        spell.last_ns = at_ns;
        &mut spell.what
    }

    pub fn stops(&mut self, id: u64) {
        let over = self.going.remove(&id);
        self.over
            .extend(over.filter(|s| s.last_ns - s.since_ns >= self.least_ns));
    }

    /// After each frame: who is not seen any more has stopped.
    pub fn forget_lost(&mut self, now_ns: u64) {
        let lost = self
            .going
            .iter()
            .filter(|(_, s)| now_ns.saturating_sub(s.last_ns) >= LOST_NS);
        let lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        lost.into_iter().for_each(|id| self.stops(id));
    }

    /// Those that lasted, and held lately or at any time since this was asked last.
    pub fn lasting(&mut self, now_ns: u64) -> Vec<&Spell<T>> {
        let asked_ns = std::mem::replace(&mut self.asked_ns, now_ns);
        self.over.retain(|s| s.last_ns > asked_ns);
        let least_ns = self.least_ns;
        let holds = |s: &&Spell<T>| {
            let lately = s.last_ns > asked_ns || now_ns.saturating_sub(s.last_ns) < FRESH_NS;
            lately && s.last_ns - s.since_ns >= least_ns
        };
        self.going.values().chain(&self.over).filter(holds).collect()
    }
}
