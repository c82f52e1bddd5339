//! The heartbeat of the stages: what the watchdog is fed from.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One stage's heart. Beats at every input and at every idle tick.
#[derive(Default)]
pub struct Pulse {
    last_ns: AtomicU64,
    done: AtomicBool,
}

impl Pulse {
    pub(super) fn beat(&self, now_ns: u64) {
        self.last_ns.store(now_ns, SeqCst);
    }

    pub(super) fn stop(&self) {
        self.done.store(true, SeqCst);
    }

    pub fn is_done(&self) -> bool {
        self.done.load(SeqCst)
    }
}

/// All hearts, and whether a stage gave up.
#[derive(Clone, Default)]
pub struct Health {
    pub(super) pulses: Vec<(&'static str, Arc<Pulse>)>,
    /// The first stage that gave up.
    pub(super) fatal: Arc<OnceLock<&'static str>>,
}

impl Health {
    /// Stages that have not beaten for longer than `limit`.
    pub fn stuck(&self, now_ns: u64, limit: Duration) -> Vec<&'static str> {
        let old = |pulse: &Pulse| {
            !pulse.is_done() && now_ns.saturating_sub(pulse.last_ns.load(SeqCst)) > limit.as_nanos() as u64
        };
        self.pulses
            .iter()
            .filter(|(_, pulse)| old(pulse))
            .map(|(name, _)| *name)
            .collect()
    }

    /// Stages that still run.
    pub fn running(&self) -> Vec<&'static str> {
        self.pulses
            .iter()
            .filter(|(_, pulse)| !pulse.is_done())
            .map(|(name, _)| *name)
            .collect()
    }

    pub(super) fn give_up(&self, stage: &'static str) {
        // Set already: another stage gave up before.
        let _ = self.fatal.set(stage);
    }

    /// The stage that panicked too often: the process should end, so that the service manager starts it anew.
    pub fn fatal(&self) -> Option<&'static str> {
        self.fatal.get().copied()
    }
}
