//! Weighs evidence in log-odds. Pure.
//!
//! A finding starts at a prior; each modality adds its contribution, and the sigmoid of the sum is the score: a
//! logarithmic opinion pool (Genest & Zidek, 1986). A modality that is missing adds nothing.

mod blend;
mod emotion;
mod mood;

pub use blend::{Blend, LogOdds, SILENT_DBFS};
pub use mood::{Mood, Reading};

use crate::data::{Evidence, EvidenceItem};

/// ln(p / (1 - p)), with p kept off 0 and 1 so that no single model is ever infinitely sure.
pub fn logit(p: f32) -> f32 {
    let p = p.clamp(1e-4, 1.0 - 1e-4);
    (p / (1.0 - p)).ln()
}

pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// What a probability adds to log-odds that stood at the prior.
pub fn contribution(score: f32, prior: f32) -> f32 {
    logit(score) - logit(prior)
}

/// The pooled probability.
pub fn pool(prior: f32, evidence: &[Evidence]) -> f32 {
    sigmoid(logit(prior) + evidence.iter().map(|e| e.contribution).sum::<f32>())
}

/// |contribution| / Σ|contribution| for each; equal shares when nothing contributed.
pub fn shares(contributions: &[f32]) -> Vec<f32> {
    let total: f32 = contributions.iter().map(|c| c.abs()).sum();
    let equal = 1.0 / contributions.len().max(1) as f32;
    contributions
        .iter()
        .map(|c| if total > 0.0 { c.abs() / total } else { equal })
        .collect()
}

/// Evidence as an alert shows it.
pub fn explained(evidence: &[Evidence], utc_offset_ns: i64) -> Vec<EvidenceItem> {
    let contributions: Vec<f32> = evidence.iter().map(|e| e.contribution).collect();
    evidence
        .iter()
        .zip(shares(&contributions))
        .map(|(e, share)| EvidenceItem {
            modality: e.modality,
            model: e.model.clone(),
            label: e.label.clone(),
            score: e.score,
            contribution: e.contribution,
            share,
            at_utc_ns: e.at_ns as i64 + utc_offset_ns,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::Modality;

    fn evidence(score: f32, prior: f32) -> Evidence {
        Evidence {
            modality: Modality::Video,
            model: "m@1".into(),
            label: "x".into(),
            score,
            contribution: contribution(score, prior),
            at_ns: 0,
        }
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_scores_log_odds_less_the_prior(
            scores in prop::collection::vec(0.05f32..0.95, 1..4), prior in 0.05f32..0.95,
        ) {
            let all: Vec<_> = scores.iter().map(|s| evidence(*s, prior)).collect();
            let sum: f32 = all.iter().map(|e| e.contribution).sum();
            let score = pool(prior, &all);
            prop_assume!((1e-3..1.0 - 1e-3).contains(&score));
            prop_assert!((logit(score) - logit(prior) - sum).abs() < 0.02);
        }

        #[test]
        fn shares_sum_to_one_and_order_changes_nothing(c in prop::collection::vec(-5f32..5.0, 1..6)) {
            prop_assert!((shares(&c).iter().sum::<f32>() - 1.0).abs() < 1e-4);
            let mut back = c.clone();
            back.reverse();
            let mut got = shares(&back);
            got.reverse();
            prop_assert!(got.iter().zip(shares(&c)).all(|(a, b)| (a - b).abs() < 1e-6));
        }

        #[test]
        fn taking_a_modality_away_never_raises_what_it_argued_for(a in 0.5f32..0.99, b in 0.01f32..0.99) {
            let both = [evidence(a, 0.5), evidence(b, 0.5)];
            prop_assert!(pool(0.5, &both[1..]) <= pool(0.5, &both) + 1e-6);
        }
    }

    #[test]
    fn one_voice_alone_is_believed_as_it_is() {
        assert!((pool(0.2, &[evidence(0.9, 0.2)]) - 0.9).abs() < 1e-4);
    }
}
