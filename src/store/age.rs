//! How old what is stored is, whatever becomes of the host's clock.

use std::ops::RangeInclusive;

use super::{Store, StoreError, snapshot};

/// An alert is stored soon after it began.
const A_DAY_MS: u64 = 86_400_000;

/// When an alert began that is stored at `now_ms`, for whoever counts its age: one that claims another day has that from a clock that is
/// wrong, its camera's or the host's before it was set, and would be gone at once or never.
pub(super) fn began_ms(claimed_ms: i64, now_ms: i64) -> i64 {
    if claimed_ms.abs_diff(now_ms) > A_DAY_MS {
        now_ms
    } else {
        claimed_ms
    }
}

impl Store {
    /// The host's clock was set by `by_ms`: what was stored since the host booted, which was `since_boot_ms` on the clock before, is as
    /// old as it was, whichever process stored it. That of an earlier boot stays as it is: its clock was another. Where one of those
    /// happens to lie within that time too, its age is a little wrong, by no more than the clock was.
    ///
    /// # Errors
    /// The disk is full or broken; nothing was changed then.
    pub fn clock_set(&mut self, since_boot_ms: &RangeInclusive<i64>, by_ms: i64) -> Result<(), StoreError> {
        self.move_rows(since_boot_ms, by_ms).map_err(|e| self.fail(e))?;
        // After the rows, which may have to be tried again: what has moved once must not move twice.
        snapshot::clock_set(&self.options.dir.join("snapshots"), since_boot_ms, by_ms);
        Ok(())
    }

    fn move_rows(&mut self, since_boot_ms: &RangeInclusive<i64>, by_ms: i64) -> rusqlite::Result<()> {
        let moved = [by_ms, *since_boot_ms.start(), *since_boot_ms.end()];
        let transaction = self.db.transaction()?;
        transaction.execute(
            "UPDATE outbox SET since_ms = since_ms + ?1 WHERE since_ms BETWEEN ?2 AND ?3",
            moved,
        )?;
        transaction.execute(
            "UPDATE event SET started_ms = started_ms + ?1 WHERE started_ms BETWEEN ?2 AND ?3",
            moved,
        )?;
        transaction.commit()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::super::{Message, StoreOptions};
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;
    /// Some day of 2026.
    const TODAY_MS: i64 = 20_600 * DAY_MS;

    /// Keeps all for a day.
    fn open(dir: &Path) -> Store {
        let day = Duration::from_millis(DAY_MS as u64);
        let store = Store::open(&StoreOptions {
            dir: dir.to_owned(),
            keep_for: day,
            outbox_max: 100,
            outbox_max_age: day,
        });
        store.unwrap()
    }

    fn alert(id: &str, started_utc_ms: i64) -> Message {
        Message {
            alert_id: id.into(),
            camera: "yard".into(),
            kind: "intrusion".into(),
            phase: "end".into(),
            started_utc_ms,
            topic: "t".into(),
            payload: id.into(),
        }
    }

    /// An alert is over and stored at once.
    fn store_alert(store: &mut Store, id: &str, at_ms: i64) {
        store.commit(&[alert(id, at_ms)], at_ms).unwrap();
    }

    fn since(store: &Store) -> Vec<(String, i64)> {
        let waiting = store.waiting(0, 100).unwrap();
        waiting.into_iter().map(|w| (w.payload, w.since_utc_ms)).collect()
    }

    fn events(store: &Store) -> Vec<String> {
        store.events(i64::MIN, None, None).unwrap()
    }

    #[test]
    fn what_any_process_of_this_boot_stored_is_as_old_as_it_was_and_that_of_an_earlier_boot_stays() {
        let dir = tempfile::tempdir().unwrap();
        store_alert(&mut open(dir.path()), "yesterday", TODAY_MS - 30 * HOUR_MS);
        // It boots in 1970; the process is started anew a minute later.
        store_alert(&mut open(dir.path()), "first", 60_000);
        let mut store = open(dir.path());
        store.evict_by_age(false);
        store_alert(&mut store, "second", 120_000);
        // The clock is set three minutes after the boot.
        let by_ms = TODAY_MS - 180_000;
        store.clock_set(&(0..=180_000), by_ms).unwrap();
        let as_old = [
            ("yesterday", TODAY_MS - 30 * HOUR_MS),
            ("first", TODAY_MS - 120_000),
            ("second", TODAY_MS - 60_000),
        ];
        assert_eq!(since(&store), as_old.map(|(id, at_ms)| (id.to_owned(), at_ms)));
        while store.expire(TODAY_MS + HOUR_MS).unwrap() {}
        assert_eq!(events(&store), ["first", "second"]);
        store.evict_by_age(true);
        store_alert(&mut store, "third", TODAY_MS + HOUR_MS);
        let ids: Vec<String> = since(&store).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["first", "second", "third"]);
    }

