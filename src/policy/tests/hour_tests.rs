//! More than `max_per_hour`.

use super::*;

#[test]
fn beyond_so_many_an_hour_one_alert_counts_the_others_until_the_hour_allows_single_ones() {
    let mut life = life_with(|p| p.max_per_hour = 2);
    // One of 2 s every minute, each by another track.
    let all = live(
        &mut life,
        4000,
        0,
        |t| if t % 60 < 2 { vec![1 + t / 60] } else { vec![] },
    );
    assert_eq!(starts(&all), [0, 60, 120, 3600, 3660, 3720]);
    let (summary, single): (Vec<&Alert>, Vec<&Alert>) = all.iter().partition(|a| a.suppressed > 0);
    assert!(single.iter().all(|a| a.phase != Phase::Update) && single.len() == 8);
    let ids: BTreeSet<&str> = summary.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(ids.len(), 2, "one alert stands for all of an hour");
    let of = |phase: Phase| summary.iter().filter(move |a| a.phase == phase);
    assert_eq!(of(Phase::Start).map(|a| a.suppressed).collect::<Vec<_>>(), [1, 1]);
    let end = of(Phase::End).next().unwrap();
    assert_eq!((end.suppressed, end.updated_utc_ns / S as i64), (58, 3600));
    assert!((50..=58).contains(&of(Phase::Update).filter(|a| a.id == end.id).count()));
}

#[test]
fn a_noisy_zone_takes_nothing_from_another() {
    let mut life = life_with(|p| p.max_per_hour = 1);
    let mut at = |t: u64, zone: &str| {
        let mut one = finding(Kind::Intrusion, t * S, &[t]);
        one.zone = Some(zone.into());
        let told = life.step(&[one], t * S, 0);
        life.step(&[], (t + 30) * S, 0);
        told.iter()
            .filter(|a| a.phase == Phase::Start)
            .map(|a| a.suppressed)
            .collect::<Vec<_>>()
    };
    assert_eq!(at(0, "lane"), [0]);
    assert_eq!(at(60, "lane"), [1]);
    assert!(at(120, "lane").is_empty(), "counted");
    assert_eq!(at(180, "vault"), [0]);
}

#[test]
fn one_that_was_held_back_is_told_when_the_hour_allows_and_it_still_lasts() {
    let mut life = life_with(|p| p.max_per_hour = 1);
    let all = live(&mut life, 3700, 0, |t| {
        if t < 2 {
            vec![1]
        } else if t > 100 {
            vec![2]
        } else {
            vec![]
        }
    });
    assert_eq!(
        starts(&all),
        [0, 101, 101],
        "it started when it did, and so did the one that counted it"
    );
    let second = all.iter().rfind(|a| a.phase == Phase::Start).unwrap();
    assert_eq!((second.seq, second.suppressed), (0, 0));
    assert_eq!(life.end_all(EndReason::Eof, 3700 * S, 0).len(), 1);
}

#[test]
fn what_becomes_critical_is_told_whatever_the_hour_has_seen() {
    let mut life = life_with(|p| p.max_per_hour = 1);
    let first = life.step(&[finding(Kind::Intrusion, 0, &[1])], 0, 0);
    assert_eq!(told(&first), [(Phase::Start, 0)]);
    // It ends, and one more within the hour is only counted.
    let mut all = Vec::new();
    for t in 1..40 {
        let second = Finding {
            severity: (t >= 30).then_some(Severity::Critical),
            ..finding(Kind::Intrusion, t * S, &[2])
        };
        let findings: Vec<Finding> = (t >= 20).then_some(second).into_iter().collect();
        all.extend(life.step(&findings, t * S, 0));
    }
    let starts: Vec<(u32, Severity)> = all
        .iter()
        .filter(|a| a.phase == Phase::Start)
        .map(|a| (a.suppressed, a.severity))
        .collect();
    assert_eq!(starts, [(1, Severity::Warning), (0, Severity::Critical)]);
    let ends = all.iter().filter(|a| a.phase == Phase::End).count();
    assert_eq!(ends, 1, "the one that counts is still open");
}

