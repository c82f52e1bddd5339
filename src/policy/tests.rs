mod hour_tests;

use jiff::tz::TimeZone;

use super::*;
use crate::data::Kind;

const S: u64 = 1_000_000_000;

fn life() -> AlertLife {
    life_with(|_| {})
}

/// Intrusions with a hold of 3 s and a cooldown of 10 s, changed by `change`; crossings with none.
fn life_with(change: impl Fn(&mut KindPolicy)) -> AlertLife {
    let mut intrusion = KindPolicy {
        hold_s: 3.0,
        cooldown_s: 10.0,
        track_cooldown_s: 0.0,
        ..KindPolicy::default_for(Kind::Intrusion)
    };
    change(&mut intrusion);
    let crossing = KindPolicy {
        hold_s: 1.0,
        cooldown_s: 0.0,
        ..KindPolicy::default_for(Kind::LineCrossing)
    };
    let options = PolicyOptions {
        kinds: vec![intrusion, crossing],
        timezone: TimeZone::get("Europe/Berlin").unwrap(),
    };
    AlertLife::new(CameraId::new("yard"), options)
}

fn finding(kind: Kind, at_ns: u64, tracks: &[u64]) -> Finding {
    let track = |id: &u64| crate::data::AlertTrack {
        id: *id,
        class: "person".into(),
        score: 0.9,
        bbox: crate::data::BBox {
            x1: 0.0,
            y1: 0.0,
            x2: 0.1,
            y2: 0.1,
        },
    };
    Finding {
        kind,
        zone: Some("fence".into()),
        direction: None,
        key_track: (kind == Kind::LineCrossing).then(|| tracks[0]),
        tracks: tracks.iter().map(track).collect(),
        prior: 0.1,
        score: 0.9,
        evidence: vec![],
        severity: None,
        at_ns,
        last_ns: at_ns,
    }
}

fn told(alerts: &[Alert]) -> Vec<(Phase, u32)> {
    alerts.iter().map(|a| (a.phase, a.seq)).collect()
}

#[test]
fn an_intrusion_is_one_alert_while_people_come_and_go() {
    let mut life = life();
    let mut all = Vec::new();
    for t in 0..10 {
        let who: &[u64] = if t < 5 { &[1] } else { &[1, 2] };
        all.extend(life.step(&[finding(Kind::Intrusion, t * S, who)], t * S, 0));
    }
    for t in 10..20 {
        all.extend(life.step(&[], t * S, 0));
    }
    assert_eq!(told(&all), [(Phase::Start, 0), (Phase::Update, 1), (Phase::End, 2)]);
    assert_eq!(all[2].end_reason, Some(EndReason::Cleared));
    assert_eq!(all[2].ended_utc_ns, Some(9 * S as i64));
    assert!(all.iter().all(|a| a.id == all[0].id));
}

#[test]
fn after_an_end_the_same_zone_is_quiet_for_the_cooldown() {
    let mut life = life();
    let mut starts = 0;
    for t in 0..30 {
        let seen = t < 2 || (6..8).contains(&t) || t > 20;
        let findings = if seen {
            vec![finding(Kind::Intrusion, t * S, &[1])]
        } else {
            vec![]
        };
        starts += life
            .step(&findings, t * S, 0)
            .iter()
            .filter(|a| a.phase == Phase::Start)
            .count();
    }
    assert_eq!(starts, 2);
}

#[test]
fn a_cooldown_of_an_hour_is_remembered_for_an_hour() {
    let mut life = life_with(|p| p.cooldown_s = 3600.0);
    let who = |t| match t {
        0..2 | 1000 | 3700 => vec![1],
        _ => vec![],
    };
    assert_eq!(starts(&live(&mut life, 3701, 0, who)), [0, 3700]);
}

#[test]
fn each_crossing_track_is_an_alert_of_its_own() {
    let mut life = life();
    let both = [
        finding(Kind::LineCrossing, S, &[1]),
        finding(Kind::LineCrossing, S, &[2]),
    ];
    let started = life.step(&both, S, 0);
    assert_eq!(started.len(), 2);
    assert_ne!(started[0].id, started[1].id);
}

#[test]
fn kinds_without_a_policy_never_alert() {
    assert!(life().step(&[finding(Kind::Siren, 0, &[])], 0, 0).is_empty());
}

#[test]
fn the_same_story_has_the_same_ids() {
    let tell = || life().step(&[finding(Kind::Intrusion, S, &[1])], S, 5)[0].id.clone();
    assert_eq!(tell(), tell());
}

