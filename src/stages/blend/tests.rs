use super::*;
use crate::data::{CameraId, HearingReport, Report, ReportBody, SoundPatch, Status};
use crate::fusion::{logit, pool, shares, sigmoid};
use crate::nn::{AvModel, FusionMethod, shipped};

const S: u64 = 1_000_000_000;

#[test]
fn only_sounds_during_the_clip_are_joined_with_it() {
    let mut sounds = Sounds::default();
    for (start, value, patches) in [(0, 1.0, 1.0), (2, 2.0, 1.0), (3, 5.0, 2.0), (8, 9.0, 1.0)] {
        sounds.0.push_back(sound(start, Arc::from([value]), patches));
    }
    assert_eq!(sounds.during(2 * S, 4 * S), Some((vec![4.0], 3 * S)));
    assert_eq!(sounds.during(5 * S, 6 * S), None);
}

#[test]
fn sounds_far_from_the_clip_are_no_pair_with_it_and_that_is_told() {
    let reports = |first_s: u64| {
        let mut reports = Reports::default();
        let patch = SoundPatch {
            start_ns: first_s * S,
            end_ns: (first_s + 1) * S,
            scores: vec![],
            level_dbfs: -20.0,
        };
        let heard = HearingReport {
            patches: vec![patch],
            labels: [].into(),
            rules: [].into(),
            level_dbfs: -20.0,
            model: "sound@1".into(),
            speech_emotion: None,
        };
        for (branch, body) in [
            (Branch::Action, ReportBody::Action(acted())),
            (Branch::Hearing, ReportBody::Hearing(heard)),
        ] {
            let bare = Report::bare(CameraId::new("yard"), 0, branch, Status::Ok);
            reports.put(Report { body, ..bare });
        }
        reports
    };
    // The clip lasts from 8 to 10 s.
    for (first_s, skewed) in [(6, true), (7, false), (9, false), (10, false), (11, true)] {
        let reports = reports(first_s);
        assert_eq!(reports.are_skewed(), skewed, "{first_s}");
        assert_eq!(reports.heard_beside_clip().is_none(), skewed, "{first_s}");
    }
}

/// What was heard in a second.
fn sound(start_s: u64, embedding: Arc<[f32]>, patches: f32) -> Sound {
    Sound {
        last_ns: start_s * S,
        start_ns: start_s * S,
        end_ns: (start_s + 1) * S,
        patches,
        embedding,
    }
}

/// The shipped head in each of its ways.
fn heads() -> impl Iterator<Item = (&'static str, AvModel)> {
    let folder = shipped("av_fight");
    FusionMethod::ALL
        .into_iter()
        .map(move |(name, method)| (name, AvModel::load(&folder, Some(method)).unwrap()))
}

/// The same embeddings every time: like real ones never negative, many zeros, some large.
fn embedding(seed: u64, length: usize) -> Arc<[f32]> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let scale = [0.3, 1.0, 4.0][(seed % 3) as usize];
    (0..length).map(|_| (draw() * 2.0 - 1.0).max(0.0) * scale).collect()
}

fn acted() -> ActionReport {
    ActionReport {
        start_ns: 8 * S,
        end_ns: 10 * S,
        scores: vec![0.5, 0.5],
        labels: ["fight".into(), "no_fight".into()].into(),
        model: "action@1".into(),
    }
}

fn heard(audio: Option<&Arc<[f32]>>) -> Sounds {
    Sounds(audio.into_iter().map(|a| sound(9, a.clone(), 1.0)).collect())
}

fn total(blend: &Blend) -> f32 {
    blend.evidence.iter().map(|e| e.contribution).sum()
}

#[test]
fn in_every_way_shares_sum_to_one_and_contributions_to_the_log_odds_less_the_prior() {
    for (way, mut head) in heads() {
        let (video, audio) = head.lengths();
        for seed in 0..200 {
            let (v, a) = (embedding(seed, video), embedding(seed + 1000, audio));
            for audio in [None, Some(&a)] {
                let blend = weigh(&mut head, &acted(), &v, &heard(audio)).unwrap();
                let all: Vec<f32> = blend.evidence.iter().map(|e| e.contribution).collect();
                assert_eq!(all.len(), 1 + audio.iter().len());
                assert!((shares(&all).iter().sum::<f32>() - 1.0).abs() < 1e-4, "{way} {seed}");
                let score = pool(blend.prior, &blend.evidence);
                let odds = (logit(blend.prior) + total(&blend)).clamp(-9.0, 9.0);
                assert!((logit(score) - odds).abs() < 0.05, "{way} {seed}: {score} {odds}");
            }
        }
    }
}