#[test]
fn the_one_that_counts_lasts_as_long_as_what_it_stands_for() {
    let mut life = life_with(|p| p.max_per_hour = 1);
    let mut all = Vec::new();
    for t in 0..3700 {
        let stays = (100..3500).contains(&t);
        let seen = (t == 0 || stays).then(|| finding(Kind::Intrusion, t * S, &[if stays { 2 } else { 1 }]));
        all.extend(life.step(&seen.into_iter().collect::<Vec<_>>(), t * S, 0));
    }
    let counts: Vec<&Alert> = all.iter().filter(|a| a.suppressed > 0).collect();
    let end = counts.iter().find(|a| a.phase == Phase::End).unwrap();
    assert_eq!((end.suppressed, end.ended_utc_ns), (1, Some(3499 * S as i64)));
}

#[test]
fn the_one_that_counts_ends_with_the_hours_of_its_kind() {
    // 1970-01-01 01:00 in Berlin is midnight UTC.
    let mut life = life_with(|p| (p.max_per_hour, p.active) = (1, Schedule::parse(&["00:00-01:05"]).unwrap()));
    let mut all = Vec::new();
    for t in 0..600 {
        let seen = (t % 20 == 0).then(|| finding(Kind::Intrusion, t * S, &[t]));
        all.extend(life.step(&seen.into_iter().collect::<Vec<_>>(), t * S, 0));
    }
    let end = all.iter().find(|a| a.suppressed > 0 && a.phase == Phase::End).unwrap();
    assert_eq!(end.updated_utc_ns as u64 / S, 300);
    assert!(life.end_all(EndReason::Eof, 600 * S, 0).is_empty());
}

#[test]
fn a_stream_that_breaks_off_again_and_again_starts_no_such_one_each_time() {
    let mut life = life_with(|p| (p.max_per_hour, p.cooldown_s) = (2, 0.0));
    let mut all = Vec::new();
    for t in 0..300 {
        if t % 15 == 14 {
            all.extend(life.end_all(EndReason::CameraLost, t * S, 0));
        } else {
            all.extend(life.step(&[finding(Kind::Intrusion, t * S, &[t / 15])], t * S, 0));
        }
    }
    assert_eq!(starts(&all).len(), 3, "{:?}", starts(&all));
    // The stream stays: what was held back is told ten minutes after the last such one, and something critical at once.
    let mut told = live_from(&mut life, 300..700, Severity::Warning);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        (640..660).contains(&(told[0].updated_utc_ns as u64 / S)) && told[0].suppressed > 10,
        "{told:?}"
    );
    life.end_all(EndReason::CameraLost, 700 * S, 0);
    told = live_from(&mut life, 701..702, Severity::Critical);
    assert_eq!((told.len(), told[0].severity), (1, Severity::Critical));
}

#[test]
fn what_begins_critical_is_told_at_once_although_the_one_that_counts_waits() {
    let mut life = life_with(|p| (p.max_per_hour, p.cooldown_s) = (1, 0.0));
    let step = |life: &mut AlertLife, at_s: u64, who: Option<(u64, Severity)>| {
        let seen = who.map(|(track, severity)| Finding {
            severity: Some(severity),
            ..finding(Kind::Intrusion, at_s * S, &[track])
        });
        let told = life.step(&seen.into_iter().collect::<Vec<_>>(), at_s * S, 0);
        let starts = told.into_iter().filter(|a| a.phase == Phase::Start);
        starts.map(|a| (a.severity, a.suppressed)).collect::<Vec<_>>()
    };
    let warning = |track| Some((track, Severity::Warning));
    assert_eq!(step(&mut life, 0, warning(1)), [(Severity::Warning, 0)]);
    assert!(step(&mut life, 5, None).is_empty());
    assert_eq!(step(&mut life, 10, warning(2)), [(Severity::Warning, 1)]);
    life.end_all(EndReason::CameraLost, 12 * S, 0);
    assert!(step(&mut life, 20, warning(3)).is_empty(), "such a one ended just now");
    // The third goes, and nobody has heard of it.
    assert!(step(&mut life, 30, None).is_empty());
    let critical = Some((4, Severity::Critical));
    assert_eq!(step(&mut life, 40, critical), [(Severity::Critical, 2)]);
}

