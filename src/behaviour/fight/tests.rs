use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::data::{SoundPatch, Track, TrackedFrame};
use crate::fusion::{LogOdds, logit};

const S: u64 = 1_000_000_000;

fn acted(end_ns: u64, score: f32) -> ActionReport {
    ActionReport {
        start_ns: end_ns.saturating_sub(2 * S),
        end_ns,
        scores: vec![score, 1.0 - score],
        labels: Arc::from([Arc::from("fight"), Arc::from("no_fight")]),
        model: "action@1".into(),
    }
}

fn seen(at_ns: u64, lefts: &[f32]) -> VisionReport {
    let track = |(id, left): (usize, &f32)| Track {
        id: id as u64,
        class: "person".into(),
        score: 0.9,
        bbox: BBox {
            x1: *left,
            y1: 0.3,
            x2: left + 0.1,
            y2: 0.7,
        },
        seen: true,
        hits: 5,
        born_ns: 0,
    };
    VisionReport {
        frames: vec![TrackedFrame {
            pts_ns: at_ns,
            tracks: lefts.iter().enumerate().map(track).collect(),
        }],
        aspect: 1.0,
        model: Arc::from("detector@1.0.0"),
        faces: None,
    }
}

fn rule() -> Fight {
    Fight::new(FightOptions {
        threshold: 0.5,
        ..FightOptions::default()
    })
}

fn look(rule: &mut Fight, at_ns: u64, score: f32, persons: Option<&[f32]>) -> Option<Finding> {
    let seen = persons.map(|p| seen(at_ns, p));
    rule.observe(&Scene {
        acted: &acted(at_ns, score),
        blend: None,
        seen: seen.as_ref(),
        heard: None,
    })
}

#[test]
fn one_window_is_no_fight_and_two_in_a_row_are() {
    let mut rule = rule();
    assert!(look(&mut rule, 2 * S, 0.8, None).is_none());
    let finding = look(&mut rule, 2 * S + S / 2, 0.8, None).unwrap();
    assert_eq!(finding.at_ns, 2 * S, "it began with the first");
    assert!(
        (finding.score - 0.8).abs() < 1e-3,
        "one voice alone is believed as it is"
    );
}

#[test]
fn a_calm_window_or_a_hole_between_them_starts_anew() {
    let mut rule = rule();
    assert!(look(&mut rule, 2 * S, 0.8, None).is_none());
    assert!(look(&mut rule, 3 * S, 0.2, None).is_none());
    assert!(look(&mut rule, 4 * S, 0.8, None).is_none());
    assert!(look(&mut rule, 9 * S, 0.8, None).is_none());
    assert!(look(&mut rule, 10 * S, 0.8, None).is_some());
}

#[test]
fn two_persons_close_together_argue_for_a_fight_and_one_alone_against() {
    let score = |persons: Option<&[f32]>| {
        let mut rule = rule();
        let _ = look(&mut rule, 2 * S, 0.8, persons);
        look(&mut rule, 3 * S, 0.8, persons).map_or(0.0, |f| f.score)
    };
    let unknown = score(None);
    assert!(score(Some(&[0.2, 0.32])) > unknown);
    assert!(score(Some(&[0.1, 0.8])) < unknown && score(Some(&[0.1])) < unknown);
}

#[test]
fn where_fights_are_rare_more_evidence_is_needed_and_the_account_says_so() {
    let told = |prior: f32, score: f32| {
        let mut rule = Fight::new(FightOptions {
            threshold: 0.5,
            prior,
            ..FightOptions::default()
        });
        let _ = look(&mut rule, 2 * S, score, None);
        look(&mut rule, 3 * S, score, None)
    };
    assert!(told(0.1, 0.7).is_some() && told(0.02, 0.7).is_none() && told(0.3, 0.4).is_some());
    let rare = told(0.02, 0.9).unwrap();
    let sum: f32 = rare.evidence.iter().map(|e| e.contribution).sum();
    // The clip model's one half, moved by as much as 0.02 differs from 0.1.
    let moved = logit(0.02) - logit(0.1);
    assert!((logit(rare.prior) - moved).abs() < 1e-3 && (logit(rare.score) - logit(rare.prior) - sum).abs() < 1e-3);
}

#[test]
fn the_alert_names_those_who_are_close() {
    let mut rule = rule();
    let _ = look(&mut rule, 2 * S, 0.9, Some(&[0.1, 0.5, 0.55]));
    let finding = look(&mut rule, 3 * S, 0.9, Some(&[0.1, 0.5, 0.55])).unwrap();
    assert_eq!(finding.tracks.iter().map(|t| t.id).collect::<Vec<_>>(), [1, 2]);
}

/// A window with the scores of a scream and of breaking glass, where they were heard.
fn heard(at_ns: u64, [scream, glass]: [f32; 2]) -> HearingReport {
    let patch = SoundPatch {
        start_ns: at_ns,
        end_ns: at_ns + S,
        scores: vec![scream, glass],
        level_dbfs: -20.0,
    };
    HearingReport {
        patches: vec![patch],
        labels: ["scream", "glass_break"].map(Arc::from).into(),
        model: "sound@1".into(),
        ..HearingReport::default()
    }
}

