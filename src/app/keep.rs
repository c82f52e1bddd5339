//! What is to last: messages and what was learned → store, whatever disk, database and clock are like.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Board;
use crate::clock::Clock;
use crate::store::{HURRY, Message, Store, StoreError};

/// Messages kept while the disk does not take them.
const MEMORY: usize = 1_000;
/// So often the disk is asked again, and some of what is old is removed.
const TEND_NS: u64 = 1_000_000_000;
/// So often what is old is looked for; the first time after as long.
const EXPIRE_NS: u64 = 3_600_000_000_000;
/// A clock that is slewed moves by less.
const CLOCK_STEP_NS: u64 = 10_000_000_000;
/// The last attempt waits so long for whoever holds the database.
const LAST_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Keeper {
    store: Store,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    /// What the disk has not taken yet, oldest first.
    pending: VecDeque<Message>,
    /// Why the disk does not take them, as the box's problems say it.
    trouble: Option<String>,
    /// The last attempt to commit, when it was over.
    tried_ns: u64,
    /// How many snapshots a full disk has cost, and what the box's problems say of it.
    cost: usize,
    room_told: Option<String>,
    expired_ns: u64,
    /// There may be more of what is old.
    expiring: bool,
    /// When some of it was removed last.
    swept_ns: u64,
    /// UTC less how long the host is up: it changes when the host's clock is set.
    utc_offset_ns: i64,
}

impl Keeper {
    pub fn new(mut store: Store, clock: Arc<dyn Clock>, board: Arc<Board>) -> Self {
        // A clock that is ahead at boot makes all look old. It has an hour to be set.
        store.evict_by_age(false);
        let now_ns = clock.monotonic_ns();
        let keeper = Self {
            utc_offset_ns: utc_offset_ns(&*clock),
            store,
            clock,
            board,
            pending: VecDeque::new(),
            trouble: None,
            tried_ns: now_ns,
            cost: 0,
            room_told: None,
            expired_ns: now_ns,
            expiring: false,
            swept_ns: now_ns,
        };
        // Verdicts wait meanwhile.
        keeper.wait_for_locks(HURRY);
        keeper
    }

    pub fn dir(&self) -> &Path {
        self.store.dir()
    }

    /// The disk did not take the last messages.
    pub fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    pub fn push(&mut self, message: Message) {
        self.pending.push_back(message);
    }

    /// Commits what is pending; in trouble [`Self::tend`] does. True when there is something new for the broker.
    pub fn commit_soon(&mut self) -> bool {
        !self.is_in_trouble() && self.flush()
    }

    /// What is to be done again and again: call it often. True when there is something new for the broker.
    pub fn tend(&mut self) -> bool {
        let due = self.clock.monotonic_ns().saturating_sub(self.tried_ns) >= TEND_NS;
        let committed = due && self.flush();
        self.expire();
        committed
    }

    /// Commits what is pending, with more patience: there is no other time. True when there is something new for the broker.
    pub fn commit_last(&mut self) -> bool {
        self.wait_for_locks(LAST_WAIT);
        self.flush()
    }

    /// Keeps what a camera's behaviour has learned. In trouble not: it comes again, and alerts go first.
    pub fn keep_learned(&mut self, camera: &str, body: &str) {
        if self.is_in_trouble() {
            return;
        }
        if let Err(error) = self.store.keep_learned(camera, body, self.utc_ms()) {
            tracing::warn!(camera, %error, "what was learned could not be kept");
            self.helped(&error);
        }
    }

    /// Does what can be done about it: a full disk gets room, a damaged database a successor. True when another attempt is worth it.
    pub fn helped(&mut self, error: &StoreError) -> bool {
        if error.is_damaged() {
            return self.renewed(error);
        }
        let removed = self.store.make_room(error);
        if removed > 0 {
            self.cost += removed;
            let told = format!(
                "the disk was full: the {} oldest snapshots were removed to make room; free some, or lower state.keep_days",
                self.cost
            );
            tracing::error!(%error, "{told}");
            tell(&self.board, &mut self.room_told, Some(told));
        }
        removed > 0
    }

    /// A new database takes the place of the damaged one, and what is pending goes there. The publisher has the old one open still, so the
    /// process is to end in order and to be started anew.
    fn renewed(&mut self, error: &StoreError) -> bool {
        let renewed = self.store.renew(error, self.utc_ms());
        let done = match &renewed {
            Ok(told) => format!("{told}; `sqlite3 FILE .recover` reads what is left of its events"),
            Err(why) => format!("{error}; it could not be put aside ({why})"),
        };
        let told = format!("{done}; giving up, to be started anew. The disk or card may be failing: look into `dmesg`");
        tracing::error!("{told}");
        self.wait_for_locks(HURRY);
        let _ = self.board.gives_up.set(told);
        renewed.is_ok()
    }