#[test]
fn every_crossing_is_told_however_many_there_are_in_an_hour() {
    let mut life = life();
    let crossings = (0..25u64).flat_map(|i| {
        let at_ns = i * 60 * S;
        life.step(&[finding(Kind::LineCrossing, at_ns, &[i])], at_ns, 0)
    });
    let started: Vec<u32> = crossings
        .filter(|a| a.phase == Phase::Start)
        .map(|a| a.suppressed)
        .collect();
    assert_eq!(started, [0; 25]);
}

#[test]
fn what_waits_to_be_counted_is_told_when_the_hour_allows_single_ones_again() {
    let mut life = with_one_that_waits(|_| {});
    let told = nobody(&mut life, 3600);
    assert_eq!(counts(&told), [(Phase::Start, 1), (Phase::End, 1)]);
    assert_eq!((told[1].seq, told[1].end_reason), (1, Some(EndReason::Cleared)));
    assert_eq!(
        (starts(&told), told[1].ended_utc_ns),
        (vec![3300], Some(3300 * S as i64))
    );
    assert!(nobody(&mut life, 3800).is_empty(), "it is told once");
    // Also where a single one comes with that window.
    let told = came(&mut with_one_that_waits(|_| {}), 3600);
    assert_eq!(counts(&told), [(Phase::Start, 1), (Phase::End, 1)]);
    assert_eq!(starts(&told).iter().filter(|at_s| **at_s == 3600).count(), 1);
}

#[test]
fn what_waits_to_be_counted_is_told_when_the_hours_of_its_kind_end() {
    // 1970-01-01 01:59 in Berlin is 3540 s.
    let mut life = with_one_that_waits(|p| p.active = Schedule::parse(&["00:00-01:59"]).unwrap());
    let told = nobody(&mut life, 3540);
    assert_eq!(counts(&told), [(Phase::Start, 1), (Phase::End, 1)]);
}

#[test]
fn what_waits_to_be_counted_is_told_when_everything_ends_but_for_a_lost_stream() {
    for reason in [EndReason::Reload, EndReason::Shutdown, EndReason::Eof] {
        let told = with_one_that_waits(|_| {}).end_all(reason, 3320 * S, 0);
        assert_eq!(counts(&told), [(Phase::Start, 1), (Phase::End, 1)], "{reason:?}");
        assert_eq!(told[1].end_reason, Some(reason));
    }
    let mut life = with_one_that_waits(|_| {});
    assert!(life.end_all(EndReason::CameraLost, 3320 * S, 0).is_empty());
    assert_eq!(counts(&nobody(&mut life, 3600)).len(), 2, "the stream has come back");
}

#[test]
fn the_one_that_counts_tells_at_once_that_it_has_become_critical() {
    let mut life = life_with(|p| p.max_per_hour = 1);
    came(&mut life, 0);
    nobody(&mut life, 10);
    assert_eq!(counts(&came(&mut life, 20)), [(Phase::Start, 1)]);
    nobody(&mut life, 30);
    let critical = Finding {
        severity: Some(Severity::Critical),
        ..finding(Kind::Intrusion, 40 * S, &[40])
    };
    let told = life.step(&[critical], 40 * S, 0);
    assert_eq!(counts(&told), [(Phase::Update, 2)]);
    assert_eq!(told[0].severity, Severity::Critical);
    nobody(&mut life, 50);
    assert!(came(&mut life, 60).is_empty(), "the next one waits for its minute");
    assert_eq!(counts(&nobody(&mut life, 100)), [(Phase::Update, 3)]);
}