fn score(scene: &Scene) -> Option<f32> {
    let mut rule = Fight::new(FightOptions {
        min_windows: 1,
        ..FightOptions::default()
    });
    rule.observe(scene).map(|f| f.score)
}

#[test]
fn a_scream_and_breaking_glass_add_what_they_weigh_and_less_than_half_heard_adds_nothing() {
    let acted = acted(2 * S, 0.6);
    let with = |scores: Option<[f32; 2]>| {
        let heard = scores.map(|scores| heard(S, scores));
        let scene = Scene {
            acted: &acted,
            blend: None,
            seen: None,
            heard: heard.as_ref(),
        };
        logit(score(&scene).unwrap())
    };
    let silent = with(None);
    assert!((silent - logit(0.6)).abs() < 1e-3);
    for (scores, adds) in [
        ([0.49, 0.49], 0.0),
        ([0.9, 0.1], 0.7),
        ([0.1, 0.5], 0.5),
        ([0.9, 0.9], 1.2),
    ] {
        let got = with(Some(scores)) - silent;
        assert!((got - adds).abs() < 1e-3, "{scores:?} adds {got}");
    }
}

#[test]
fn the_learned_fusion_speaks_for_clip_and_sounds_and_nearness_is_added() {
    let odds = LogOdds {
        both: 1.0,
        video: 0.2,
        audio: Some(-0.5),
        none: -1.0,
    };
    let blend = Blend::new(odds, &"av_fight@1".into(), &"fight".into(), 2 * S, S);
    // The clip model by itself is sure that there is none, and a scream is counted already.
    let (acted, heard) = (acted(2 * S, 0.01), heard(S, [0.9, 0.9]));
    let with = |seen: Option<&VisionReport>| {
        let scene = Scene {
            acted: &acted,
            blend: Some(&blend),
            seen,
            heard: Some(&heard),
        };
        logit(score(&scene).unwrap())
    };
    assert!((with(None) - 1.0).abs() < 1e-3);
    let (close, apart) = (seen(2 * S, &[0.2, 0.32]), seen(2 * S, &[0.1, 0.8]));
    assert!((with(Some(&close)) - 1.0 - NEAR).abs() < 1e-3);
    assert!((with(Some(&apart)) - 1.0 - APART).abs() < 1e-3);
}

#[test]
fn windows_are_in_a_row_up_to_the_gap_and_not_beyond() {
    for (gap_ns, in_a_row) in [(GAP_NS, true), (GAP_NS + 1, false)] {
        let mut rule = rule();
        assert!(look(&mut rule, 2 * S, 0.8, None).is_none());
        assert_eq!(
            look(&mut rule, 2 * S + gap_ns, 0.8, None).is_some(),
            in_a_row,
            "{gap_ns}"
        );
    }
}

proptest! {
    /// Of the finished finding, with the camera's own prior: what is added up is what the score says, and without a modality a fight
    /// is never surer than it was with one that argued for it.
    #[test]
    fn taking_a_modality_away_never_raises_what_it_argued_for(
        clip in 0.01f32..0.99, prior in 0.01f32..0.9, sounds in [0f32..1.0, 0f32..1.0],
        lefts in proptest::collection::vec(0f32..0.9, 1..4),
        head in proptest::option::of([-4f32..4.0, -4f32..4.0, -4f32..4.0, -4f32..4.0]),
    ) {
        let (acted, heard, seen) = (acted(2 * S, clip), heard(S, sounds), seen(2 * S, &lefts));
        let blend = |with_sound: bool| head.map(|[both, video, audio, none]| {
            let audio = with_sound.then_some(audio);
            let both = if with_sound { both } else { video };
            Blend::new(LogOdds { both, video, audio, none }, &"av_fight@1".into(), &"fight".into(), 2 * S, S)
        });
        let find = |with_sound: bool, with_tracks: bool| {
            let mut rule = Fight::new(FightOptions { min_windows: 1, prior, ..FightOptions::default() });
            rule.observe(&Scene {
                acted: &acted,
                blend: blend(with_sound).as_ref(),
                seen: with_tracks.then_some(&seen),
                heard: with_sound.then_some(&heard),
            }).unwrap()
        };
        let whole = find(true, true);
        let sum: f32 = whole.evidence.iter().map(|e| e.contribution).sum();
        // `logit` ends at one in ten thousand, which a score may pass.
        let odds = (whole.score / (1.0 - whole.score)).ln();
        prop_assert!((odds - logit(whole.prior) - sum).abs() < 2e-2, "{whole:?}");
        let argued = |is: fn(&Evidence) -> bool| -> f32 {
            whole.evidence.iter().filter(|e| is(e)).map(|e| e.contribution).sum()
        };
        for (for_it, less) in [
            (argued(|e| e.modality == Modality::Audio), find(false, true)),
            (argued(|e| &*e.model == "rule:nearness"), find(true, false)),
        ] {
            prop_assert!(for_it < 1e-3 || less.score <= whole.score + 1e-3, "{for_it}: {less:?} {whole:?}");
        }
    }
}