#[test]
fn the_same_second_of_two_recordings_has_two_ids_and_a_live_camera_keeps_its_own() {
    let tell = |mut life: AlertLife| life.step(&[finding(Kind::Intrusion, S, &[1])], S, 5)[0].id.clone();
    let of = |name: &str| tell(life().of_recording(name));
    assert_eq!(of("a.mp4"), of("a.mp4"));
    assert_ne!(of("a.mp4"), of("b.mp4"));
    // As in earlier versions: whoever stored it finds it again.
    assert_eq!(tell(life()), "00000000Z86ZQHK9REFNG8XN4E");
}

#[test]
fn a_lost_camera_ends_what_is_open_with_its_reason() {
    let mut life = life();
    let _ = life.step(&[finding(Kind::Intrusion, S, &[1])], S, 0);
    let ended = life.end_all(EndReason::CameraLost, 2 * S, 0);
    assert_eq!((ended.len(), ended[0].end_reason), (1, Some(EndReason::CameraLost)));
    assert!(life.end_all(EndReason::CameraLost, 3 * S, 0).is_empty());
}

#[test]
fn a_camera_that_comes_and_goes_gives_no_alert_with_every_picture_whatever_its_clock_says() {
    let start = |life: &mut AlertLife, at_s: u64, offset_s: i64| {
        let told = life.step(
            &[finding(Kind::Intrusion, at_s * S, &[1])],
            at_s * S,
            offset_s * S as i64,
        );
        let _ = life.end_all(EndReason::CameraLost, (at_s + 1) * S, offset_s * S as i64);
        told.len()
    };
    let mut life = life();
    let cooldown_s = KindPolicy::default_for(Kind::Intrusion).cooldown_s as u64;
    // Which clock the camera has is known late, and clocks are set: an hour back, an hour forward.
    assert_eq!(start(&mut life, 1000, 3600), 1);
    assert_eq!(start(&mut life, 1000 + cooldown_s / 2, 0), 0);
    assert_eq!(start(&mut life, 1000 + cooldown_s - 1, 7200), 0);
    assert_eq!(start(&mut life, 1000 + cooldown_s, 0), 1);
}

/// Runs `seconds` windows of a second each; the tracks of each come from `who`.
fn live(life: &mut AlertLife, seconds: u64, offset_ns: i64, who: impl Fn(u64) -> Vec<u64>) -> Vec<Alert> {
    let mut all = Vec::new();
    for t in 0..seconds {
        let who = who(t);
        let findings = if who.is_empty() {
            vec![]
        } else {
            vec![finding(Kind::Intrusion, t * S, &who)]
        };
        all.extend(life.step(&findings, t * S, offset_ns));
    }
    all
}

fn starts(alerts: &[Alert]) -> Vec<u64> {
    let starts = alerts.iter().filter(|a| a.phase == Phase::Start);
    starts.map(|a| a.started_utc_ns as u64 / S).collect()
}

#[test]
fn the_same_track_alone_opens_no_second_alert_soon_after_its_first() {
    let mut life = life_with(|p| p.track_cooldown_s = 60.0);
    // Track 1 comes back after 20 s, and again with track 2 after 40 s.
    let who = |t| match t {
        0..2 | 20..22 => vec![1],
        40..42 => vec![1, 2],
        _ => vec![],
    };
    assert_eq!(starts(&live(&mut life, 60, 0, who)), [0, 40]);
}

#[test]
fn who_joined_an_alert_opens_none_alone_soon_after_it_either() {
    let mut life = life_with(|p| p.track_cooldown_s = 60.0);
    let who = |t| match t {
        0..2 => vec![1],
        2..4 => vec![1, 2],
        20..22 => vec![2],
        _ => vec![],
    };
    assert_eq!(starts(&live(&mut life, 60, 0, who)), [0]);
}

#[test]
fn a_higher_severity_alone_leaves_score_and_evidence_as_they_belong_together() {
    let mut life = life_with(|p| p.critical_at = Schedule::parse(&["00:30-02:00"]).unwrap());
    let with = |score: f32, at: u64| Finding {
        score,
        evidence: vec![crate::data::Evidence {
            modality: crate::data::Modality::Video,
            model: "m@1".into(),
            label: "x".into(),
            score,
            contribution: crate::fusion::contribution(score, 0.1),
            at_ns: at,
        }],
        ..finding(Kind::Intrusion, at, &[1])
    };
    let critical = life.options.clone();
    life.options.kinds[0].critical_at = Schedule::default();
    life.step(&[with(0.95, S)], S, 0);
    life.options = critical;
    life.step(&[with(0.6, 4 * S)], 4 * S, 0);
    let alert = life.end_all(EndReason::Eof, 5 * S, 0).remove(0);
    assert_eq!(
        (alert.severity, alert.score, alert.evidence[0].score),
        (Severity::Critical, 0.95, 0.95)
    );
}

