use super::*;

const MS: u64 = 1_000_000;
const UTC0: i64 = 1_700_000_000_000_000_000;

fn stamp(running_ms: u64, arrived_ms: u64) -> Stamp {
    Stamp {
        running_ns: running_ms * MS,
        camera_utc_ns: None,
        arrived_ns: arrived_ms * MS,
        arrived_utc_ns: UTC0 + (arrived_ms * MS) as i64,
    }
}

/// With the camera's own time.
fn report(s: Stamp, utc_ms: i64) -> Stamp {
    Stamp {
        camera_utc_ns: Some(utc_ms * MS as i64),
        ..s
    }
}

#[test]
fn times_go_on_over_a_rebuild() {
    let mut clock = StreamClock::default();
    let first = clock.video(stamp(0, 1000));
    let second = clock.video(stamp(200, 1200));
    assert_eq!(second - first, 200 * MS);
    clock.rebuilt();
    let third = clock.video(stamp(0, 9000));
    assert_eq!(third - second, 7800 * MS);
}

#[test]
fn utc_is_the_hosts_at_the_least_delay() {
    let mut clock = StreamClock::default();
    let mut pts = 0;
    for (running, arrived) in [(0, 1300), (200, 1410), (400, 1700)] {
        pts = clock.video(stamp(running, arrived));
    }
    // At best a frame comes 110 ms before its first estimate: the third was captured at 1210 + 400.
    assert_eq!(pts as i64 + clock.utc_offset_ns(), UTC0 + 1610 * MS as i64);
    assert_eq!(clock.lag_ns(stamp(400, 1700)), 90 * MS as i64);
}

#[test]
fn utc_follows_the_hosts_clock_when_it_is_set_forward_or_back() {
    let mut clock = StreamClock::default();
    let hour = 3_600_000_000_000;
    for (i, set) in [(0, 0), (1, 3 * hour), (2, 3 * hour), (3, -hour)] {
        let at = stamp(i * 200, 1000 + i * 200);
        let pts = clock.video(Stamp {
            arrived_utc_ns: at.arrived_utc_ns + set,
            ..at
        });
        assert_eq!(pts as i64 + clock.utc_offset_ns(), at.arrived_utc_ns + set, "{i}");
    }
}

#[test]
fn sender_reports_align_sound_with_picture() {
    let mut clock = StreamClock::default();
    let picture = clock.video(report(stamp(1000, 2000), 50_000));
    let sound = clock.audio(report(stamp(1150, 2000), 50_000));
    assert_eq!((picture, sound), (2000 * MS, 2000 * MS));
    // The camera's 50th second is the host's second one.
    assert_eq!(clock.camera_offset_ms(), Some(48_000 - UTC0 / MS as i64));
}

#[test]
fn reports_of_two_clocks_leave_the_sound_where_it_is() {
    let mut clock = StreamClock::default();
    let picture = clock.video(report(stamp(1000, 2000), 50_000));
    assert_eq!(clock.audio(report(stamp(1000, 2000), 53_001)), picture);
}

#[test]
fn sound_before_the_first_picture_has_the_hosts_time() {
    let mut clock = StreamClock::default();
    let pts = clock.audio(stamp(0, 5000));
    assert_eq!(pts as i64 + clock.utc_offset_ns(), UTC0 + 5000 * MS as i64);
    let _ = clock.video(stamp(200, 5200));
    clock.rebuilt();
    let pts = clock.audio(stamp(0, 9000));
    assert_eq!(pts as i64 + clock.utc_offset_ns(), UTC0 + 9000 * MS as i64);
}

#[test]
fn the_cameras_clock_is_not_read_off_a_late_arrival() {
    let mut clock = StreamClock::default();
    let report = |s: Stamp| Stamp {
        camera_utc_ns: Some(UTC0 + 60_000 * MS as i64 + s.running_ns as i64),
        ..s
    };
    let _ = clock.video(report(stamp(0, 1000)));
    assert_eq!(clock.camera_offset_ms(), Some(59_000));
    let _ = clock.video(report(stamp(200, 2500)));
    assert_eq!(clock.camera_offset_ms(), Some(59_000));
}

#[test]
fn a_stream_that_wraps_is_rebased_and_stays_monotonic() {
    let mut clock = StreamClock::default();
    let before = clock.video(stamp(95_443_000, 100_000));
    let after = clock.video(stamp(10, 100_200));
    assert!(after > before && after - before < 1000 * MS, "{before} {after}");
}

#[test]
fn a_stream_that_leaps_ahead_of_the_host_is_rebased() {
    let mut clock = StreamClock::default();
    let before = clock.video(stamp(0, 1000));
    let after = clock.video(stamp(3_600_000, 1200));
    assert_eq!(after - before, 200 * MS);
}

/// Frames and blocks of sound as a camera sends them and a network delivers them.
struct Feed {
    clock: StreamClock,
    /// Of picture and sound: the newest time, and by how much it is later than when it was taken.
    told: [(u64, i64); 2],
    lag_ms: i64,
    utc_error_ms: i64,
}

