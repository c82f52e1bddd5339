use serde_json::json;

use super::*;

fn message(seq: u32, phase: &str, score: f64) -> AlertPayload {
    let ended = (phase == "end").then_some("1970-01-01T00:00:09.000Z");
    serde_json::from_value(json!({
        "schema": "watchfire.alert/1", "id": "01J", "seq": seq, "phase": phase, "site": "s", "box": "b",
        "camera": "yard", "kind": "fight", "severity": "critical", "score": score,
        "started_at": "1970-01-01T00:00:05.000Z", "updated_at": "1970-01-01T00:00:07.500Z", "ended_at": ended,
        "end_reason": ended.map(|_| "cleared"), "zone": null, "direction": null,
        "tracks": [{"id": 4, "class": "person", "score": 0.9, "bbox": [0.1, 0.2, 0.3, 0.8]}], "emotion": null,
        "evidence": [
            {"modality": "audio", "model": "sound@1", "label": "scream", "score": 0.2, "contribution": -0.5,
             "share": 0.2, "at": "1970-01-01T00:00:06.000Z"},
            {"modality": "video", "model": "action@1", "label": "fight", "score": 0.9, "contribution": 2.0,
             "share": 0.8, "at": "1970-01-01T00:00:05.000Z"}],
        "snapshot": null, "clip": null}))
    .unwrap()
}

#[test]
fn prior_and_contributions_add_up_to_the_score_in_the_order_of_time() {
    // logit(0.6) = 0.405 = -1.095 + 2.0 - 0.5
    let text = tell(&[message(0, "start", 0.6), message(1, "end", 0.6)], None);
    let at = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part:?} is missing in\n{text}"))
    };
    assert!(at("-1.09  before any evidence: 25 %") < at("+2.00  video “fight” by action@1"));
    assert!(at("video “fight”") < at("-0.50  audio “scream”"));
    assert!(at("against it") < at("+0.41  together: 60 %"));
    assert!(text.contains("(+4.0 s); nothing more was found for hold_s"));
    assert!(text.contains("20 % of the picture's width"));
}

#[test]
fn what_it_was_told_on_stands_beside_its_surest_moment() {
    let mut first = message(0, "start", 0.3);
    first.evidence.truncate(1);
    let life = [first, message(1, "update", 0.6), message(2, "end", 0.6)];
    let text = tell(&life, None);
    let (told, surest) = text.split_once("At its surest").unwrap();
    assert!(
        told.contains("Why it was told") && told.contains("together: 30 %"),
        "{text}"
    );
    assert!(!told.contains("“fight”") && surest.contains("“fight”"), "{text}");
    assert!(
        surest.contains("together: 60 %") && surest.contains("told: score 0.30"),
        "{text}"
    );
    // Where nothing surer came, and where the first message is not known, there is one account.
    for life in [&[message(0, "start", 0.6), message(1, "end", 0.6)], &life[1..]] {
        let text = tell(life, None);
        assert_eq!(text.matches("before any evidence").count(), 1, "{text}");
    }
}

#[test]
fn an_open_alert_says_so_and_updates_are_listed() {
    let text = tell(
        &[message(0, "start", 0.6), message(1, "update", 0.8)],
        Some(&["threshold 0.5".into()]),
    );
    assert!(text.contains("updated: score 0.80, 1 track (+2.5 s)"), "{text}");
    assert!(text.contains("still open then") && text.contains("threshold 0.5"));
}

#[test]
fn a_crowd_says_how_many_there_are_and_who_speaks_for_them() {
    let crowd = |seq: u32, phase: &str, n: u64| {
        let mut m = message(seq, phase, 0.6);
        m.kind = "crowd".into();
        m.evidence.truncate(1);
        let one = m.tracks[0].clone();
        m.tracks = (0..n)
            .map(|i| crate::publish::payload::TrackPayload {
                id: 10 * u64::from(seq) + i + 1,
                ..one.clone()
            })
            .collect();
        m
    };
    let text = tell(&[crowd(0, "start", 8)], None);
    assert!(text.starts_with("crowd: critical, score 0.60 (8 at once)\n"), "{text}");
    assert!(text.contains("the surest of 8 tracks speaks for all"), "{text}");
    let text = tell(&[crowd(0, "start", 8), crowd(1, "update", 9), crowd(2, "end", 5)], None);
    assert!(text.contains("(5 when last told, at most 9 at once)"), "{text}");
    assert!(
        text.contains("over its life 22 tracks, at most 9 in one message"),
        "{text}"
    );
}

