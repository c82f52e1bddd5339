//! The learned fusion's answer, taken apart by modality. Pure.

use std::sync::Arc;

use super::sigmoid;
use crate::data::{Evidence, Modality};

/// To a learned head sounds below this are silence: a microphone that is switched off tells nothing. The recipe's limit.
pub const SILENT_DBFS: f32 = -60.0;

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

impl LogOdds {
    /// The same, where what picture and sound say together takes back at most what each of them says alone. A head that
    /// adds log-odds up is left as it is; any other may answer less with a modality than without it, although that
    /// modality argues for the finding, and no account of such an answer could be true.
    pub fn consistent(self) -> Self {
        let Some(audio) = self.audio else { return self };
        let (video, sound) = (self.video - self.none, audio - self.none);
        let together = self.both - self.none - video - sound;
        // Each modality pulls the interaction's limits in on the side against which it argues.
        let lowest = [video, sound]
            .into_iter()
            .filter(|v| *v > 0.0)
            .fold(f32::MIN, |low, v| low.max(-v));
        let highest = [video, sound]
            .into_iter()
            .filter(|v| *v < 0.0)
            .fold(f32::MAX, |high, v| high.min(-v));
        Self {
            both: self.none + video + sound + together.clamp(lowest, highest),
            ..self
        }
    }
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
    /// that they add up to the answer less the prior; of a head that adds log-odds up they are its summands. The answer
    /// is first made [`LogOdds::consistent`], so that without a modality the score never moves the way it argued for.
    pub fn new(odds: LogOdds, model: &Arc<str>, label: &Arc<str>, video_ns: u64, audio_ns: u64) -> Self {
        let odds = odds.consistent();
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

    fn any() -> impl Strategy<Value = LogOdds> {
        let odds = (-4f32..4.0, -4f32..4.0, prop::option::of(-4f32..4.0), -2f32..2.0);
        odds.prop_map(|(both, video, audio, none)| LogOdds {
            both: if audio.is_none() { video } else { both },
            video,
            audio,
            none,
        })
    }

    proptest! {
        #[test]
        fn contributions_of_any_head_add_up_to_its_log_odds_less_the_prior(odds in any()) {
            let (blend, told) = (blend(odds), odds.consistent().both);
            prop_assert!((total(&blend) - (told - odds.none)).abs() < 1e-4);
            prop_assert!((logit(pool(blend.prior, &blend.evidence)) - told.clamp(-9.2, 9.2)).abs() < 2e-2);
            let shares = shares(&blend.evidence.iter().map(|e| e.contribution).collect::<Vec<_>>());
            prop_assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }

        #[test]
        fn of_any_head_taking_a_modality_away_never_raises_what_it_argued_for(odds in any()) {
            let with = blend(odds);
            let alone = |video, audio: Option<f32>| LogOdds { both: video, video, audio, none: odds.none };
            if let (Some(audio), [picture, sound]) = (odds.audio, &with.evidence[..]) {
                let without_sound = total(&blend(alone(odds.video, None)));
                let without_picture = audio - odds.none;
                for (argued, without) in [(sound.contribution, without_sound), (picture.contribution, without_picture)] {
                    let change = without - total(&with);
                    prop_assert!(change * argued <= 1e-4, "it argued {argued}, and without it {change}");
                }
            }
        }

        #[test]
        fn a_head_that_adds_up_is_left_as_it_is(v in -4f32..4.0, a in -4f32..4.0, none in -2f32..2.0) {
            let odds = LogOdds { both: none + v + a, video: none + v, audio: Some(none + a), none };
            prop_assert!((odds.consistent().both - odds.both).abs() < 1e-4);
            let evidence = blend(odds).evidence;
            prop_assert!((evidence[0].contribution - v).abs() < 1e-4 && (evidence[1].contribution - a).abs() < 1e-4);
        }
    }

    #[test]
    fn two_that_argue_for_it_are_together_never_less_sure_than_the_surer_one() {
        let odds = |both| LogOdds {
            both,
            video: 1.0,
            audio: Some(0.5),
            none: 0.0,
        };
        assert_eq!(odds(0.2).consistent().both, 1.0);
        assert_eq!(odds(1.2).consistent().both, 1.2);
        assert_eq!(odds(9.0).consistent().both, 9.0);
    }
}