impl Feed {
    fn new() -> Self {
        Self {
            clock: StreamClock::default(),
            told: [(0, 0); 2],
            lag_ms: 0,
            utc_error_ms: 0,
        }
    }

    /// What was taken at `taken_ms` of the host's clock, says `running_ms` and comes at `arrived_ms`.
    fn put(&mut self, sound: bool, taken_ms: f64, running_ms: f64, arrived_ms: f64) {
        let running_ns = (running_ms * 1e6) as u64;
        let arrived_ns = (arrived_ms * 1e6) as u64;
        let at = Stamp {
            running_ns,
            camera_utc_ns: None,
            arrived_ns,
            arrived_utc_ns: UTC0 + arrived_ns as i64,
        };
        let ns = if sound {
            self.clock.audio(at)
        } else {
            self.clock.video(at)
        };
        let utc_ns = ns as i64 + self.clock.utc_offset_ns();
        self.told[usize::from(sound)] = (ns, ns as i64 - (taken_ms * 1e6) as i64);
        if !sound {
            self.lag_ms = self.clock.lag_ns(at) / MS as i64;
            self.utc_error_ms = (utc_ns - UTC0 - (taken_ms * 1e6) as i64) / MS as i64;
        }
    }

    /// How much the sound is late beside the picture, against when both were taken.
    fn apart_ms(&self) -> i64 {
        (self.told[1].1 - self.told[0].1) / MS as i64
    }
}

#[test]
fn what_a_network_held_back_and_delivers_at_once_keeps_its_times() {
    let mut feed = Feed::new();
    for i in 0..600u32 {
        let taken_ms = f64::from(i) * 100.0;
        // For three seconds nothing comes through.
        let arrived_ms = if (20_000.0..23_000.0).contains(&taken_ms) {
            23_000.0
        } else {
            taken_ms
        } + 30.0;
        for sound in [false, true] {
            feed.put(sound, taken_ms, taken_ms, arrived_ms);
            assert_eq!(feed.told[usize::from(sound)].1, 30 * MS as i64, "{taken_ms}");
        }
        assert_eq!(feed.utc_error_ms, 30, "{taken_ms}");
        assert_eq!(feed.lag_ms, (arrived_ms - taken_ms) as i64 - 30, "{taken_ms}");
    }
}

#[test]
fn clocks_that_drift_for_a_day_keep_utc_right_and_sound_beside_picture() {
    for (picture, sound) in [(1.0001, 0.9999), (0.9999, 1.0001), (1.0, 1.02)] {
        let mut feed = Feed::new();
        for i in 0..86_400u32 {
            let taken_ms = f64::from(i) * 1000.0;
            let jitter_ms = f64::from(i % 7) * 8.0;
            feed.put(false, taken_ms, taken_ms * picture, taken_ms + 30.0 + jitter_ms);
            feed.put(true, taken_ms, taken_ms * sound, taken_ms + 30.0 + jitter_ms);
            assert!(feed.utc_error_ms.abs() < 100 && feed.lag_ms < 100, "{picture} {i}");
            // What two in a hundred are in the first ten seconds, before it is known.
            let most_ms = if sound > 1.01 { 300 } else { 60 };
            assert!(
                feed.apart_ms().abs() < most_ms,
                "{picture} {sound} {i}: {}",
                feed.apart_ms()
            );
        }
    }
}

#[test]
fn a_camera_whose_time_goes_wrong_is_taken_by_arrival() {
    // As one that sends half as many pictures by night and counts them as before, or the other way round.
    for pace in [0.5, 0.8, 1.3] {
        let mut feed = Feed::new();
        let mut lagged = 0;
        for i in 0..3_000u32 {
            let taken_ms = f64::from(i) * 100.0;
            feed.put(false, taken_ms, taken_ms * pace, taken_ms + 30.0);
            lagged += u32::from(feed.lag_ms > 2_000);
        }
        assert!(
            feed.lag_ms == 0 && lagged < 500,
            "{pace}: {} ms, {lagged} frames",
            feed.lag_ms
        );
        let before_ns = feed.told[0].0;
        feed.put(false, 300_000.0, 300_000.0 * pace, 300_030.0);
        assert_eq!(feed.told[0].0 - before_ns, 100 * MS, "{pace}");
        assert!(feed.utc_error_ms.abs() < 100, "{pace}: {}", feed.utc_error_ms);
    }
}

#[test]
fn a_network_that_stalls_and_catches_up_slowly_is_no_wrong_clock() {
    for (stall_s, catches_up) in [(15.0, 2.0), (10.0, 1.5), (6.0, 1.3), (4.0, 1.2)] {
        let mut feed = Feed::new();
        let mut arrived_ms = 0.0f64;
        for i in 0..1_500u32 {
            let taken_ms = f64::from(i) * 200.0;
            let (from_ms, until_ms) = (100_000.0, 100_000.0 + stall_s * 1e3);
            arrived_ms = if taken_ms < from_ms {
                taken_ms
            } else {
                (arrived_ms + 200.0 / catches_up).max(until_ms).max(taken_ms)
            };
            feed.put(false, taken_ms, taken_ms, arrived_ms + 30.0);
            assert_eq!(feed.told[0].1, 30 * MS as i64, "{stall_s} {taken_ms}");
        }
        assert_eq!((feed.lag_ms, feed.utc_error_ms), (0, 30), "{stall_s}");
    }
}

