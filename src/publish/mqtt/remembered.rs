//! Topics that are retained at the broker. The store remembers them for whoever has to clear them one day.

use std::collections::HashSet;

use crate::store::{Store, StoreError};

/// Those that the store knows already: most of them for months, and every write takes the lock that alerts are stored with.
pub(super) struct Remembered(HashSet<String>);

impl Remembered {
    /// What `store` remembers. Where it cannot be read the topics are written once more, one by one.
    pub fn of(store: &Store) -> Self {
        let known = store.retained().unwrap_or_else(|error| {
            tracing::error!("{error}");
            Vec::new()
        });
        Self(known.into_iter().collect())
    }

    /// Remembers a topic. One that could not be written is tried again when it is told the next time.
    pub fn add(&mut self, store: &Store, topic: &str) -> Result<(), StoreError> {
        if !self.0.contains(topic) {
            store.remember_retained(topic)?;
            self.0.insert(topic.to_owned());
        }
        Ok(())
    }

    /// Forgets a topic: the broker holds nothing of it any more, or never did.
    pub fn forget(&mut self, store: &Store, topic: &str) -> Result<(), StoreError> {
        self.0.remove(topic);
        store.forget_retained(topic)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::store::StoreOptions;

    fn open(dir: &Path) -> Store {
        let hour = Duration::from_secs(3600);
        let store = Store::open(&StoreOptions {
            dir: dir.to_owned(),
            keep_for: hour,
            outbox_max: 10,
            outbox_max_age: hour,
        });
        store.unwrap()
    }

    #[test]
    fn a_topic_is_written_once_and_not_waited_for_while_somebody_has_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let (store, other) = (open(dir.path()), open(dir.path()));
        store.wait_for_locks(Duration::ZERO).unwrap();
        let mut remembered = Remembered::of(&store);
        remembered.add(&store, "a").unwrap();
        // Of an earlier process.
        let mut later = Remembered::of(&store);
        other.sql("BEGIN IMMEDIATE").unwrap();
        for each in [&mut remembered, &mut later] {
            each.add(&store, "a").unwrap();
            assert!(each.add(&store, "b").is_err());
        }
        other.sql("ROLLBACK").unwrap();
        // What was not written is no more known than before.
        remembered.add(&store, "b").unwrap();
        assert_eq!(store.retained().unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_topic_that_was_forgotten_and_is_told_again_is_remembered_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut remembered = Remembered::of(&store);
        remembered.add(&store, "a").unwrap();
        remembered.forget(&store, "a").unwrap();
        assert!(store.retained().unwrap().is_empty());
        remembered.add(&store, "a").unwrap();
        assert_eq!(store.retained().unwrap(), ["a"]);
    }
}