#[test]
fn outside_its_hours_a_kind_opens_nothing_and_what_is_open_ends() {
    // From 22:00 in Berlin on 24 November 2026, that is 21:00 UTC; the story starts a minute earlier.
    let start: jiff::Timestamp = "2026-11-24T20:59:00Z".parse().unwrap();
    let start_ns = start.as_nanosecond() as i64;
    let mut life = life_with(|p| p.active = Schedule::parse(&["22:00-22:01"]).unwrap());
    let all = live(&mut life, 200, start_ns, |_| vec![1]);
    let at = |ns: i64| (ns - start_ns) as u64 / S;
    let (first, last) = (&all[0], all.last().unwrap());
    assert_eq!((at(first.started_utc_ns), at(last.ended_utc_ns.unwrap())), (60, 119));
    assert!(all.iter().all(|a| a.id == first.id));
}

#[test]
fn a_zones_own_policy_goes_before_the_kinds() {
    let mut life = life();
    let own = KindPolicy {
        zone: Some("fence".into()),
        severity: Severity::Critical,
        ..KindPolicy::default_for(Kind::Intrusion)
    };
    life.options.kinds.insert(0, own);
    let mut elsewhere = finding(Kind::Intrusion, S, &[1]);
    elsewhere.zone = Some("street".into());
    let started = life.step(&[finding(Kind::Intrusion, S, &[1]), elsewhere], S, 0);
    let severities: Vec<Severity> = started.iter().map(|a| a.severity).collect();
    assert_eq!(severities, [Severity::Critical, Severity::Warning]);
}

#[test]
fn severity_rises_in_an_update_and_never_falls() {
    let mut life = life();
    let grave = |t: u64| Finding {
        severity: (t == 5).then_some(Severity::Critical),
        ..finding(Kind::Intrusion, t * S, &[1])
    };
    let mut all = Vec::new();
    for t in 0..10 {
        all.extend(life.step(&[grave(t)], t * S, 0));
    }
    assert_eq!(told(&all), [(Phase::Start, 0), (Phase::Update, 1)]);
    assert_eq!(
        (all[0].severity, all[1].severity),
        (Severity::Warning, Severity::Critical)
    );
    assert_eq!(life.end_all(EndReason::Eof, 10 * S, 0)[0].severity, Severity::Critical);
}

#[test]
fn what_lasts_too_long_or_falls_into_grave_hours_becomes_critical() {
    let mut life = life_with(|p| p.critical_after_s = 30.0);
    let all = live(&mut life, 40, 0, |_| vec![1]);
    assert_eq!((all.len(), all[1].severity), (2, Severity::Critical));
    assert_eq!(all[1].updated_utc_ns as u64 / S, 30);
    // 1970-01-01 01:00 in Berlin is midnight UTC.
    let mut life = life_with(|p| p.critical_at = Schedule::parse(&["00:30-02:00"]).unwrap());
    assert_eq!(live(&mut life, 1, 0, |_| vec![1])[0].severity, Severity::Critical);
}

#[test]
fn what_began_longer_ago_than_the_hold_goes_on_while_its_evidence_is_fresh() {
    let mut life = life();
    let slow = Finding {
        at_ns: S,
        ..finding(Kind::Intrusion, 9 * S, &[1])
    };
    let started = life.step(&[slow], 9 * S, 0);
    assert_eq!(told(&started), [(Phase::Start, 0)]);
    assert_eq!(started[0].started_utc_ns as u64, S);
    assert!(life.step(&[], 11 * S, 0).is_empty(), "its hold of 3 s is not over");
    let ended = life.step(&[], 13 * S, 0);
    assert_eq!(ended[0].ended_utc_ns, Some(9 * S as i64));
}

#[test]
fn what_holds_without_a_rule_is_as_documented() {
    let written = include_str!("../../docs/behaviours.md");
    let keys = include_str!("../../docs/configuration.md");
    let limits = keys.lines().find(|l| l.starts_with("| `max_per_hour` |")).unwrap();
    for kind in Kind::ALL {
        let p = KindPolicy::default_for(*kind);
        let row = format!(
            "| `{kind}` | {} | {} | {} |",
            p.severity.as_str(),
            p.hold_s,
            p.cooldown_s
        );
        assert!(written.contains(&row), "docs/behaviours.md lacks {row}");
        let limit = match kind {
            Kind::LineCrossing => format!("for crossings {}.", p.max_per_hour),
            _ => format!("Default: {},", p.max_per_hour),
        };
        assert!(limits.contains(&limit), "{kind}: {limit:?} is not in {limits}");
    }
}

