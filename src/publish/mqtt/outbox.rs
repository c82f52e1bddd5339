//! Which messages of the outbox are next: in order, and those of a topic that the broker refuses wait without holding up
//! the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::refusals::Refusals;
use crate::store::Store;

/// Where one connection stands in the outbox.
#[derive(Default)]
pub(super) struct Cursor {
    /// The newest row that was handed out or passed over.
    last_row: i64,
    /// Rows that were handed out and not answered yet, with their topics.
    under_way: BTreeMap<i64, String>,
    refused: Refusals,
    /// The first row that was passed over for them.
    held: Option<i64>,
}

impl Cursor {
    pub fn last_row(&self) -> i64 {
        self.last_row
    }

    /// Whether this row is to be handed out now; one that is not is passed over.
    pub fn offers(&mut self, row: i64, topic: &str) -> bool {
        let held = self.refused.waits(topic);
        if held {
            self.hold(row);
        }
        let offered = !held && !self.under_way.contains_key(&row);
        if !offered {
            self.pass_over(row);
        }
        offered
    }

    pub fn pass_over(&mut self, row: i64) {
        self.last_row = row;
    }

    pub fn handed_out(&mut self, row: i64, topic: String) {
        self.under_way.insert(row, topic);
        self.last_row = row;
    }

    /// The broker has this row. Its topic is not refused any more, unless one of before is still to be tried again.
    pub fn taken(&mut self, row: i64) {
        let topic = self.under_way.remove(&row).unwrap_or_default();
        if !self.refused.waits(&topic) {
            self.refused.over(&topic);
        }
    }

    /// The broker does not take this row: its topic waits. Returns the topic.
    pub fn refused(&mut self, row: i64, now: Instant) -> Option<String> {
        let topic = self.under_way.remove(&row)?;
        self.hold(row);
        self.refused.refuse(topic.clone(), now);
        Some(topic)
    }

    /// Lets those be offered again that have waited long enough.
    pub fn try_again(&mut self, now: Instant) {
        if !self.refused.due(now).is_empty()
            && let Some(row) = self.held.take()
        {
            self.last_row = self.last_row.min(row - 1);
        }
    }

    /// Nothing else waits: a topic that was offered again, and of which nothing is under way, has been taken out of the store.
    pub fn all_offered(&mut self) {
        let under_way = &self.under_way;
        self.refused.settle(|topic| under_way.values().any(|t| t == topic));
    }

    pub fn none_refused(&self) -> bool {
        self.refused.is_empty()
    }

    fn hold(&mut self, row: i64) {
        self.held = Some(self.held.map_or(row, |held| held.min(row)));
    }
}

/// Rows that the broker has, and that the disk would not remove: they are not sent again.
#[derive(Default)]
pub(super) struct Kept(BTreeSet<i64>);

impl Kept {
    pub fn remove(&mut self, store: &Store, row: i64) {
        if let Err(error) = store.acknowledge(row) {
            tracing::error!("{error}");
            self.0.insert(row);
        }
    }

    pub fn try_again(&mut self, store: &Store) {
        while let Some(row) = self.0.pop_first() {
            if store.acknowledge(row).is_err() {
                self.0.insert(row);
                return;
            }
        }
    }

    pub fn holds(&self, row: i64) -> bool {
        self.0.contains(&row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusals::REFUSED_WAIT;
    use super::*;

    /// Hands out what the outbox holds from the cursor on.
    fn pass(cursor: &mut Cursor, outbox: &[(i64, &str)]) -> Vec<i64> {
        let mut out = Vec::new();
        for (row, topic) in outbox
            .iter()
            .filter(|(row, _)| *row > cursor.last_row())
            .copied()
            .collect::<Vec<_>>()
        {
            if cursor.offers(row, topic) {
                cursor.handed_out(row, topic.into());
                out.push(row);
            }
        }
        out
    }

    #[test]
    fn a_refused_topic_waits_in_its_order_and_the_others_go_on() {
        let (mut cursor, now) = (Cursor::default(), Instant::now());
        let mut outbox = vec![(1, "a"), (2, "b"), (3, "a")];
        assert_eq!(pass(&mut cursor, &outbox), [1, 2, 3]);
        assert_eq!(cursor.refused(1, now).as_deref(), Some("a"));
        cursor.taken(2);
        assert_eq!(cursor.refused(3, now).as_deref(), Some("a"));
        outbox = vec![(1, "a"), (3, "a"), (4, "a"), (5, "b")];
        assert_eq!(pass(&mut cursor, &outbox), [5]);
        cursor.try_again(now + REFUSED_WAIT / 2);
        assert_eq!(pass(&mut cursor, &outbox), [] as [i64; 0]);
        // What is under way meanwhile is not handed out twice.
        cursor.try_again(now + REFUSED_WAIT);
        assert_eq!(pass(&mut cursor, &outbox), [1, 3, 4]);
        // It counts as refused until the broker takes one of its own, whatever becomes of the others.
        cursor.taken(5);
        assert!(!cursor.none_refused());
        cursor.all_offered();
        assert!(!cursor.none_refused());
        cursor.taken(1);
        assert!(cursor.none_refused());
        // Or until nothing of it is left.
        assert!(cursor.refused(3, now).is_some());
        cursor.taken(4);
        cursor.try_again(now + REFUSED_WAIT);
        cursor.all_offered();
        assert!(cursor.none_refused());
    }
}
