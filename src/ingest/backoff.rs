//! Waits between tries. Pure.

use std::time::Duration;

/// Doubles from `first` to `cap`; each wait is 75 to 125 % of that and at most `cap`, so that cameras do not come back all at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    tries: u32,
    random: u64,
}

/// A refused password waits at least so long: cameras lock accounts.
pub const AFTER_REFUSED_LOGIN: Duration = Duration::from_secs(300);

impl Backoff {
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self {
            first,
            cap,
            tries: 0,
            random: seed | 1,
        }
    }

    /// It worked: the next wait is the first again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Tries since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    pub fn next_wait(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.tries.min(16)).min(self.cap);
        self.tries += 1;
        // xorshift64 (Marsaglia, 2003): jitter needs no better.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        full.mul_f64(0.75 + 0.5 * (self.random % 1024) as f64 / 1024.0)
            .min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_with_jitter_and_start_anew_after_success() {
        let mut b = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), 7);
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let wait = b.next_wait().as_secs_f64();
            let most = f64::min(expected * 1.25, 30.0);
            assert!((expected * 0.75..=most).contains(&wait), "{expected} {wait}");
        }
        assert_eq!(b.tries(), 7);
        b.reset();
        assert!(b.next_wait() <= Duration::from_millis(1250));
    }
}
