//! What every classifier's evaluation shares: items with scores by label, their predictions, and the figures.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde_json::json;

use super::metrics::{accuracy, auc, ece, interval, macro_f1, uar, wilson};
use super::{Job, Outcome};
use crate::nn::Label;

/// One item, scored.
pub(super) struct Scored {
    /// The index of the true label; None where the model has no word for it.
    pub truth: Option<usize>,
    /// By label, in the manifest's order.
    pub scores: Vec<f32>,
}

/// How scores become one decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Decision {
    /// The labels exclude each other: the likeliest.
    Likeliest,
    /// Each label has a probability of its own: of those that are true in the data set, the one furthest over its
    /// threshold, else this one.
    Thresholds { background: usize },
}

/// The label that scores decide for where one excludes the other: the likeliest, the first of equals.
pub(super) fn likeliest(scores: &[f32]) -> usize {
    best(0..scores.len(), |k| scores[k]).unwrap_or(0)
}

/// The first of equals.
fn best(candidates: impl DoubleEndedIterator<Item = usize>, of: impl Fn(usize) -> f32) -> Option<usize> {
    candidates.rev().max_by(|a, b| of(*a).total_cmp(&of(*b)))
}

/// The label that a data set's word means: its name or one of its aliases.
pub(super) fn word(labels: &[Label], word: &str) -> Option<usize> {
    labels
        .iter()
        .position(|l| *l.name == *word || l.aliases.iter().any(|a| a == word))
}

/// Writes an item's line of predictions: `{"file", "scores", "fired"}`.
pub(super) fn predict(job: &mut Job, file: &serde_json::Value, scores: &[f32]) -> anyhow::Result<()> {
    let labels = &job.manifest.labels;
    job.predictions.line(|| {
        let by_label: BTreeMap<&str, f32> = labels.iter().map(|l| &*l.name).zip(scores.iter().copied()).collect();
        let fired: Vec<&str> = labels
            .iter()
            .zip(scores)
            .filter(|(l, s)| **s >= l.threshold)
            .map(|(l, _)| &*l.name)
            .collect();
        json!({"file": file, "scores": by_label, "fired": fired})
    })
}

/// The figures of `items`; those without a truth are counted as `left_out` and count for nothing else.
///
/// # Errors
/// No item has a truth.
pub(super) fn outcome(job: &Job, decision: Decision, items: &[Scored]) -> anyhow::Result<Outcome> {
    let labels = &job.manifest.labels;
    let known: Vec<(usize, &[f32])> = items.iter().filter_map(|i| Some((i.truth?, &i.scores[..]))).collect();
    ensure!(
        !known.is_empty(),
        "no item's label is one of the model's, which are {}; `aliases` in its model.toml gives a label other words",
        job.manifest.label_names().join(", ")
    );
    let pairs: Vec<(usize, usize)> = known
        .iter()
        .map(|(truth, _)| *truth)
        .zip(decisions(labels, decision, &known))
        .collect();
    let mut outcome = Outcome::new(job, known.len());
    let of = |chosen: &[usize]| chosen.iter().map(|i| pairs[*i]).collect::<Vec<_>>();
    for (name, figure) in [
        ("accuracy", accuracy as fn(&[(usize, usize)]) -> f64),
        ("macro_f1", macro_f1),
        ("uar", uar),
    ] {
        outcome.metric(
            name,
            figure(&pairs),
            interval(pairs.len(), |chosen| figure(&of(chosen))),
        );
    }
    let calibration = |chosen: &[usize]| match decision {
        Decision::Likeliest => {
            let sure = |i: &usize| (known[*i].1[pairs[*i].1], pairs[*i].0 == pairs[*i].1);
            ece(&chosen.iter().map(sure).collect::<Vec<_>>())
        }
        Decision::Thresholds { .. } => {
            let each = |i: &usize| {
                let (truth, scores) = known[*i];
                scores.iter().enumerate().map(move |(k, s)| (*s, k == truth))
            };
            ece(&chosen.iter().flat_map(each).collect::<Vec<_>>())
        }
    };
    let all: Vec<usize> = (0..known.len()).collect();
    outcome.metric("ece", calibration(&all), interval(known.len(), calibration));
    let mean_auc = |chosen: &[usize]| {
        let each: Vec<f64> = (0..labels.len()).filter_map(|k| class_auc(&known, chosen, k)).collect();
        each.iter().sum::<f64>() / each.len() as f64
    };
    if mean_auc(&all).is_finite() {
        outcome.metric("auc", mean_auc(&all), interval(known.len(), mean_auc));
    }
    if known.len() < items.len() {
        outcome
            .metrics
            .insert("left_out".into(), (items.len() - known.len()) as f64);
    }
    for (k, label) in labels.iter().enumerate() {
        let figures = class(label, k, &known, &pairs, class_auc(&known, &all, k));
        outcome.per_class.insert(label.name.to_string(), figures);
        let of = known.iter().filter(|i| i.0 == k).count();
        for threshold in &job.options.thresholds {
            let share = |own: bool, n: usize| fired(&known, k, own, *threshold) as f64 / n as f64;
            let found = (of > 0).then(|| ("found", share(true, of)));
            let others = (of < known.len()).then(|| ("others", share(false, known.len() - of)));
            outcome.at(&label.name, *threshold, found.into_iter().chain(others));
        }
    }
    Ok(outcome)
}

