//! What is old goes, and on a full disk the oldest snapshots.

use std::path::Path;

use super::{Cause, Store, StoreError, snapshot};

/// What a full disk takes back from the snapshots at once: room for some thousand alerts.
const ROOM_BYTES: u64 = 8 << 20;

/// So many messages and so many events are removed at once.
const EXPIRED_AT_ONCE: i64 = 300;

impl Store {
    /// Removes snapshots that are older than `keep_for`, which a full disk does not hinder.
    pub fn expire_snapshots(&self) {
        snapshot::expire(&self.options.dir.join("snapshots"), self.options.keep_for);
    }

    /// Removes some events that are older than `keep_for`, with their messages: some, because alerts wait for whoever calls. True when
    /// there may be more.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn expire(&mut self, now_utc_ms: i64) -> Result<bool, StoreError> {
        let oldest_ms = now_utc_ms - self.options.keep_for.as_millis() as i64;
        self.expire_inner(oldest_ms).map_err(|e| self.fail(e))
    }

    fn expire_inner(&mut self, oldest_ms: i64) -> rusqlite::Result<bool> {
        let transaction = self.db.transaction()?;
        let some = [oldest_ms, EXPIRED_AT_ONCE];
        // CROSS: events first, by their index, and never all messages.
        let messages = transaction.execute(
            "DELETE FROM message WHERE row IN (SELECT message.row FROM event CROSS JOIN message ON message.id = event.id
             WHERE event.started_ms < ?1 AND event.open = 0 LIMIT ?2)",
            some,
        )?;
        let events = transaction.execute(
            "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event WHERE started_ms < ?1 AND open = 0
             AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = event.id) LIMIT ?2)",
            some,
        )?;
        transaction.commit()?;
        Ok(messages.max(events) as i64 >= EXPIRED_AT_ONCE)
    }

    /// Removes the oldest snapshots where `error` came of a full disk. Returns how many.
    pub fn make_room(&self, error: &StoreError) -> usize {
        make(&self.options.dir, error)
    }
}

pub(super) fn make(dir: &Path, error: &StoreError) -> usize {
    let full = match error.cause {
        Cause::Full => true,
        // Not every failure for want of room says so.
        Cause::Other => snapshot::is_full(dir),
        Cause::Damaged | Cause::Locked => false,
    };
    if full {
        snapshot::remove_oldest(&dir.join("snapshots"), ROOM_BYTES)
    } else {
        0
    }
}
