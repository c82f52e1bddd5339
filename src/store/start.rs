//! A start whatever the disk is like, and a new database in the place of a damaged one.

use std::path::{Path, PathBuf};

use super::{Cause, Store, StoreError, StoreOptions, path_in, room};

/// A database up to this size is read through at a start: on a slow card that takes some ten seconds, and systemd gives a start 90.
const READ_THROUGH_BYTES: u64 = 256 << 20;

impl Store {
    /// As [`Self::open`], whatever the disk is like: where it is full the oldest snapshots make room, and a store that is damaged is put
    /// aside for a new one. What was done is told. `now_utc_ms` names what is put aside.
    ///
    /// # Errors
    /// As [`Self::open`]; there was no snapshot left to remove.
    pub fn open_at_start(options: &StoreOptions, now_utc_ms: i64) -> Result<(Self, Option<String>), StoreError> {
        let error = match Self::open(options).and_then(|store| store.checked(READ_THROUGH_BYTES)) {
            Ok(store) => return Ok((store, None)),
            Err(error) => error,
        };
        let told = if error.is_damaged() {
            put_aside(&options.dir, &error, now_utc_ms)?
        } else {
            match room::make(&options.dir, &error) {
                0 => return Err(error),
                removed => {
                    format!("the disk is full: the {removed} oldest snapshots were removed to make room ({error})")
                }
            }
        };
        Self::open(options).map(|store| (store, Some(told)))
    }

    /// Puts this store aside, which is damaged as `error` says, and goes on with a new one. Other connections keep the old one.
    /// Returns what is to be told.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn renew(&mut self, error: &StoreError, now_utc_ms: i64) -> Result<String, StoreError> {
        let told = put_aside(&self.options.dir, error, now_utc_ms)?;
        // The old connection closes here. SQLite sees that its file has moved, and leaves the log alone that has its name now.
        *self = Self::open(&self.options)?;
        Ok(told)
    }

    /// Looks for damage now, and not at the first alert. A large store is not read through, which could take longer than a start may;
    /// what a start needs of it is read.
    pub(super) fn checked(self, most_bytes: u64) -> Result<Self, StoreError> {
        let path = path_in(&self.options.dir);
        if std::fs::metadata(&path).is_ok_and(|about| about.len() > most_bytes) {
            self.open_alerts()?;
            self.outbox_depth()?;
            return Ok(self);
        }
        let check = self
            .db
            .query_row("PRAGMA quick_check(1)", [], |r| r.get::<_, String>(0));
        match check {
            Ok(word) if word == "ok" => Ok(self),
            Ok(what) => Err(StoreError {
                cause: Cause::Damaged,
                ..StoreError::plain(&path, what)
            }),
            Err(error) => Err(self.fail(error)),
        }
    }
}

/// Renames a store with its log. Returns what is to be told.
fn put_aside(dir: &Path, error: &StoreError, now_utc_ms: i64) -> Result<String, StoreError> {
    let path = path_in(dir);
    let aside = renamed(&path, now_utc_ms).map_err(|e| StoreError::of_io(&path, &e))?;
    Ok(format!(
        "{error}: it was put aside as {}, and what waited there for the broker is lost",
        aside.display()
    ))
}

fn renamed(path: &Path, now_utc_ms: i64) -> std::io::Result<PathBuf> {
    let name = |of: &str, end: &str| path.with_file_name(format!("{of}{end}"));
    let aside = format!("watchfire.db.damaged-{}", now_utc_ms / 1000);
    // First: a log that stayed would be taken for the new database's.
    for end in ["-wal", "-shm"] {
        match std::fs::rename(name("watchfire.db", end), name(&aside, end)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(path, name(&aside, ""))?;
    Ok(name(&aside, ""))
}
