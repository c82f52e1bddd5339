//! What must hold of every story.

use watchfire::data::{Alert, Direction};

use super::play::{Twist, play};
use super::{stories, verdict};

/// What a subscriber would tell alerts apart by; the ids derive from zones and times and may differ.
fn gist(alerts: &[Alert]) -> Vec<String> {
    alerts
        .iter()
        .map(|a| {
            let tracks: Vec<u64> = a.tracks.iter().map(|t| t.id).collect();
            // To the millisecond, as alerts are told: a mirrored number is not exact beyond that.
            let ms = |ns: i64| (ns + 500_000).div_euclid(1_000_000);
            format!(
                "{:?} {} {} {:?} {:?} {} {} {:?} {tracks:?}",
                a.phase,
                a.seq,
                a.kind,
                a.zone,
                a.direction,
                a.severity,
                ms(a.started_utc_ns),
                a.ended_utc_ns.map(ms)
            )
        })
        .collect()
}

/// Plays every story plainly and twisted, and compares after `back` has undone the twist in the twisted alerts.
fn same(twist: Twist, back: impl Fn(Alert) -> Alert) {
    let mut differ = Vec::new();
    // Hours of the usual take long to play, and say the same three times.
    for (name, story) in stories().into_iter().filter(|(_, s)| s.length_s() < 900.0) {
        let plain = gist(&play(&story, Twist::default()));
        let twisted: Vec<Alert> = play(&story, twist).into_iter().map(&back).collect();
        let twisted = gist(&twisted);
        if plain != twisted {
            differ.push(format!("{name}:\n  plain {plain:#?}\n  twisted {twisted:#?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_mirrored_story_has_the_same_alerts() {
    let twist = Twist {
        mirrored: true,
        ..Twist::default()
    };
    // A mirrored line has its left where its right was; which way somebody walked is mirrored too.
    let back = |alert: Alert| Alert {
        direction: alert.direction.map(|d| match d {
            Direction::LeftToRight => Direction::RightToLeft,
            Direction::RightToLeft => Direction::LeftToRight,
        }),
        ..alert
    };
    same(twist, back);
}

#[test]
fn when_the_camera_was_switched_on_changes_nothing() {
    let twist = Twist {
        later_s: 7200.0,
        ..Twist::default()
    };
    same(twist, |alert| alert);
}

#[test]
fn something_small_that_stands_in_a_far_corner_changes_nothing() {
    let twist = Twist {
        still_object: true,
        ..Twist::default()
    };
    same(twist, |alert| alert);
}

#[test]
fn what_is_burned_into_the_picture_and_masked_hides_no_tampering_and_is_none() {
    let twist = Twist {
        burned_in: true,
        masked: true,
        ..Twist::default()
    };
    let mut wrong = Vec::new();
    for (name, story) in stories() {
        // What changes in every picture is not frozen.
        if story.kinds.iter().flatten().any(|kind| kind == "tamper") && !name.contains("frozen") {
            let found = verdict::judge(&story, &play(&story, twist));
            wrong.extend(found.into_iter().map(|why| format!("{name}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
