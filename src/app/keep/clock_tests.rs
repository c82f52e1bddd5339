//! A host whose clock is set while alerts are stored already.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::SystemTime;

use super::*;
use crate::store::StoreOptions;

const SECOND_NS: u64 = 1_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY: Duration = Duration::from_secs(86_400);

/// A host that booted in 1970; its two clocks are moved together, and UTC alone when it is set.
#[derive(Default)]
struct Hand {
    monotonic_ns: AtomicU64,
    set_by_ns: AtomicI64,
    slept_ns: AtomicU64,
}

impl Hand {
    fn pass(&self, seconds: u64) {
        self.monotonic_ns.fetch_add(seconds * SECOND_NS, Relaxed);
    }
}

impl Clock for Hand {
    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Relaxed)
    }
    fn utc_ns(&self) -> i64 {
        self.monotonic_ns() as i64 + self.set_by_ns.load(Relaxed)
    }
    fn up_ns(&self) -> u64 {
        self.monotonic_ns() + self.slept_ns.load(Relaxed)
    }
}

fn open(dir: &Path) -> Store {
    let store = Store::open(&StoreOptions {
        dir: dir.to_owned(),
        keep_for: DAY,
        outbox_max: 100,
        outbox_max_age: DAY,
    });
    store.unwrap()
}

fn alert(id: &str, at_ms: i64) -> Message {
    Message {
        alert_id: id.into(),
        camera: "yard".into(),
        kind: "intrusion".into(),
        phase: "end".into(),
        started_utc_ms: at_ms,
        topic: "t".into(),
        payload: id.into(),
    }
}

/// Stores an alert as a process before this one did.
fn stored_before(dir: &Path, id: &str, at_ms: i64) {
    open(dir).commit(&[alert(id, at_ms)], at_ms).unwrap();
}

fn stored(dir: &Path) -> (Vec<String>, Vec<String>) {
    let store = open(dir);
    let waiting = store.waiting(0, 100).unwrap();
    let events = store.events(i64::MIN, None, None).unwrap();
    (waiting.into_iter().map(|w| w.payload).collect(), events)
}

/// Ten minutes after the boot the time becomes known; an hour and a bit later what is old goes.
fn a_start_in_1970(dir: &Path) -> (Keeper, Arc<Hand>) {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    stored_before(dir, "last week", now_ms - 7 * 24 * HOUR_MS);
    stored_before(dir, "yesterday", now_ms - 12 * HOUR_MS);
    // Of a process of this boot that ended.
    stored_before(dir, "first", 60_000);
    let clock = Arc::new(Hand::default());
    clock.pass(300);
    let mut keeper = Keeper::new(open(dir), clock.clone(), Arc::default());
    clock.pass(60);
    keeper.push(alert("second", 360_000));
    assert!(keeper.commit_soon());
    clock.pass(240);
    clock.set_by_ns.store((now_ms - 600_000) * 1_000_000, Relaxed);
    keeper.tend();
    // An alert that began before the clock was set may be stored after it.
    keeper.push(alert("third", 590_000));
    assert!(keeper.commit_soon());
    clock.pass(3600);
    for _ in 0..3 {
        clock.pass(1);
        keeper.tend();
    }
    keeper.push(alert("fourth", clock.utc_ns() / 1_000_000));
    assert!(keeper.commit_soon());
    (keeper, clock)
}

#[test]
fn what_a_box_stored_before_it_knew_the_time_is_as_old_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshots/yard/second.jpg");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(360))
        .unwrap();
    let (keeper, clock) = a_start_in_1970(dir.path());
    let (waiting, events) = stored(dir.path());
    let all = ["yesterday", "first", "second", "third", "fourth"];
    assert_eq!(waiting, all);
    assert_eq!(events, all);
    assert!(path.exists());
    // All of it gets old now.
    drop(keeper);
    let mut later = open(dir.path());
    while later.expire(clock.utc_ns() / 1_000_000 + 24 * HOUR_MS).unwrap() {}
    assert_eq!(stored(dir.path()).1, ["fourth"]);
}

#[test]
fn a_host_that_wakes_up_has_set_no_clock() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand::default());
    clock.pass(300);
    let mut keeper = Keeper::new(open(dir.path()), clock.clone(), Arc::default());
    keeper.push(alert("evening", 300_000));
    assert!(keeper.commit_soon());
    clock.slept_ns.store(8 * 3600 * SECOND_NS, Relaxed);
    clock.set_by_ns.store(8 * HOUR_MS * 1_000_000, Relaxed);
    keeper.tend();
    let since = open(dir.path()).waiting(0, 9).unwrap()[0].since_utc_ms;
    assert_eq!(since, 300_000);
}