#[test]
fn what_a_rule_saw_stands_in_the_first_line_and_a_thing_has_no_number() {
    let mut thing = message(0, "start", 0.8);
    thing.kind = "left_or_taken".into();
    thing.evidence.truncate(1);
    thing.evidence[0].model = "rule:left_or_taken".into();
    thing.evidence[0].label = "something left".into();
    thing.tracks[0].id = 0;
    thing.tracks[0].class = "something left".into();
    thing.snapshot = Some("yard/01J.jpg".into());
    let text = tell(&[thing], None);
    assert!(
        text.starts_with("left_or_taken: critical, score 0.80 (something left)\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  something left, score 0.90:") && text.contains("snapshot yard/01J.jpg"),
        "{text}"
    );
    assert!(text.contains("a judgement, not a measured probability"), "{text}");
    assert!(!tell(&[message(0, "start", 0.6)], None).contains("judgement"));
}

#[test]
fn a_long_life_is_told_by_its_ends_and_by_what_changed() {
    let mut life = vec![message(0, "start", 0.6)];
    for seq in 1..=100 {
        let mut m = message(seq, "update", 0.6 + f64::from(seq) / 1000.0);
        m.tracks.clear();
        m.severity = if seq <= 50 { "warning" } else { "critical" }.into();
        life.push(m);
    }
    life[0].severity = "warning".into();
    let text = tell(&life, None);
    // Three at each end, the one that rose, and two lines for those between.
    assert_eq!(text.matches("updated: ").count(), 7, "{text}");
    assert_eq!(text.matches(", now critical").count(), 1, "{text}");
    assert!(text.contains("… 47 more updates: score 0.60 to 0.65\n"), "{text}");
    assert!(
        text.contains("… 46 more updates: ") && !text.contains("0 tracks"),
        "{text}"
    );
}

#[test]
fn what_faces_seem_to_express_is_told_the_surest_first() {
    let mut angry = message(0, "start", 0.6);
    angry.emotion = Some([("neutral".to_owned(), 0.25), ("anger".to_owned(), 0.75)].into());
    assert!(tell(&[angry], None).contains("seem to express\n  anger 75 %, neutral 25 %\n"));
    assert!(!tell(&[message(0, "start", 0.6)], None).contains("express"));
}

/// Whoever reads an account is to see at once that it was put together by hand, or by another program.
#[test]
fn contributions_that_do_not_come_to_the_score_are_told_and_rounded_ones_are_not() {
    let told = |prior: f64, score: f64, contributions: &[f64]| {
        let mut m = message(0, "start", score);
        m.prior = Some(prior);
        let one = m.evidence[0].clone();
        m.evidence = contributions
            .iter()
            .map(|c| EvidencePayload {
                contribution: *c,
                ..one.clone()
            })
            .collect();
        tell(&[m], None)
    };
    // logit(0.25) = -1.099, which 2.0 and -0.5 take to 0.401: 59.9 %.
    let text = told(0.25, 0.9, &[2.0, -0.5]);
    assert!(
        text.contains("it does not add up: prior and contributions come to +0.40, 60 %"),
        "{text}"
    );
    assert!(told(0.25, 0.55, &[2.0, -0.5]).contains("does not add up"));
    for (prior, score, contributions) in [
        (0.25, 0.599, &[2.0, -0.5][..]),
        // logit(0.05) + 12 is 99.99 %, and of nobody surer is more than 1 told.
        (0.05, 0.9999, &[12.0]),
        (0.05, 1.0, &[30.0]),
        (0.05, 0.0, &[-30.0]),
        // Rounded to four decimals 0.00014 is 0.0001, and logit(0.00014) + 3 is 0.28 %.
        (0.0001, 0.0028, &[3.0]),
        (0.0, 0.002, &[3.0]),
    ] {
        let text = told(prior, score, contributions);
        assert!(!text.contains("add up"), "{text}");
    }
    let mut older = message(0, "start", 0.9);
    older.prior = None;
    assert!(!tell(&[older], None).contains("add up"));
}

#[test]
fn one_is_told_as_one() {
    let mut summary = message(0, "start", 0.6);
    summary.suppressed = 1;
    let text = tell(std::slice::from_ref(&summary), None);
    assert!(text.contains("it stands for 1 alert, more than"), "{text}");
    summary.suppressed = 3;
    assert!(tell(&[summary], None).contains("it stands for 3 alerts, more than"));
    let mut life = vec![message(0, "start", 0.6)];
    life.extend((1..=9).map(|seq| message(seq, "update", 0.6)));
    // Of nine, three at each end are told one by one, and so is one that rose.
    for (seq, severity) in [(4, "warning"), (5, "critical")] {
        life[seq].severity = severity.into();
    }
    let text = tell(&life, None);
    assert!(text.contains("… 1 more update: score 0.60, tracks 1\n"), "{text}");
}