#[test]
fn a_camera_that_is_taken_by_arrival_is_believed_again_after_a_good_minute() {
    for pace in [0.5, 1.5] {
        let mut feed = Feed::new();
        let mut running_ms = 0.0;
        for i in 0..4_000u32 {
            let taken_ms = f64::from(i) * 100.0;
            let before_ns = feed.told[0].0;
            feed.put(false, taken_ms, running_ms, taken_ms + 30.0);
            feed.put(true, taken_ms, taken_ms, taken_ms + 30.0);
            running_ms += if i < 1_000 { 100.0 * pace } else { 100.0 };
            if i > 1_010 {
                assert!(
                    (99 * MS..=101 * MS).contains(&(feed.told[0].0 - before_ns)),
                    "{pace} {i}"
                );
                assert!(feed.apart_ms().abs() <= 1_000, "{pace} {i}: {}", feed.apart_ms());
            }
        }
        assert!(feed.clock.by_arrival_ns.is_none());
        assert!(feed.utc_error_ms.abs() < 100, "{pace}: {}", feed.utc_error_ms);
    }
}

#[test]
fn a_fast_clock_does_not_stand_still_after_a_rebuild() {
    let mut feed = Feed::new();
    for i in 0..36_000u32 {
        let taken_ms = f64::from(i) * 1000.0;
        feed.put(false, taken_ms, taken_ms * 1.001, taken_ms + 30.0);
    }
    let before_ns = feed.told[0].0;
    feed.clock.rebuilt();
    feed.put(false, 36_020_000.0, 0.0, 36_020_030.0);
    let passed_ms = (feed.told[0].0 - before_ns) / MS;
    assert!((20_000..22_000).contains(&passed_ms), "{passed_ms}");
    assert!(feed.utc_error_ms.abs() < 100, "{}", feed.utc_error_ms);
}

#[test]
fn slow_pictures_that_come_at_once_stay_beside_their_sound() {
    let mut feed = Feed::new();
    for i in 0..600u32 {
        let taken_ms = f64::from(i) * 100.0;
        // Twice four seconds are held back.
        let arrived_ms = match taken_ms {
            t if (20_000.0..24_500.0).contains(&t) => 24_500.0,
            t if (40_000.0..44_500.0).contains(&t) => 44_500.0,
            t => t,
        } + 30.0;
        feed.put(true, taken_ms, taken_ms, arrived_ms);
        if i % 20 == 0 {
            feed.put(false, taken_ms, taken_ms, arrived_ms);
            assert!(feed.apart_ms().abs() <= 1, "{i}: {}", feed.apart_ms());
        }
    }
}

#[test]
fn a_stream_whose_time_leaps_goes_on_where_it_was_and_the_other_with_it() {
    for leap_ms in [-3_600_000.0, -3_000.0, 3_000.0, 3_600_000.0] {
        for leaps in [[true, false], [false, true], [true, true]] {
            let mut feed = Feed::new();
            for i in 0..200u32 {
                let taken_ms = f64::from(i) * 100.0;
                for sound in [false, true] {
                    let leap_ms = if leaps[usize::from(sound)] && i >= 100 {
                        leap_ms
                    } else {
                        0.0
                    };
                    feed.put(
                        sound,
                        taken_ms,
                        4_000_000.0 + taken_ms + leap_ms,
                        4_000_000.0 + taken_ms + 30.0,
                    );
                }
                let at = format!("{leap_ms} {leaps:?} {i}");
                assert!(
                    feed.apart_ms().abs() <= 1 && feed.lag_ms <= 1,
                    "{at}: {} {}",
                    feed.apart_ms(),
                    feed.lag_ms
                );
            }
        }
    }
}

#[test]
fn pictures_that_a_recorder_sends_ahead_of_the_live_ones_keep_their_times() {
    let mut feed = Feed::new();
    for i in 0..100u32 {
        let taken_ms = f64::from(i) * 100.0;
        // The last four seconds come at once.
        feed.put(false, taken_ms, taken_ms, taken_ms.max(4_000.0) + 30.0);
        assert_eq!(feed.told[0].1, 4_030 * MS as i64, "{i}");
    }
    assert_eq!((feed.lag_ms, feed.utc_error_ms), (0, 30));
}

#[test]
fn a_time_that_stands_for_a_while_leaves_the_stream_no_later() {
    let mut feed = Feed::new();
    for i in 0..300u32 {
        let taken_ms = f64::from(i) * 100.0;
        // It goes back by three seconds, and is held until it is there again.
        let running_ms = if i < 100 {
            taken_ms
        } else {
            (taken_ms - 3_000.0).max(10_000.0)
        };
        feed.put(false, taken_ms, running_ms, taken_ms + 30.0);
        assert!(feed.lag_ms <= 600, "{i}: {}", feed.lag_ms);
    }
}
