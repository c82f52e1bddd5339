//! Events and outbox in one transaction; snapshots; retention.
//!
//! An alert that [`Store::commit`] returned for is on disk and will reach the broker, whatever is killed. Every thread
//! that needs the store opens it for itself: SQLite's write-ahead log lets one write while others read.

mod age;
mod lock;
mod room;
mod snapshot;
mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

pub use lock::{is_ours, lock};
pub use snapshot::{jpeg, write_snapshot};

/// So long a thread waits for whoever holds the database that has other things to do.
pub const HURRY: Duration = Duration::from_millis(250);

#[derive(Clone, Debug, PartialEq)]
pub struct StoreOptions {
    /// `state.dir`
    pub dir: PathBuf,
    /// Events and snapshots older than this are removed.
    pub keep_for: Duration,
    /// Most alerts waiting for the broker; beyond it updates go first, then the oldest alerts.
    pub outbox_max: usize,
    /// Alerts that waited longer are dropped, counted.
    pub outbox_max_age: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("store {}: {why}", path.display())]
pub struct StoreError {
    path: PathBuf,
    why: String,
    cause: Cause,
}

/// What can be done about it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The file is not, or no longer, a database.
    Damaged,
    /// The disk is full.
    Full,
    /// Another program holds the database.
    Locked,
    Other,
}

impl StoreError {
    fn plain(path: &Path, why: impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            why: why.to_string(),
            cause: Cause::Other,
        }
    }

    fn of_io(path: &Path, error: &std::io::Error) -> Self {
        let cause = if snapshot::lacks_room(error) {
            Cause::Full
        } else {
            Cause::Other
        };
        Self {
            cause,
            ..Self::plain(path, error)
        }
    }

    /// As [`Self::of_io`], with what to do, where the folder itself is not to be had.
    fn of_folder(path: &Path, error: &std::io::Error) -> Self {
        let mut this = Self::of_io(path, error);
        if this.cause != Cause::Full {
            this.why += "; state.dir must be a folder that this user can write, and the service's unit must name it in ReadWritePaths= \
                         where it is not /var/lib/watchfire";
        }
        this
    }

    fn of_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let cause = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Cause::Damaged,
            Some(ErrorCode::DiskFull) => Cause::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Cause::Locked,
            _ => Cause::Other,
        };
        let why = match cause {
            Cause::Locked => format!("{error}: another program holds it, and must let go"),
            _ => error.to_string(),
        };
        Self {
            cause,
            ..Self::plain(path, why)
        }
    }

    /// The file is not, or no longer, a database: only a new one helps.
    pub fn is_damaged(&self) -> bool {
        self.cause == Cause::Damaged
    }
}

/// One message of an alert's life, as it is stored and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub alert_id: String,
    pub camera: String,
    pub kind: String,
    /// `start`, `update` or `end`.
    pub phase: String,
    pub started_utc_ms: i64,
    pub topic: String,
    pub payload: String,
}

/// A message that waits for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub row: i64,
    pub topic: String,
    pub payload: String,
    pub since_utc_ms: i64,
}

/// `state.dir/watchfire.db`
pub struct Store {
    db: Connection,
    options: StoreOptions,
    evicts_by_age: bool,
}

/// Of an alert that is open for hours so many updates are kept beside its start and end: as many of the oldest, where it
/// rose, as of the newest.
const UPDATES_KEPT: i64 = 100;

