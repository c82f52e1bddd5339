//! Topics that the broker refuses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A topic that the broker refused is tried again after so long.
pub(super) const REFUSED_WAIT: Duration = Duration::from_secs(10);

/// A topic is refused until the broker takes something of it. None: it was offered again since.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, Option<Instant>>);

impl Refusals {
    /// Whether this is news.
    pub fn refuse(&mut self, topic: String, now: Instant) -> bool {
        self.0.insert(topic, Some(now + REFUSED_WAIT)).is_none()
    }

    pub fn waits(&self, topic: &str) -> bool {
        self.0.get(topic).is_some_and(Option::is_some)
    }

    /// Those that have waited long enough may be offered again.
    pub fn due(&mut self, now: Instant) -> Vec<String> {
        let due = self.0.iter_mut().filter(|(_, at)| at.is_some_and(|at| at <= now));
        due.map(|(topic, at)| {
            *at = None;
            topic.clone()
        })
        .collect()
    }

    pub fn over(&mut self, topic: &str) {
        self.0.remove(topic);
    }

    /// Forgets those that were offered again and that `lives` does not name.
    pub fn settle(&mut self, lives: impl Fn(&str) -> bool) {
        self.0.retain(|topic, at| at.is_some() || lives(topic));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