#[test]
fn an_alert_starts_when_what_it_tells_of_began_but_not_before_the_end_of_the_last() {
    let long = |at_s: u64, since_s: u64| Finding {
        last_ns: at_s * S,
        ..finding(Kind::Intrusion, since_s * S, &[1])
    };
    let mut life = life();
    let started = |told: &[Alert]| told.iter().map(|a| a.started_utc_ns as u64 / S).collect::<Vec<_>>();
    assert_eq!(started(&life.step(&[long(60, 5)], 60 * S, 0)), [5]);
    // Its evidence is gone for 4 s.
    assert_eq!(life.step(&[], 64 * S, 0).len(), 1);
    assert!(life.step(&[long(69, 5)], 69 * S, 0).is_empty(), "it is quiet yet");
    assert_eq!(started(&life.step(&[long(70, 5)], 70 * S, 0)), [60]);
}

#[test]
fn what_was_there_before_its_hours_started_with_them() {
    let mut life = life_with(|p| p.active = Schedule::parse(&["22:00-06:00".to_owned()]).unwrap());
    // 21:59:50 in Berlin, on a day in winter.
    let offset_ns = (20 * 3600 + 59 * 60 + 50) * S as i64;
    let there = |at_s: u64| Finding {
        last_ns: at_s * S,
        ..finding(Kind::Intrusion, S, &[1])
    };
    let told: Vec<Alert> = (2..20).flat_map(|t| life.step(&[there(t)], t * S, offset_ns)).collect();
    assert_eq!((told.len(), (told[0].started_utc_ns - offset_ns) / S as i64), (1, 9));
}

/// A camera's own clock becomes known only after some seconds, and may be set while it streams.
#[test]
fn an_alert_never_ends_before_it_started() {
    let mut life = life();
    let start = life.step(&[finding(Kind::Intrusion, 10 * S, &[1])], 10 * S, 7_200_000_000_000);
    let end = life.step(&[], 20 * S, 0);
    assert_eq!((start.len(), end.len(), end[0].phase), (1, 1, Phase::End));
    assert!(end[0].ended_utc_ns >= Some(start[0].started_utc_ns));
}

#[test]
fn who_has_gone_does_not_last_while_the_alert_is_held() {
    let mut life = life_with(|p| (p.hold_s, p.critical_after_s) = (20.0, 15.0));
    let all = live(&mut life, 30, 0, |t| if t < 3 { vec![1] } else { vec![] });
    assert_eq!(told(&all), [(Phase::Start, 0), (Phase::End, 1)]);
    assert_eq!(all[1].severity, Severity::Warning);
}

#[test]
fn one_that_lasts_unchanged_is_told_of_again_every_minute() {
    let mut life = life();
    let at = |all: &[Alert]| all.iter().map(|a| a.updated_utc_ns as u64 / S).collect::<Vec<_>>();
    assert_eq!(at(&live(&mut life, 150, 0, |_| vec![1])), [0, 60, 120]);
    // And no more while it is only held.
    let mut life = life_with(|p| p.hold_s = 300.0);
    let all = live(&mut life, 250, 0, |t| if t <= 60 { vec![1] } else { vec![] });
    assert_eq!(at(&all), [0, 60]);
}

#[test]
fn two_things_in_one_zone_have_cooldowns_of_their_own() {
    let mut policy = KindPolicy::default_for(Kind::LeftOrTaken);
    (policy.hold_s, policy.cooldown_s, policy.track_cooldown_s) = (1.0, 0.0, 300.0);
    let mut life = AlertLife::new(
        CameraId::new("yard"),
        PolicyOptions {
            kinds: vec![policy],
            ..PolicyOptions::default()
        },
    );
    // No track follows a thing: all have the track 0, and a number each.
    let thing = |number: u64, t: u64| Finding {
        key_track: Some(number),
        ..finding(Kind::LeftOrTaken, t * S, &[0])
    };
    let mut all = life.step(&[thing(1, 0)], 0, 0);
    all.extend(life.step(&[], 5 * S, 0));
    all.extend(life.step(&[thing(1, 10)], 10 * S, 0));
    all.extend(life.step(&[thing(2, 20)], 20 * S, 0));
    assert_eq!(starts(&all), [0, 20]);
}

#[test]
fn what_is_seen_late_while_the_detector_sleeps_is_held_for_as_much_longer() {
    let mut life = life_with(|p| p.hold_s = 1.0);
    life.set_behind(700_000_000);
    let mut all = Vec::new();
    for half in 4..20 {
        // The newest frame that is told of is 1.2 s old.
        let now_ns = half * S / 2;
        let every_other = (half % 2 == 0).then(|| finding(Kind::Intrusion, now_ns - 1_200_000_000, &[1]));
        all.extend(life.step(&every_other.into_iter().collect::<Vec<_>>(), now_ns, 0));
    }
    assert_eq!(told(&all), [(Phase::Start, 0)]);
}
