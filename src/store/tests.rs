use super::*;

fn store(dir: &Path, outbox_max: usize) -> Store {
    Store::open(&StoreOptions {
        dir: dir.to_owned(),
        keep_for: Duration::from_secs(3600),
        outbox_max,
        outbox_max_age: Duration::from_secs(3600),
    })
    .unwrap()
}

fn message(id: &str, phase: &str) -> Message {
    Message {
        alert_id: id.into(),
        camera: "yard".into(),
        kind: "intrusion".into(),
        phase: phase.into(),
        started_utc_ms: 1000,
        topic: "t".into(),
        payload: format!("{id} {phase}"),
    }
}

fn payloads(store: &Store) -> Vec<String> {
    store.waiting(0, 100).unwrap().into_iter().map(|w| w.payload).collect()
}

#[test]
fn what_is_committed_is_there_after_a_reopen_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 100)
        .commit(&[message("a", "start"), message("b", "start")], 1000)
        .unwrap();
    let again = store(dir.path(), 100);
    assert_eq!(payloads(&again), ["a start", "b start"]);
    again.acknowledge(again.waiting(0, 1).unwrap()[0].row).unwrap();
    assert_eq!(payloads(&again), ["b start"]);
    assert_eq!(again.events(0, Some("yard"), None).unwrap().len(), 2);
}

#[test]
fn an_alerts_life_is_kept_as_long_as_its_event_with_its_start_its_first_and_its_newest_updates() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 1000);
    s.commit(&[message("a", "start"), message("b", "start")], 1000).unwrap();
    let updates = (0..UPDATES_KEPT + 5).map(|n| Message {
        payload: format!("a update {n}"),
        ..message("a", "update")
    });
    s.commit(&updates.collect::<Vec<_>>(), 1000).unwrap();
    s.commit(&[message("a", "end")], 1000).unwrap();
    let life = s.life("a").unwrap();
    assert_eq!((life.len() as i64, life[0].as_str()), (UPDATES_KEPT + 2, "a start"));
    let half = UPDATES_KEPT as usize / 2;
    assert_eq!(
        [1, half, half + 1, 2 * half, 2 * half + 1].map(|at| life[at].as_str()),
        ["a update 0", "a update 49", "a update 55", "a update 104", "a end"]
    );
    // An older version kept the last message only.
    s.db.execute("DELETE FROM message WHERE id = 'b'", []).unwrap();
    assert_eq!(s.life("b").unwrap(), ["b start"]);
    assert_eq!(s.life("nobody").unwrap(), Vec::<String>::new());
    s.expire(2000 + 3_600_000).unwrap();
    assert_eq!(s.life("a").unwrap(), Vec::<String>::new());
    assert_eq!(s.life("b").unwrap(), ["b start"], "it is open");
    let left: i64 =
        s.db.query_row("SELECT COUNT(*) FROM message", [], |r| r.get(0))
            .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn what_was_learned_is_there_after_a_reopen_camera_by_camera() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 100).keep_learned("yard", "first", 1).unwrap();
    store(dir.path(), 100).keep_learned("yard", "second", 2).unwrap();
    let again = store(dir.path(), 100);
    assert_eq!(again.learned("yard").unwrap().as_deref(), Some("second"));
    assert_eq!(again.learned("gate").unwrap(), None);
}

#[test]
fn who_only_looks_makes_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let options = store(dir.path(), 1).options;
    assert!(Store::open_existing(&options).is_ok());
    let elsewhere = StoreOptions {
        dir: dir.path().join("elsewhere"),
        ..options
    };
    let error = Store::open_existing(&elsewhere).err().unwrap().to_string();
    assert!(error.contains("there is none"), "{error}");
    assert!(!elsewhere.dir.exists());
}

#[test]
fn open_alerts_are_those_without_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 100);
    s.commit(
        &[message("a", "start"), message("b", "start"), message("a", "end")],
        1000,
    )
    .unwrap();
    assert_eq!(s.open_alerts().unwrap(), [("t".to_owned(), "b start".to_owned())]);
}