    /// Commits what is pending; a disk that does not take it is survived with a bounded queue.
    fn flush(&mut self) -> bool {
        let mut written = self.write();
        if let Err(error) = &written
            && self.helped(error)
        {
            written = self.write();
        }
        // After the attempt: one that waited for a lock is not followed by the next at once.
        self.tried_ns = self.clock.monotonic_ns();
        match written {
            Ok(evicted) => {
                let committed = !self.pending.is_empty();
                self.pending.clear();
                self.disk_trouble(None);
                self.board.evicted.fetch_add(evicted as u64, Relaxed);
                committed
            }
            Err(error) => {
                tracing::error!(%error, waiting = self.pending.len(), "alerts wait in memory");
                while self.pending.len() > MEMORY {
                    self.pending.pop_front();
                    self.board.evicted.fetch_add(1, Relaxed);
                }
                self.disk_trouble(Some(error.to_string()));
                false
            }
        }
    }

    fn write(&mut self) -> Result<usize, StoreError> {
        self.follow_clock()?;
        if self.pending.is_empty() {
            return Ok(0);
        }
        let now_ms = self.utc_ms();
        self.store.commit(self.pending.make_contiguous(), now_ms)
    }

    /// A box without a battery for its clock starts somewhere in the past: what it has stored since must not look too old to be kept
    /// once the time is known, neither by this process nor by one before it.
    fn follow_clock(&mut self) -> Result<(), StoreError> {
        let now_ns = utc_offset_ns(&*self.clock);
        let step_ns = now_ns - self.utc_offset_ns;
        if step_ns.unsigned_abs() >= CLOCK_STEP_NS {
            tracing::warn!("the host's clock was set by {} s", step_ns / 1_000_000_000);
            let step_ms = step_ns / 1_000_000;
            let before_ms = self.utc_ms() - step_ms;
            let since_boot_ms = before_ms - (self.clock.up_ns() / 1_000_000) as i64..=before_ms;
            self.store.clock_set(&since_boot_ms, step_ms)?;
            self.utc_offset_ns = now_ns;
        }
        Ok(())
    }

    /// Tells what keeps alerts off the disk, once and again after a reload, and takes it back when that is over.
    fn disk_trouble(&mut self, now: Option<String>) {
        if self.trouble.is_some() || now.is_some() {
            tell(&self.board, &mut self.trouble, now);
        }
    }

    /// Removes what is old, some of it at a time, so that alerts are stored in between.
    fn expire(&mut self) {
        let now_ns = self.clock.monotonic_ns();
        if now_ns.saturating_sub(self.expired_ns) >= EXPIRE_NS {
            self.expired_ns = now_ns;
            self.expiring = true;
            self.store.evict_by_age(true);
            self.store.expire_snapshots();
        }
        let due = now_ns.saturating_sub(self.swept_ns) >= TEND_NS;
        if !self.expiring || !due || self.is_in_trouble() {
            return;
        }
        match self.store.expire(self.utc_ms()) {
            Ok(more) => self.expiring = more,
            Err(error) => {
                tracing::warn!(%error, "old events could not be removed");
                self.expiring = self.helped(&error);
            }
        }
        self.swept_ns = self.clock.monotonic_ns();
    }

    fn wait_for_locks(&self, most: Duration) {
        if let Err(error) = self.store.wait_for_locks(most) {
            tracing::warn!(%error, "it waits for locks as long as before");
        }
    }

    fn utc_ms(&self) -> i64 {
        self.clock.utc_ns() / 1_000_000
    }
}

/// Puts `now` in the place of what was told before among the box's problems.
fn tell(board: &Board, told: &mut Option<String>, now: Option<String>) {
    let mut problems = board.problems.write();
    problems.retain(|p| Some(p) != told.as_ref());
    problems.extend(now.clone());
    *told = now;
}

/// Against a clock that also counts what the host sleeps: waking up sets no clock.
fn utc_offset_ns(clock: &dyn Clock) -> i64 {
    clock.utc_ns() - clock.up_ns() as i64
}

