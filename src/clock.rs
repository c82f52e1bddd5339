//! Time is injected: nothing below `app` asks the system for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Where a component gets its time from.
pub trait Clock: Send + Sync {
    /// Monotonic nanoseconds since an arbitrary start.
    fn monotonic_ns(&self) -> u64;
    /// UTC, nanoseconds since 1970.
    fn utc_ns(&self) -> i64;
    /// Nanoseconds since the host was started, its sleep included.
    fn up_ns(&self) -> u64 {
        self.monotonic_ns()
    }
}

/// The host's clocks.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn utc_ns(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as i64)
    }

    fn up_ns(&self) -> u64 {
        clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map_or_else(|_| self.monotonic_ns(), |t| Duration::from(t).as_nanos() as u64)
    }
}

/// A clock that a test moves by hand; both readings are the same number.
#[derive(Default)]
pub struct ManualClock {
    now_ns: AtomicU64,
}

impl ManualClock {
    pub fn advance_ns(&self, by_ns: u64) {
        self.now_ns.fetch_add(by_ns, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic_ns(&self) -> u64 {
        self.now_ns.load(Ordering::SeqCst)
    }

    fn utc_ns(&self) -> i64 {
        self.now_ns.load(Ordering::SeqCst) as i64
    }
}