#[test]
fn an_event_is_told_as_its_newest_message_tells_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 100);
    s.commit(&[message("a", "start"), message("a", "update")], 1000)
        .unwrap();
    assert_eq!(s.open_alerts().unwrap(), [("t".to_owned(), "a update".to_owned())]);
    s.commit(&[message("a", "end")], 1000).unwrap();
    assert_eq!(s.open_alerts().unwrap(), []);
    assert_eq!(s.events(0, None, None).unwrap(), ["a end"]);
}

#[test]
fn events_are_those_of_the_camera_the_kind_and_the_time_that_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 100);
    let event = |camera: &str, kind: &str, started_utc_ms| Message {
        camera: camera.into(),
        kind: kind.into(),
        started_utc_ms,
        payload: format!("{camera} {kind} {started_utc_ms}"),
        ..message(&format!("{camera} {kind}"), "end")
    };
    let events = [
        event("yard", "siren", 3000),
        event("gate", "siren", 2000),
        event("yard", "fall", 1000),
    ];
    s.commit(&events, 1000).unwrap();
    for (since_ms, camera, kind, told) in [
        (
            0,
            None,
            None,
            &["yard fall 1000", "gate siren 2000", "yard siren 3000"][..],
        ),
        (2000, None, None, &["gate siren 2000", "yard siren 3000"]),
        (2001, None, None, &["yard siren 3000"]),
        (0, Some("yard"), None, &["yard fall 1000", "yard siren 3000"]),
        (0, None, Some("siren"), &["gate siren 2000", "yard siren 3000"]),
        (0, Some("gate"), Some("fall"), &[]),
    ] {
        assert_eq!(
            s.events(since_ms, camera, kind).unwrap(),
            told,
            "{since_ms} {camera:?} {kind:?}"
        );
    }
}

#[test]
fn what_was_told_is_kept_for_as_long_as_the_operator_wants_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 100);
    let ended = |id: &str, started_utc_ms| Message {
        started_utc_ms,
        ..message(id, "end")
    };
    s.commit(&[ended("old", 1000), ended("young", 2000)], 1000).unwrap();
    s.expire(1500 + 3_600_000).unwrap();
    assert_eq!(s.events(0, None, None).unwrap(), ["young end"]);
    assert_eq!(s.life("young").unwrap(), ["young end"]);
}

/// FULL: the log is on the disk before a commit returns.
#[test]
fn a_commit_outlasts_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let s = store(dir.path(), 100);
    let synchronous: i64 = s.db.query_row("PRAGMA synchronous", [], |r| r.get(0)).unwrap();
    assert_eq!(synchronous, 2);
}

#[test]
fn a_full_outbox_gives_up_updates_first_and_then_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 3);
    let many = ["start", "update", "update", "end"].map(|phase| message("a", phase));
    assert_eq!(s.commit(&many, 1000).unwrap(), 1);
    assert_eq!(payloads(&s), ["a start", "a update", "a end"]);
    s.commit(&[message("b", "start"), message("c", "start")], 1000).unwrap();
    assert_eq!(payloads(&s), ["a end", "b start", "c start"]);
}

#[test]
fn what_waits_does_not_age_by_the_setting_of_the_clock() {
    const DAY_MS: i64 = 86_400_000;
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 10).commit(&[message("a", "start")], DAY_MS).unwrap();
    let mut s = store(dir.path(), 10);
    // It boots in the past, and then the time is known.
    s.commit(&[message("b", "start")], 1000).unwrap();
    s.clock_set(&(0..=2000), DAY_MS).unwrap();
    assert_eq!(s.commit(&[message("c", "start")], DAY_MS + 1000).unwrap(), 0);
    let since: Vec<i64> = s.waiting(0, 9).unwrap().iter().map(|w| w.since_utc_ms).collect();
    assert_eq!(since, [DAY_MS, DAY_MS + 1000, DAY_MS + 1000]);
}

#[test]
fn a_store_that_is_complete_is_opened_without_a_write() {
    let dir = tempfile::tempdir().unwrap();
    drop(store(dir.path(), 10));
    let before = std::fs::read(dir.path().join("watchfire.db")).unwrap();
    let again = store(dir.path(), 10);
    assert_eq!(
        std::fs::metadata(dir.path().join("watchfire.db-wal")).map_or(0, |m| m.len()),
        0
    );
    drop(again);
    assert_eq!(std::fs::read(dir.path().join("watchfire.db")).unwrap(), before);
}