#[cfg(test)]
mod clock_tests;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Instant;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::StoreOptions;

    const HOUR: Duration = Duration::from_secs(3600);

    fn open(dir: &Path) -> Store {
        Store::open(&StoreOptions {
            dir: dir.to_owned(),
            keep_for: HOUR,
            outbox_max: 100,
            outbox_max_age: HOUR,
        })
        .unwrap()
    }

    fn keeper(dir: &Path) -> (Keeper, Arc<ManualClock>) {
        let clock: Arc<ManualClock> = Arc::default();
        (Keeper::new(open(dir), clock.clone(), Arc::default()), clock)
    }

    fn message(id: &str, phase: &str, started_utc_ms: i64) -> Message {
        Message {
            alert_id: id.into(),
            camera: "yard".into(),
            kind: "intrusion".into(),
            phase: phase.into(),
            started_utc_ms,
            topic: "t".into(),
            payload: id.into(),
        }
    }

    fn snapshot(dir: &Path) -> PathBuf {
        let path = dir.join("snapshots/yard/old.jpg");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * HOUR).unwrap();
        path
    }

    fn waiting(dir: &Path) -> Vec<String> {
        let all = open(dir).waiting(0, 100).unwrap();
        all.into_iter().map(|w| w.payload).collect()
    }

    fn problems(keeper: &Keeper) -> Vec<String> {
        keeper.board.problems.read().clone()
    }

    #[test]
    fn who_holds_the_database_holds_up_one_attempt_a_second_and_not_every_alert() {
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, clock) = keeper(dir.path());
        let other = open(dir.path());
        other.sql("BEGIN IMMEDIATE").unwrap();
        let began = Instant::now();
        let mut attempts = Vec::new();
        for i in 0..20 {
            clock.advance_ns(TEND_NS / 10);
            keeper.push(message(&i.to_string(), "start", 0));
            assert!(!keeper.commit_soon() && !keeper.tend());
            attempts.push(keeper.tried_ns);
        }
        attempts.dedup();
        assert_eq!(attempts, [TEND_NS / 10, TEND_NS / 10 + TEND_NS]);
        // Each waits for `HURRY`; a store that is not told so waits for five seconds.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(keeper.is_in_trouble() && problems(&keeper)[0].contains("another program"));
        other.sql("ROLLBACK").unwrap();
        clock.advance_ns(TEND_NS);
        assert!(keeper.tend() && !keeper.is_in_trouble());
        assert_eq!((waiting(dir.path()).len(), problems(&keeper).len()), (20, 0));
    }

    #[test]
    fn a_disk_that_fills_up_meanwhile_costs_the_oldest_snapshots_and_no_alert() {
        let dir = tempfile::tempdir().unwrap();
        let old = snapshot(dir.path());
        let (mut keeper, clock) = keeper(dir.path());
        // The database may not grow: that is still so when the snapshots are gone.
        keeper.store.sql("PRAGMA max_page_count = 1").unwrap();
        keeper.push(message(&"x".repeat(1 << 20), "start", 0));
        assert!(!keeper.commit_soon());
        assert!(keeper.is_in_trouble() && !old.exists());
        let told = problems(&keeper);
        assert!(
            told.len() == 2 && told[0].contains("the 1 oldest snapshots"),
            "{told:?}"
        );
        keeper.store.sql("PRAGMA max_page_count = 1000000").unwrap();
        clock.advance_ns(TEND_NS);
        assert!(keeper.tend() && !keeper.is_in_trouble());
        assert_eq!((waiting(dir.path()).len(), problems(&keeper).len()), (1, 1));
    }

    #[test]
    fn a_database_that_is_damaged_meanwhile_is_put_aside_and_no_new_alert_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        drop(keeper(dir.path()));
        let (mut keeper, _) = keeper(dir.path());
        let path = dir.path().join("watchfire.db");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        keeper.push(message("new", "start", 0));
        assert!(keeper.commit_soon());
        let told = keeper.board.gives_up.get().unwrap();
        assert!(
            told.contains("watchfire.db.damaged-0") && told.contains("started anew"),
            "{told}"
        );
        assert!(dir.path().join("watchfire.db.damaged-0").exists());
        drop(keeper);
        assert_eq!(waiting(dir.path()), ["new"]);
    }

    #[test]
    fn for_an_hour_nothing_is_too_old_as_the_clock_may_be_ahead() {
        const LONG_AGO_MS: i64 = -10_000_000;
        let dir = tempfile::tempdir().unwrap();
        let old = snapshot(dir.path());
        open(dir.path())
            .commit(&[message("old", "end", LONG_AGO_MS)], LONG_AGO_MS)
            .unwrap();
        let (mut keeper, clock) = keeper(dir.path());
        let known = |keeper: &Keeper| keeper.store.life("old").unwrap().len();
        clock.advance_ns(TEND_NS);
        keeper.push(message("first", "start", 0));
        assert!(keeper.tend());
        assert_eq!(waiting(dir.path()), ["old", "first"]);
        assert_eq!((known(&keeper), old.exists()), (1, true));
        clock.advance_ns(EXPIRE_NS);
        keeper.tend();
        assert_eq!((known(&keeper), old.exists()), (0, false));
        keeper.push(message("second", "start", 0));
        assert!(keeper.commit_soon());
        assert_eq!(waiting(dir.path()), ["first", "second"]);
    }
}