#[test]
fn while_one_thing_is_still_held_back_the_one_that_counts_goes_on() {
    let mut left = things_left();
    assert_eq!(left(0, &[1]), [(Phase::Start, 0)]);
    assert_eq!(left(10, &[2]), [(Phase::Start, 1)]);
    assert!(left(20, &[3]).is_empty());
    // The hour allows one, and then one each hour.
    assert_eq!(left(3600, &[2, 3]), [(Phase::Start, 0)]);
    assert!(left(3610, &[4]).is_empty(), "counted");
    assert_eq!(left(7200, &[]), [(Phase::Start, 0)]);
    assert_eq!(left(10_800, &[]), [(Phase::Start, 0), (Phase::End, 3)]);
}

#[test]
fn a_new_thing_that_the_hour_allows_ends_no_count_of_those_held_back() {
    let mut left = things_left();
    assert_eq!(left(0, &[1]), [(Phase::Start, 0)]);
    assert_eq!(left(10, &[2]), [(Phase::Start, 1)]);
    assert_eq!(left(3600, &[3]), [(Phase::Start, 0)]);
    assert_eq!(left(7200, &[]), [(Phase::Start, 0), (Phase::End, 1)]);
}

/// Phases of those that count others, and how many.
fn counts(alerts: &[Alert]) -> Vec<(Phase, u32)> {
    let counts = alerts.iter().filter(|a| a.suppressed > 0);
    counts.map(|a| (a.phase, a.suppressed)).collect()
}

/// Somebody new is there for one window.
fn came(life: &mut AlertLife, at_s: u64) -> Vec<Alert> {
    life.step(&[finding(Kind::Intrusion, at_s * S, &[at_s])], at_s * S, 0)
}

fn nobody(life: &mut AlertLife, at_s: u64) -> Vec<Alert> {
    life.step(&[], at_s * S, 0)
}

/// One an hour, told at 0 s. A lost stream ended the one that counted somebody at 3100 s; for the next, who came at
/// 3300 s and went, it is too soon to be told.
fn with_one_that_waits(change: impl Fn(&mut KindPolicy)) -> AlertLife {
    let mut life = life_with(|p| {
        p.max_per_hour = 1;
        change(p);
    });
    came(&mut life, 0);
    nobody(&mut life, 10);
    assert_eq!(counts(&came(&mut life, 3100)), [(Phase::Start, 1)]);
    let lost = life.end_all(EndReason::CameraLost, 3120 * S, 0);
    assert_eq!(counts(&lost), [(Phase::End, 1)]);
    assert!(came(&mut life, 3300).is_empty());
    assert!(nobody(&mut life, 3310).is_empty());
    life
}

/// Things with these numbers are seen; all stay for hours, and one an hour is told. Answers what starts and ends, and
/// how many it counts.
fn things_left() -> impl FnMut(u64, &[u64]) -> Vec<(Phase, u32)> {
    let policy = KindPolicy {
        hold_s: 20_000.0,
        max_per_hour: 1,
        ..KindPolicy::default_for(Kind::LeftOrTaken)
    };
    let options = PolicyOptions {
        kinds: vec![policy],
        ..PolicyOptions::default()
    };
    let mut life = AlertLife::new(CameraId::new("yard"), options);
    move |at_s, numbers| {
        let seen = |number: &u64| Finding {
            key_track: Some(*number),
            ..finding(Kind::LeftOrTaken, at_s * S, &[0])
        };
        let told = life.step(&numbers.iter().map(seen).collect::<Vec<_>>(), at_s * S, 0);
        let told = told.iter().filter(|a| a.phase != Phase::Update);
        told.map(|a| (a.phase, a.suppressed)).collect()
    }
}

/// Starts of alerts while somebody stays.
fn live_from(life: &mut AlertLife, seconds: std::ops::Range<u64>, severity: Severity) -> Vec<Alert> {
    let stays = |t| Finding {
        severity: Some(severity),
        ..finding(Kind::Intrusion, t * S, &[999])
    };
    let all = seconds.flat_map(|t| life.step(&[stays(t)], t * S, 0));
    all.filter(|a| a.phase == Phase::Start).collect()
}