#[test]
fn in_every_way_taking_a_modality_away_never_raises_the_certainty_it_argued_for() {
    let mut held = 0;
    for (way, mut head) in heads() {
        let (video, audio) = head.lengths();
        for seed in 0..200 {
            let (v, a) = (embedding(seed, video), embedding(seed + 1000, audio));
            let with = weigh(&mut head, &acted(), &v, &heard(Some(&a))).unwrap();
            let score = pool(with.prior, &with.evidence);
            let without_sound = weigh(&mut head, &acted(), &v, &heard(None)).unwrap();
            let without_sound = pool(without_sound.prior, &without_sound.evidence);
            let without_picture = sigmoid(AvModel::log_odds(&head, None, Some(&a)).unwrap());
            for (argued, left) in [(&with.evidence[1], without_sound), (&with.evidence[0], without_picture)] {
                let change = (left - score) * argued.contribution;
                assert!(change <= 1e-4, "{way} {seed}: {argued:?} and then {left} for {score}");
            }
            let raw = AvModel::log_odds(&head, Some(&v), Some(&a)).unwrap();
            held += usize::from((sigmoid(raw) - score).abs() > 1e-3);
        }
    }
    assert!(
        held > 0,
        "no head ever had to be held back: these embeddings try nothing"
    );
}

fn report(branch: Branch, body: ReportBody, embedding: &Arc<[f32]>) -> Report {
    Report {
        body,
        embedding: Some(embedding.clone()),
        ..Report::bare(CameraId::new("yard"), 0, branch, Status::Ok)
    }
}

#[test]
fn in_every_way_the_order_of_reports_and_other_cameras_windows_between_change_nothing() {
    let patch = SoundPatch {
        start_ns: 9 * S,
        end_ns: 10 * S,
        scores: vec![],
        level_dbfs: -20.0,
    };
    let hearing = HearingReport {
        patches: vec![patch],
        ..HearingReport::default()
    };
    for (way, mut head) in heads() {
        let (video, audio) = head.lengths();
        let pairs: Vec<_> = (0..6)
            .map(|seed| (embedding(seed, video), embedding(seed + 1000, audio)))
            .collect();
        let joined = |(v, a): &(Arc<[f32]>, Arc<[f32]>), backwards: bool| {
            let seen = report(Branch::Action, ReportBody::Action(acted()), v);
            let heard = report(Branch::Hearing, ReportBody::Hearing(hearing.clone()), a);
            let mut reports = Reports::default();
            let order = if backwards { [heard, seen] } else { [seen, heard] };
            order.into_iter().for_each(|r| reports.put(r));
            let mut sounds = Sounds::default();
            sounds.take(&reports);
            (reports, sounds)
        };
        let mut answer = |pair, backwards| {
            let (reports, sounds) = joined(pair, backwards);
            blend(&mut head, &reports, &sounds).unwrap()
        };
        let one_by_one: Vec<Blend> = pairs.iter().map(|p| answer(p, false)).collect();
        let mut other_way: Vec<Blend> = pairs.iter().rev().map(|p| answer(p, true)).collect();
        other_way.reverse();
        assert_eq!(one_by_one, other_way, "{way}");
    }
}

#[test]
fn silence_is_a_missing_sound_and_a_head_of_other_lengths_is_no_answer() {
    for (way, mut head) in heads() {
        let (video, audio) = head.lengths();
        let v = embedding(3, video);
        let quiet = HearingReport {
            patches: vec![SoundPatch {
                start_ns: 9 * S,
                end_ns: 10 * S,
                scores: vec![],
                level_dbfs: -70.0,
            }],
            ..HearingReport::default()
        };
        let mut reports = Reports::default();
        reports.put(report(Branch::Action, ReportBody::Action(acted()), &v));
        reports.put(report(
            Branch::Hearing,
            ReportBody::Hearing(quiet),
            &embedding(4, audio),
        ));
        let mut sounds = Sounds::default();
        sounds.take(&reports);
        assert_eq!(blend(&mut head, &reports, &sounds).unwrap().evidence.len(), 1, "{way}");
        let mut other = Reports::default();
        other.put(report(
            Branch::Action,
            ReportBody::Action(acted()),
            &embedding(3, video + 1),
        ));
        assert!(blend(&mut head, &other, &sounds).is_none(), "{way}");
    }
}