/// Items that score from a threshold on: those of class `k`, or the others.
fn fired(known: &[(usize, &[f32])], k: usize, own: bool, threshold: f32) -> usize {
    let over = |i: &&(usize, &[f32])| (i.0 == k) == own && i.1[k] >= threshold;
    known.iter().filter(over).count()
}

fn class_auc(known: &[(usize, &[f32])], chosen: &[usize], k: usize) -> Option<f64> {
    let items: Vec<(f32, bool)> = chosen.iter().map(|i| (known[*i].1[k], known[*i].0 == k)).collect();
    auc(&items)
}

fn decisions(labels: &[Label], decision: Decision, known: &[(usize, &[f32])]) -> Vec<usize> {
    match decision {
        Decision::Likeliest => known.iter().map(|(_, scores)| likeliest(scores)).collect(),
        Decision::Thresholds { background } => {
            let mut there: Vec<usize> = known.iter().map(|i| i.0).filter(|t| *t != background).collect();
            there.sort_unstable();
            there.dedup();
            let one = |(_, scores): &(usize, &[f32])| {
                let over = |k: usize| scores[k] / labels[k].threshold.max(1e-6);
                let furthest = best(there.iter().copied(), over);
                furthest.filter(|k| over(*k) >= 1.0).unwrap_or(background)
            };
            known.iter().map(one).collect()
        }
    }
}

/// One row of the table by class. `recall` and `precision` are of the decisions, `found` and `others_fired` of the
/// scores over the shipped threshold.
fn class(
    label: &Label,
    k: usize,
    known: &[(usize, &[f32])],
    pairs: &[(usize, usize)],
    auc: Option<f64>,
) -> BTreeMap<String, f64> {
    let mine = pairs.iter().filter(|p| p.0 == k).count();
    let decided = pairs.iter().filter(|p| p.1 == k).count();
    let hits = pairs.iter().filter(|p| **p == (k, k)).count();
    let fired = |own| fired(known, k, own, label.threshold);
    let mut figures = BTreeMap::from([
        ("items".to_owned(), mine as f64),
        ("threshold".to_owned(), f64::from(label.threshold)),
        ("others_fired".to_owned(), fired(false) as f64),
    ]);
    figures.extend(auc.map(|auc| ("auc".to_owned(), auc)));
    if decided > 0 {
        figures.insert("precision".into(), hits as f64 / decided as f64);
    }
    if mine > 0 {
        for (name, n) in [("recall", hits), ("found", fired(true))] {
            let [low, high] = wilson(n, mine);
            figures.extend([
                (name.to_owned(), n as f64 / mine as f64),
                (format!("{name}_low"), low),
                (format!("{name}_high"), high),
            ]);
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<Label> {
        let label = |name: &str, threshold| Label {
            name: name.into(),
            coco: None,
            threshold,
            aliases: vec![format!("{name}s")],
        };
        vec![label("dog", 0.8), label("baby", 0.4), label("background", 0.5)]
    }

    #[test]
    fn the_one_furthest_over_its_threshold_is_decided_for_or_the_background() {
        let scores: [&[f32]; 4] = [&[0.81, 0.7, 0.0], &[0.7, 0.1, 0.0], &[0.9, 0.0, 0.9], &[0.0, 0.9, 0.0]];
        let known: Vec<(usize, &[f32])> = [0, 1, 2, 0].into_iter().zip(scores).collect();
        let decision = Decision::Thresholds { background: 2 };
        assert_eq!(decisions(&labels(), decision, &known), [1, 2, 0, 1]);
        // A label that the data set has not is no answer.
        assert_eq!(decisions(&labels(), decision, &known[3..]), [2]);
        assert_eq!(decisions(&labels(), Decision::Likeliest, &known), [0, 0, 0, 1]);
    }

    #[test]
    fn of_equals_the_first_is_decided_for() {
        assert_eq!([likeliest(&[0.5, 0.5]), likeliest(&[0.2, 0.4, 0.4])], [0, 1]);
        let known: [(usize, &[f32]); 2] = [(0, &[0.4, 0.4, 0.2]), (1, &[0.8, 0.4, 0.0])];
        assert_eq!(decisions(&labels(), Decision::Likeliest, &known), [0, 0]);
        // Both exactly at their thresholds, and so equally far over them.
        assert_eq!(
            decisions(&labels(), Decision::Thresholds { background: 2 }, &known[1..]),
            [1],
            "a label that the data set has not is no answer"
        );
        let both: [(usize, &[f32]); 2] = [(1, &[0.8, 0.4, 0.0]), (0, &[0.0, 0.0, 0.0])];
        assert_eq!(
            decisions(&labels(), Decision::Thresholds { background: 2 }, &both),
            [0, 2]
        );
    }

    #[test]
    fn a_data_sets_word_is_a_name_or_an_alias() {
        let labels = labels();
        assert_eq!(
            ["dog", "babys", "cat"].map(|w| word(&labels, w)),
            [Some(0), Some(1), None]
        );
    }
}
