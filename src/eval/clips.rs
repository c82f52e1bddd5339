//! Sound models: a clip's score is the highest over its patches.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::json;

use super::dataset::Table;
use super::metrics::{interval, macro_f1, wilson};
use super::{EvalOptions, Outcome, Predictions};
use crate::ingest::gst::read_sound;
use crate::nn::{Manifest, SoundModel};

/// Patches that are scored at once.
const BATCH: usize = 16;
/// What nothing fired for.
const BACKGROUND: &str = "background";

struct Clip {
    /// The index of the true label; sounds that the model has no word for are background.
    truth: usize,
    scores: Vec<f32>,
}

pub(super) fn evaluate(options: &EvalOptions, manifest: &Manifest, table: Table) -> anyhow::Result<Outcome> {
    let model = SoundModel::load(&options.model, options.device, 0)?;
    let labels = &manifest.labels;
    let word = |label: &str| {
        labels
            .iter()
            .position(|l| *l.name == *label || l.aliases.iter().any(|a| a == label))
    };
    let background = word(BACKGROUND).context("the model has no label `background`")?;
    let mut predictions = Predictions::create(options.predictions.as_deref())?;
    let mut clips = Vec::new();
    for row in &table.rows {
        let get = |column: &str| {
            row.get(column)
                .with_context(|| format!("labels.csv has no column {column:?}"))
        };
        let mut wanted = true;
        for (column, value) in &options.filters {
            wanted &= get(column)? == value;
        }
        if !wanted {
            continue;
        }
        let file = get("file")?;
        let samples = read_sound(&table.folder.join(file)).with_context(|| file.clone())?;
        let scores = score(&model, samples)?;
        let fired: Vec<&str> = labels
            .iter()
            .zip(&scores)
            .filter(|(l, s)| **s >= l.threshold)
            .map(|(l, _)| &*l.name)
            .collect();
        predictions.line(|| {
            let by_label: BTreeMap<&str, f32> = labels.iter().map(|l| &*l.name).zip(scores.iter().copied()).collect();
            json!({"file": file, "scores": by_label, "fired": fired})
        })?;
        let truth = word(get("label")?).unwrap_or(background);
        clips.push(Clip { truth, scores });
    }
    predictions.finish()?;
    ensure!(!clips.is_empty(), "no row of labels.csv is left");
    Ok(outcome(options, manifest, background, &clips))
}

/// The highest of each label over the clip's patches; a clip shorter than a patch is padded with silence.
fn score(model: &SoundModel, mut samples: Vec<f32>) -> anyhow::Result<Vec<f32>> {
    let input = &model.manifest().input;
    samples.resize(samples.len().max(input.patch_samples), 0.0);
    let patches: Vec<&[f32]> = samples
        .windows(input.patch_samples)
        .step_by(input.hop_samples)
        .collect();
    let mut best = vec![0f32; model.labels().len()];
    for batch in patches.chunks(BATCH) {
        for (scores, _) in model.classify(batch)? {
            best.iter_mut().zip(scores).for_each(|(b, s)| *b = b.max(s));
        }
    }
    Ok(best)
}

fn outcome(options: &EvalOptions, manifest: &Manifest, background: usize, clips: &[Clip]) -> Outcome {
    let labels = &manifest.labels;
    // One label a clip: of those that the data set has, the one furthest over its threshold, or background.
    let mut there: Vec<usize> = clips.iter().map(|c| c.truth).filter(|t| *t != background).collect();
    there.sort_unstable();
    there.dedup();
    let decide = |clip: &Clip| {
        let over = |k: usize| clip.scores[k] / labels[k].threshold.max(1e-6);
        let best = there.iter().copied().max_by(|a, b| over(*a).total_cmp(&over(*b)));
        best.filter(|k| over(*k) >= 1.0).unwrap_or(background)
    };
    let pairs: Vec<(usize, usize)> = clips.iter().map(|c| (c.truth, decide(c))).collect();
    let of = |chosen: &[usize]| chosen.iter().map(|i| pairs[*i]).collect::<Vec<_>>();
    let accuracy = |pairs: &[(usize, usize)]| pairs.iter().filter(|p| p.0 == p.1).count() as f64 / pairs.len() as f64;
    let mut per_class = BTreeMap::new();
    for (k, label) in labels.iter().enumerate().filter(|(k, _)| *k != background) {
        let mine = clips.iter().filter(|c| c.truth == k).count();
        let fired = |own: bool| {
            let over = |c: &&Clip| (c.truth == k) == own && c.scores[k] >= label.threshold;
            clips.iter().filter(over).count()
        };
        let mut figures = BTreeMap::from([
            ("clips".to_owned(), mine as f64),
            ("threshold".to_owned(), f64::from(label.threshold)),
            ("others_fired".to_owned(), fired(false) as f64),
        ]);
        if mine > 0 {
            let [low, high] = wilson(fired(true), mine);
            figures.extend([
                ("recall".to_owned(), fired(true) as f64 / mine as f64),
                ("recall_low".to_owned(), low),
                ("recall_high".to_owned(), high),
            ]);
        }
        per_class.insert(label.name.to_string(), figures);
    }
    Outcome {
        model: manifest.id().to_string(),
        dataset: options.dataset.display().to_string(),
        n: clips.len(),
        metrics: BTreeMap::from([
            ("macro_f1".to_owned(), macro_f1(&pairs)),
            ("accuracy".to_owned(), accuracy(&pairs)),
        ]),
        interval95: BTreeMap::from([
            (
                "macro_f1".to_owned(),
                interval(clips.len(), |chosen| macro_f1(&of(chosen))),
            ),
            (
                "accuracy".to_owned(),
                interval(clips.len(), |chosen| accuracy(&of(chosen))),
            ),
        ]),
        per_class,
    }
}