#[test]
fn a_damaged_store_is_put_aside_and_a_sound_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 100);
    let many: Vec<Message> = (0..2000).map(|i| message(&format!("alert {i}"), "start")).collect();
    s.commit(&many, 1000).unwrap();
    let options = s.options.clone();
    drop(s);
    let (s, told) = Store::open_at_start(&options, 5_000).unwrap();
    assert_eq!((told, payloads(&s).len()), (None, 100));
    drop(s);
    let path = dir.path().join("watchfire.db");
    let whole = std::fs::read(&path).unwrap();
    // Some pages of the middle are gone; then it is no database at all.
    let mut torn = whole.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 20_000].fill(0x5a);
    for (damaged, at_ms) in [
        (torn, 6_000),
        (b"no database, but long enough to look like one".repeat(200), 7_000),
    ] {
        std::fs::write(&path, &damaged).unwrap();
        let (mut s, told) = Store::open_at_start(&options, at_ms).unwrap();
        let told = told.expect("it says so");
        let aside = dir.path().join(format!("watchfire.db.damaged-{}", at_ms / 1000));
        assert!(told.contains(&*aside.to_string_lossy()), "{told}");
        assert!(aside.exists() && payloads(&s).is_empty());
        s.commit(&[message("new", "start")], 8_000).unwrap();
    }
}

#[test]
fn what_is_old_goes_a_few_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = store(dir.path(), 10_000);
    let lives: Vec<Message> = (0..350)
        .flat_map(|i| ["start", "end"].map(|phase| message(&format!("alert {i}"), phase)))
        .collect();
    s.commit(&lives, 1000).unwrap();
    let messages = |s: &Store| -> i64 {
        s.db.query_row("SELECT COUNT(*) FROM message", [], |r| r.get(0))
            .unwrap()
    };
    let mut left = vec![messages(&s)];
    let later_ms = 2000 + 3_600_000;
    while s.expire(later_ms).unwrap() {
        left.push(messages(&s));
    }
    assert_eq!(left, [700, 400, 100]);
    assert_eq!((messages(&s), s.events(0, None, None).unwrap().len()), (0, 0));
}

#[test]
fn on_a_full_disk_the_oldest_snapshots_make_room_and_not_for_a_lock() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("snapshots/yard/a.jpg");
    std::fs::create_dir_all(snapshot.parent().unwrap()).unwrap();
    std::fs::write(&snapshot, "picture").unwrap();
    let mut s = store(dir.path(), 100);
    let large = Message {
        payload: "x".repeat(1 << 20),
        ..message("a", "start")
    };
    let other = store(dir.path(), 100);
    other.sql("BEGIN IMMEDIATE").unwrap();
    s.wait_for_locks(Duration::ZERO).unwrap();
    let locked = s.commit(std::slice::from_ref(&large), 1000).unwrap_err();
    assert!(locked.to_string().contains("another program"), "{locked}");
    assert_eq!((s.make_room(&locked), snapshot.exists()), (0, true));
    other.sql("ROLLBACK").unwrap();
    // As many pages as there are: what is larger finds no room.
    s.sql("PRAGMA max_page_count = 1").unwrap();
    let full = s.commit(&[large], 1000).unwrap_err();
    assert_eq!((s.make_room(&full), snapshot.exists()), (1, false), "{full}");
}

#[test]
fn of_a_store_too_large_to_be_read_through_what_a_start_needs_is_read() {
    let dir = tempfile::tempdir().unwrap();
    assert!(store(dir.path(), 100).checked(0).is_ok());
    let path = dir.path().join("watchfire.db");
    let mut torn = std::fs::read(&path).unwrap();
    torn[4096..].fill(0x5a);
    std::fs::write(&path, torn).unwrap();
    assert!(store(dir.path(), 100).checked(0).is_err_and(|e| e.is_damaged()));
}
