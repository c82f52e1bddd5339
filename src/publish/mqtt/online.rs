//! When `online` is told: last of all, as its reader takes whatever is retained for live from then on.

use std::time::{Duration, Instant};

/// A broker that acknowledges slowly does not keep the box `offline` for longer than this.
const AT_MOST: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(super) struct Online {
    /// All that is true at a start has been told to us.
    ready: bool,
    /// Since when the connection waits for it.
    since: Option<Instant>,
}

impl Online {
    /// What is told from now on is no more than what changes.
    pub fn ready(&mut self, now: Instant) {
        self.ready = true;
        self.since = self.since.map(|_| now);
    }

    /// This connection has to tell it.
    pub fn connected(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Whether it is to be told now. `told`: nothing of the retained truth waits to be sent.
    pub fn is_due(&self, told: bool, now: Instant) -> bool {
        self.ready && self.since.is_some_and(|since| told || now >= since + AT_MOST)
    }

    /// This connection does not tell it any more.
    pub fn over(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_connection_after_the_truth_and_late_rather_than_never() {
        let (mut online, start) = (Online::default(), Instant::now());
        online.connected(start);
        // The daemon has not told yet what is true.
        assert!(!online.is_due(true, start + 2 * AT_MOST));
        let ready = start + 2 * AT_MOST;
        online.ready(ready);
        assert!(!online.is_due(false, ready) && online.is_due(true, ready));
        assert!(online.is_due(false, ready + AT_MOST));
        online.over();
        assert!(!online.is_due(true, ready + AT_MOST));
        // Another connection.
        online.connected(ready + 2 * AT_MOST);
        assert!(!online.is_due(false, ready + 2 * AT_MOST) && online.is_due(true, ready + 2 * AT_MOST));
    }

    #[test]
    fn without_a_connection_there_is_nothing_to_tell() {
        let mut online = Online::default();
        online.ready(Instant::now());
        assert!(!online.is_due(true, Instant::now() + 2 * AT_MOST));
    }
}
