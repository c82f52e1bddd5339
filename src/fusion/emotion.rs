//! What face and voice seem to express, together.

use std::sync::Arc;

use crate::data::Distribution;

/// Nothing is so unlikely that the other modality could not outweigh it.
const LEAST: f32 = 1e-3;

/// The logarithmic opinion pool of two distributions with equal weights (Genest & Zidek, 1986), over the labels that
/// both know: their geometric mean, normalised. None when they share no label.
pub fn opinion_pool(a: &Distribution, b: &Distribution) -> Option<Distribution> {
    let both = |(label, p): &(Arc<str>, f32)| {
        let (_, q) = b.iter().find(|(other, _)| other == label)?;
        Some((label.clone(), (p.max(LEAST) * q.max(LEAST)).sqrt()))
    };
    normalised(a.iter().filter_map(both).collect())
}

/// The mean of distributions over the same labels, weighted. None when nothing weighs anything.
pub fn mean<'a>(weighted: impl Iterator<Item = (f32, &'a Distribution)>) -> Option<Distribution> {
    let mut sum: Distribution = Vec::new();
    for (weight, distribution) in weighted {
        for (label, p) in distribution {
            match sum.iter_mut().find(|(known, _)| known == label) {
                Some((_, total)) => *total += weight * p,
                None => sum.push((label.clone(), weight * p)),
            }
        }
    }
    normalised(sum)
}

fn normalised(mut shares: Distribution) -> Option<Distribution> {
    let total: f32 = shares.iter().map(|(_, p)| p).sum();
    if !(total.is_finite() && total > 0.0) {
        return None;
    }
    shares.iter_mut().for_each(|(_, p)| *p /= total);
    Some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(pairs: &[(&str, f32)]) -> Distribution {
        pairs.iter().map(|(l, p)| ((*l).into(), *p)).collect()
    }

    fn p(of: &Distribution, label: &str) -> f32 {
        of.iter().find(|(l, _)| &**l == label).map_or(0.0, |(_, p)| *p)
    }

    #[test]
    fn two_that_agree_are_surer_than_each_and_labels_that_one_does_not_know_are_left_out() {
        let face = d(&[("neutral", 0.3), ("anger", 0.6), ("contempt", 0.1)]);
        let voice = d(&[("anger", 0.6), ("boredom", 0.1), ("neutral", 0.3)]);
        let both = opinion_pool(&face, &voice).unwrap();
        assert_eq!(both.len(), 2);
        assert!((p(&both, "anger") - 2.0 / 3.0).abs() < 1e-5, "{both:?}");
        let split = opinion_pool(
            &d(&[("neutral", 1.0), ("anger", 0.0)]),
            &d(&[("neutral", 0.0), ("anger", 1.0)]),
        );
        assert!((p(&split.unwrap(), "anger") - 0.5).abs() < 1e-5);
        assert!(opinion_pool(&d(&[("a", 1.0)]), &d(&[("b", 1.0)])).is_none());
    }

    #[test]
    fn a_mean_follows_its_weights_and_of_nothing_there_is_none() {
        let (calm, angry) = (
            d(&[("neutral", 1.0), ("anger", 0.0)]),
            d(&[("neutral", 0.0), ("anger", 1.0)]),
        );
        let mean_of = |w: f32| mean([(1.0, &calm), (w, &angry)].into_iter()).unwrap();
        assert!((p(&mean_of(3.0), "anger") - 0.75).abs() < 1e-6);
        assert!(mean(std::iter::empty()).is_none());
        assert!(mean([(f32::NAN, &calm)].into_iter()).is_none());
    }
}
