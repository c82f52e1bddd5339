use super::*;

const HERE: Second = Second {
    column: 3,
    row: 6,
    size: 4,
    speed: Some(2),
    hour: 14,
    moved: true,
};

const NOW_S: i64 = 1_795_000_000;

fn known() -> Memory {
    let mut memory = Memory::default();
    (0..5000).for_each(|_| memory.learn(&HERE));
    memory
}

#[test]
fn what_is_common_is_no_surprise_and_what_never_was_is_a_great_one() {
    let memory = known();
    assert_eq!(memory.surprise(&HERE).0, 0.0);
    let (surprise, why) = memory.surprise(&Second { column: 12, ..HERE });
    assert!(surprise > 2.0 && why == Why::Place, "{surprise}");
    let (surprise, why) = memory.surprise(&Second { speed: Some(6), ..HERE });
    assert!(surprise > 2.0 && why == Why::Fast, "{surprise} {why:?}");
    assert_eq!(
        Memory::default().surprise(&HERE).0,
        0.0,
        "who knows nothing is not surprised"
    );
}

#[test]
fn what_was_seen_once_surprises_less_the_second_time() {
    let mut memory = known();
    let there = Second { column: 12, ..HERE };
    let first = memory.surprise(&there).0;
    (0..20).for_each(|_| memory.learn(&there));
    assert!(memory.surprise(&there).0 < first - 1.0);
}

#[test]
fn it_fades_to_a_third_in_its_days_and_a_clock_that_jumps_back_does_no_harm() {
    let mut memory = known();
    memory.fade(NOW_S, 14.0);
    memory.fade(NOW_S + 14 * 86_400, 14.0);
    let left: f32 = memory.place.iter().sum();
    assert!((left / 5000.0 - (-1f32).exp()).abs() < 0.01, "{left}");
    // Not set at a boot, set back by a month, and right again each time.
    for wrong_s in [5, NOW_S - 30 * 86_400] {
        memory.fade(wrong_s, 14.0);
        memory.fade(NOW_S + 14 * 86_400, 14.0);
        assert_eq!(memory.place.iter().sum::<f32>(), left);
    }
}

#[test]
fn months_without_watching_begin_the_warm_up_again_and_hours_do_not() {
    let mut memory = Memory::default();
    let mut now_s = NOW_S;
    for hour in 0..240 {
        memory.fade(now_s, 14.0);
        memory.watch(hour % 24, 3600.0, true);
        now_s += 3600;
    }
    assert_eq!(memory.watched_s, 240.0 * 3600.0, "watching does not fade itself");
    memory.fade(now_s + 5 * 3600, 14.0);
    assert!(memory.watched_s > 230.0 * 3600.0, "{}", memory.watched_s);
    memory.fade(now_s + 90 * 86_400, 14.0);
    assert!(memory.watched_s < 3600.0, "{}", memory.watched_s);
}

/// The hours of so many days, in which somebody makes a round of twenty seconds at two o'clock, where there is one.
fn watches(memory: &mut Memory, days: usize, round: bool) {
    for hour in 0..24 * days {
        memory.fade(NOW_S + 3600 * hour as i64, 14.0);
        memory.watch(hour % 24, 3600.0, true);
        if round && hour % 24 == HERE.hour {
            (0..20).for_each(|_| memory.learn(&HERE));
        }
    }
}

#[test]
fn where_nothing_ever_comes_whoever_moves_is_a_surprise_and_what_only_stands_there_is_none() {
    let mut memory = Memory::default();
    watches(&mut memory, 3, false);
    let (surprise, why) = memory.surprise(&HERE);
    assert!(surprise > 3.0 && why == Why::Empty, "{surprise} {why:?}");
    assert_eq!(memory.surprise(&Second { moved: false, ..HERE }).0, 0.0);
}

#[test]
fn a_daily_round_is_usual_at_its_hour_and_a_surprise_at_night() {
    for many in [3, 90] {
        let mut memory = Memory::default();
        watches(&mut memory, many, true);
        assert!(memory.surprise(&HERE).0 < 1.0, "after {many} days");
        // Some days it is early or late.
        assert!(memory.emptiness(HERE.hour - 1).max(memory.emptiness(HERE.hour + 1)) < 1.0);
        let (surprise, why) = memory.surprise(&Second { hour: 3, ..HERE });
        assert!(surprise > 1.5, "after {many} days: {surprise} {why:?}");
    }
}

#[test]
fn where_somebody_comes_every_hour_nobody_is_a_surprise() {
    let mut memory = Memory::default();
    for hour in 0..72 {
        memory.watch(hour % 24, 3600.0, true);
        (0..20).for_each(|_| {
            memory.learn(&Second {
                hour: hour % 24,
                ..HERE
            });
        });
    }
    assert!(memory.surprise(&HERE).0 < 0.5);
}

#[test]
fn a_camera_that_looks_a_few_hours_a_day_ends_its_warm_up() {
    let mut memory = Memory::default();
    for day in 0..30 {
        for hour in 8..12 {
            memory.fade(NOW_S + day * 86_400 + hour * 3600, 14.0);
            memory.watch(hour as usize, 3600.0, false);
        }
    }
    assert_eq!(memory.watched_s, 120.0 * 3600.0);
}

#[test]
fn the_threshold_lets_so_many_a_day_through() {
    let mut memory = Memory::default();
    memory.watch(0, 10.0 * 86_400.0, true);
    assert_eq!(memory.threshold(1.0, 1.5), 1.5);
    // Thirty of 2.1 in ten days: too many at one a day. Five of 3.1: few enough.
    (0..30).for_each(|_| memory.learn_peak(2.1));
    (0..5).for_each(|_| memory.learn_peak(3.1));
    assert_eq!(memory.threshold(1.0, 1.5), 2.25);
    assert_eq!(memory.threshold(5.0, 1.5), 1.5);
}

#[test]
fn a_memory_comes_back_as_it_was_and_a_broken_one_is_refused() {
    let memory = known();
    assert_eq!(Memory::parse(&memory.text()).unwrap(), memory);
    assert!(Memory::parse("{}").is_err());
    assert!(
        Memory::parse(&memory.text().replace("\"version\":2", "\"version\":9"))
            .unwrap_err()
            .contains('9')
    );
    let known = memory.text();
    let (before, motion) = known.split_once(",\"motion\":").unwrap();
    let (_, after) = motion.split_once(']').unwrap();
    let first = format!("{before}{after}").replace("\"version\":2", "\"version\":1");
    assert_eq!(Memory::parse(&first).unwrap(), memory, "the form before motion");
    let mut short = memory.clone();
    short.place.pop();
    assert!(Memory::parse(&short.text()).is_err());
    let mut negative = memory.clone();
    negative.hour_watched[3] = -1.0;
    assert!(Memory::parse(&negative.text()).is_err());
}
