//! The learned fusion's answer, taken apart by modality. Pure.

use std::sync::Arc;

use super::sigmoid;
use crate::data::{Evidence, Modality};

/// A learned head over the embeddings of picture and sound: log-odds of what it looks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogOdds {
    /// With what there is.
    pub both: f32,
    /// With the picture alone, and with the sound alone (when there is one).
    pub video: f32,
    pub audio: Option<f32>,
    /// With nothing: the prior.
    pub none: f32,
}

/// A finding's evidence as the learned fusion weighs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Blend {
    /// Probability before anything was seen or heard.
    pub prior: f32,
    pub evidence: Vec<Evidence>,
}

impl Blend {
    /// Each modality's contribution is its mean gain over the orders in which the two can come (Shapley, 1953), so
    /// that they add up to the answer less the prior; of a head that adds log-odds up they are its summands.
    pub fn new(odds: LogOdds, model: &Arc<str>, label: &Arc<str>, video_ns: u64, audio_ns: u64) -> Self {
        let of = |modality, contribution: f32, alone: f32, at_ns| Evidence {
            modality,
            model: model.clone(),
            label: label.clone(),
            score: sigmoid(alone),
            contribution,
            at_ns,
        };
        let (video, audio) = match odds.audio {
            None => (odds.both - odds.none, None),
            Some(audio) => (
                (odds.video - odds.none + odds.both - audio) / 2.0,
                Some((audio - odds.none + odds.both - odds.video) / 2.0),
            ),
        };
        let mut evidence = vec![of(Modality::Video, video, odds.video, video_ns)];
        if let (Some(contribution), Some(alone)) = (audio, odds.audio) {
            evidence.push(of(Modality::Audio, contribution, alone, audio_ns));
        }
        Self {
            prior: sigmoid(odds.none),
            evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fusion::{logit, pool, shares};

    fn blend(odds: LogOdds) -> Blend {
        Blend::new(odds, &"av_fight@1".into(), &"fight".into(), 0, 0)
    }

    fn total(blend: &Blend) -> f32 {
        blend.evidence.iter().map(|e| e.contribution).sum()
    }

    proptest! {
        #[test]
        fn contributions_of_any_head_add_up_to_its_log_odds_less_the_prior(
            both in -4f32..4.0, video in -4f32..4.0, audio in prop::option::of(-4f32..4.0), none in -2f32..2.0,
        ) {
            let video = if audio.is_none() { both } else { video };
            let blend = blend(LogOdds { both, video, audio, none });
            prop_assert!((total(&blend) - (both - none)).abs() < 1e-4);
            prop_assert!((logit(pool(blend.prior, &blend.evidence)) - both).abs() < 1e-2);
            let shares = shares(&blend.evidence.iter().map(|e| e.contribution).collect::<Vec<_>>());
            prop_assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }

        #[test]
        fn of_a_head_that_adds_up_taking_a_modality_away_never_raises_what_it_argued_for(
            v in -4f32..4.0, a in -4f32..4.0,
        ) {
            let with = blend(LogOdds { both: v + a, video: v, audio: Some(a), none: 0.0 });
            let without_sound = blend(LogOdds { both: v, video: v, audio: None, none: 0.0 });
            let argued = with.evidence[1].contribution;
            let change = total(&without_sound) - total(&with);
            prop_assert!((argued - a).abs() < 1e-4 && (with.evidence[0].contribution - v).abs() < 1e-4);
            prop_assert!(change * argued <= 1e-4, "sound argued {argued}, without it {change}");
        }
    }
}