const VERSION: i64 = 2;
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS event (
    id TEXT PRIMARY KEY, camera TEXT NOT NULL, kind TEXT NOT NULL, started_ms INTEGER NOT NULL,
    open INTEGER NOT NULL, topic TEXT NOT NULL, payload TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS event_started ON event (started_ms);
CREATE TABLE IF NOT EXISTS message (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, phase TEXT NOT NULL, payload TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS message_of ON message (id);
CREATE TABLE IF NOT EXISTS outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT, phase TEXT NOT NULL, topic TEXT NOT NULL, payload TEXT NOT NULL,
    since_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS retained (topic TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS learned (camera TEXT PRIMARY KEY, body TEXT NOT NULL, at_ms INTEGER NOT NULL);
PRAGMA user_version = 2;
";

impl Store {
    /// Opens or makes the store.
    ///
    /// # Errors
    /// The folder cannot be written, or the file is no store of ours.
    pub fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let path = path_in(&options.dir);
        let fail = |e: rusqlite::Error| StoreError::of_sqlite(&path, &e);
        std::fs::create_dir_all(&options.dir).map_err(|e| StoreError::of_folder(&path, &e))?;
        let db = Connection::open(&path).map_err(fail)?;
        let version: i64 = db.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(fail)?;
        if version > VERSION {
            let why = format!("version {version} was written by a newer Watchfire");
            return Err(StoreError::plain(&path, why));
        }
        // FULL: a commit survives a power cut too, and alerts are rare.
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")
            // A store that is complete is opened without a write: a full disk is no reason not to start.
            .and_then(|()| db.execute_batch(if version < VERSION { SCHEMA } else { "" }))
            .map_err(fail)?;
        Ok(Self {
            db,
            options: options.clone(),
            evicts_by_age: true,
        })
    }

    /// Opens a store that the daemon has made: who only looks makes none, in a place where the daemon would not look.
    ///
    /// # Errors
    /// As [`Self::open`]; there is none.
    pub fn open_existing(options: &StoreOptions) -> Result<Self, StoreError> {
        let path = path_in(&options.dir);
        match path.try_exists() {
            Ok(true) => Self::open(options),
            Ok(false) => Err(StoreError::plain(
                &path,
                "there is none: no daemon with this configuration has run here yet",
            )),
            Err(error) => Err(StoreError::plain(&path, error)),
        }
    }

    /// Waits so long at most where another program holds the database; five seconds unless told.
    pub fn wait_for_locks(&self, most: Duration) -> Result<(), StoreError> {
        self.db.busy_timeout(most).map_err(|e| self.fail(e))
    }

    /// Whether what waits too long is dropped. Not while the host's clock may be ahead.
    pub fn evict_by_age(&mut self, yes: bool) {
        self.evicts_by_age = yes;
    }

    fn fail(&self, error: rusqlite::Error) -> StoreError {
        StoreError::of_sqlite(&path_in(&self.options.dir), &error)
    }

    /// Events and outbox in one transaction. Returns how many waiting messages were evicted to keep the outbox bounded.
    ///
    /// # Errors
    /// The disk is full or broken; nothing of `messages` is stored then.
    pub fn commit(&mut self, messages: &[Message], now_utc_ms: i64) -> Result<usize, StoreError> {
        self.commit_inner(messages, now_utc_ms).map_err(|e| self.fail(e))
    }

    fn commit_inner(&mut self, messages: &[Message], now_utc_ms: i64) -> rusqlite::Result<usize> {
        let transaction = self.db.transaction()?;
        for m in messages {
            transaction.execute(
                "INSERT INTO event (id, camera, kind, started_ms, open, topic, payload) VALUES (?1,?2,?3,?4,?5,?6,?7)
                 ON CONFLICT (id) DO UPDATE SET open = ?5, payload = ?7",
                params![
                    m.alert_id,
                    m.camera,
                    m.kind,
                    age::began_ms(m.started_utc_ms, now_utc_ms),
                    m.phase != "end",
                    m.topic,
                    m.payload
                ],
            )?;
            transaction.execute(
                "INSERT INTO message (id, phase, payload) VALUES (?1, ?2, ?3)",
                params![m.alert_id, m.phase, m.payload],
            )?;
            if m.phase == "update" {
                transaction.execute(
                    "DELETE FROM message WHERE row IN (SELECT row FROM message WHERE id = ?1 AND phase = 'update'
                     ORDER BY row DESC LIMIT -1 OFFSET ?2)
                     AND row NOT IN (SELECT row FROM message WHERE id = ?1 AND phase = 'update'
                     ORDER BY row LIMIT ?2)",
                    params![m.alert_id, UPDATES_KEPT / 2],
                )?;
            }
            transaction.execute(
                "INSERT INTO outbox (phase, topic, payload, since_ms) VALUES (?1, ?2, ?3, ?4)",
                params![m.phase, m.topic, m.payload, now_utc_ms],
            )?;
        }
        let mut evicted = 0;
        if self.evicts_by_age {
            let oldest_ms = now_utc_ms - self.options.outbox_max_age.as_millis() as i64;
            evicted += transaction.execute("DELETE FROM outbox WHERE since_ms < ?1", [oldest_ms])?;
        }
        let over = |t: &rusqlite::Transaction| -> rusqlite::Result<i64> {
            let depth: i64 = t.query_row("SELECT COUNT(*) FROM outbox", [], |r| r.get(0))?;
            Ok((depth - self.options.outbox_max as i64).max(0))
        };
        for which in ["WHERE phase = 'update'", ""] {
            evicted += transaction.execute(
                &format!("DELETE FROM outbox WHERE row IN (SELECT row FROM outbox {which} ORDER BY row LIMIT ?1)"),
                [over(&transaction)?],
            )?;
        }
        transaction.commit()?;
        Ok(evicted)
    }

    /// The oldest waiting messages after `after`, in order.
    pub fn waiting(&self, after: i64, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        let query = || -> rusqlite::Result<Vec<Waiting>> {
            self.db
                .prepare_cached(
                    "SELECT row, topic, payload, since_ms FROM outbox WHERE row > ?1 ORDER BY row LIMIT ?2",
                )?
                .query_map(params![after, limit as i64], |r| {
                    Ok(Waiting {
                        row: r.get(0)?,
                        topic: r.get(1)?,
                        payload: r.get(2)?,
                        since_utc_ms: r.get(3)?,
                    })
                })?
                .collect()
        };
        query().map_err(|e| self.fail(e))
    }

    /// The broker has it.
    pub fn acknowledge(&self, row: i64) -> Result<(), StoreError> {
        self.db
            .execute("DELETE FROM outbox WHERE row = ?1", [row])
            .map(|_| ())
            .map_err(|e| self.fail(e))
    }

    pub fn outbox_depth(&self) -> Result<u64, StoreError> {
        let depth = self
            .db
            .query_row("SELECT COUNT(*) FROM outbox", [], |r| r.get::<_, i64>(0));
        depth.map(|n| n as u64).map_err(|e| self.fail(e))
    }

    /// Payloads of the alerts that were open when the process ended without ending them.
    pub fn open_alerts(&self) -> Result<Vec<(String, String)>, StoreError> {
        let query = || -> rusqlite::Result<Vec<(String, String)>> {
            self.db
                .prepare("SELECT topic, payload FROM event WHERE open = 1 ORDER BY started_ms")?
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect()
        };
        query().map_err(|e| self.fail(e))
    }

    /// Payloads of events from `since_utc_ms` on, oldest first.
    pub fn events(
        &self,
        since_utc_ms: i64,
        camera: Option<&str>,
        kind: Option<&str>,
    ) -> Result<Vec<String>, StoreError> {
        let query = || -> rusqlite::Result<Vec<String>> {
            self.db
                .prepare(
                    "SELECT payload FROM event WHERE started_ms >= ?1 AND (?2 IS NULL OR camera = ?2)
                     AND (?3 IS NULL OR kind = ?3) ORDER BY started_ms",
                )?
                .query_map(params![since_utc_ms, camera, kind], |r| r.get(0))?
                .collect()
        };
        query().map_err(|e| self.fail(e))
    }

    /// Remembers that a topic is retained at the broker, so that it can be cleared when its camera is gone.
    pub fn remember_retained(&self, topic: &str) -> Result<(), StoreError> {
        let insert = self
            .db
            .execute("INSERT OR IGNORE INTO retained (topic) VALUES (?1)", [topic]);
        insert.map(|_| ()).map_err(|e| self.fail(e))
    }

    pub fn forget_retained(&self, topic: &str) -> Result<(), StoreError> {
        self.db
            .execute("DELETE FROM retained WHERE topic = ?1", [topic])
            .map(|_| ())
            .map_err(|e| self.fail(e))
    }

    pub fn retained(&self) -> Result<Vec<String>, StoreError> {
        let query = || -> rusqlite::Result<Vec<String>> {
            self.db
                .prepare("SELECT topic FROM retained")?
                .query_map([], |r| r.get(0))?
                .collect()
        };
        query().map_err(|e| self.fail(e))
    }

    /// The messages of this alert, oldest first; none: the store does not know it. Of one that an older version stored
    /// only the last is there.
    pub fn life(&self, id: &str) -> Result<Vec<String>, StoreError> {
        let query = || -> rusqlite::Result<Vec<String>> {
            let mut messages = self
                .db
                .prepare("SELECT payload FROM message WHERE id = ?1 ORDER BY row")?;
            let life: Vec<String> = messages.query_map([id], |r| r.get(0))?.collect::<Result<_, _>>()?;
            if !life.is_empty() {
                return Ok(life);
            }
            let mut last = self.db.prepare("SELECT payload FROM event WHERE id = ?1")?;
            last.query_map([id], |r| r.get(0))?.collect()
        };
        query().map_err(|e| self.fail(e))
    }

    /// Keeps what a camera's behaviour has learned.
    pub fn keep_learned(&self, camera: &str, body: &str, now_utc_ms: i64) -> Result<(), StoreError> {
        let kept = self.db.execute(
            "INSERT INTO learned (camera, body, at_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (camera) DO UPDATE SET body = ?2, at_ms = ?3",
            params![camera, body, now_utc_ms],
        );
        kept.map(|_| ()).map_err(|e| self.fail(e))
    }

    /// What a camera's behaviour has learned.
    pub fn learned(&self, camera: &str) -> Result<Option<String>, StoreError> {
        let row = self
            .db
            .query_row("SELECT body FROM learned WHERE camera = ?1", [camera], |r| r.get(0))
            .optional();
        row.map_err(|e| self.fail(e))
    }

    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// Brings the database, or this connection, into a state that a test is about.
    #[cfg(test)]
    pub(crate) fn sql(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.execute_batch(sql)
    }
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("watchfire.db")
}

#[cfg(test)]
mod tests;
