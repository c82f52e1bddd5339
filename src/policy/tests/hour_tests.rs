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
    assert_eq!(life.open_kinds(), [Kind::Intrusion]);
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
    assert!(life.open_kinds().is_empty());
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

/// Starts of alerts while somebody stays.
fn live_from(life: &mut AlertLife, seconds: std::ops::Range<u64>, severity: Severity) -> Vec<Alert> {
    let stays = |t| Finding {
        severity: Some(severity),
        ..finding(Kind::Intrusion, t * S, &[999])
    };
    let all = seconds.flat_map(|t| life.step(&[stays(t)], t * S, 0));
    all.filter(|a| a.phase == Phase::Start).collect()
}