    #[test]
    fn a_clock_that_is_set_several_times_forward_and_back_leaves_ages_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        // Up for ten minutes; the clock is a year ahead, then two hours behind, then right.
        let ahead_ms = TODAY_MS + 365 * DAY_MS;
        let mut now_ms = ahead_ms;
        store.evict_by_age(false);
        store_alert(&mut store, "a", now_ms - 60_000);
        for (id, right_ms) in [("b", TODAY_MS - 2 * HOUR_MS), ("c", TODAY_MS)] {
            store
                .clock_set(&(now_ms - 600_000..=now_ms), right_ms - now_ms)
                .unwrap();
            now_ms = right_ms;
            store_alert(&mut store, id, now_ms - 60_000);
        }
        let all = ["a", "b", "c"].map(|id| (id.to_owned(), TODAY_MS - 60_000));
        assert_eq!(since(&store), all);
        while store.expire(TODAY_MS + DAY_MS).unwrap() {}
        assert!(events(&store).is_empty(), "what a clock was ahead for gets old too");
    }

    #[test]
    fn snapshots_are_as_old_as_their_alerts() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("snapshots/yard");
        std::fs::create_dir_all(&folder).unwrap();
        let now = SystemTime::now();
        let now_ms = jiff::Timestamp::try_from(now).unwrap().as_millisecond();
        let file = |name: &str, at: SystemTime| {
            let path = folder.join(name);
            File::create(&path).unwrap().set_modified(at).unwrap();
            path
        };
        let early = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let of_this_boot = file("first.jpg", early);
        let old = file("old.jpg", now - Duration::from_secs(30 * 3600));
        let mut store = open(dir.path());
        store.clock_set(&(0..=180_000), now_ms - 180_000).unwrap();
        let modified = std::fs::metadata(&of_this_boot).unwrap().modified().unwrap();
        let age = now.duration_since(modified).unwrap();
        assert!(
            age.abs_diff(Duration::from_secs(120)) < Duration::from_secs(1),
            "{age:?}"
        );
        store.expire_snapshots();
        assert_eq!((of_this_boot.exists(), old.exists()), (true, false));
    }

    #[test]
    fn a_camera_whose_clock_is_wrong_by_years_loses_no_alert_and_keeps_none_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let alerts = [
            alert("seventies", 1_000),
            alert("a little late", TODAY_MS - HOUR_MS),
            alert("next century", TODAY_MS + 40_000 * DAY_MS),
        ];
        store.commit(&alerts, TODAY_MS).unwrap();
        while store.expire(TODAY_MS + HOUR_MS).unwrap() {}
        assert_eq!(events(&store).len(), 3);
        while store.expire(TODAY_MS + DAY_MS).unwrap() {}
        assert_eq!(
            events(&store),
            ["seventies", "next century"],
            "it counts from when it began"
        );
        while store.expire(TODAY_MS + DAY_MS + 1).unwrap() {}
        assert!(events(&store).is_empty());
    }
}
