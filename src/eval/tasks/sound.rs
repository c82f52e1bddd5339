//! Sound events: a clip's score is the highest over its patches.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::eval::classes::{Decision, Scored, outcome, predict, word};
use crate::eval::{Job, Outcome};
use crate::ingest::gst::read_sound;
use crate::nn::SoundModel;

/// Patches that are scored at once.
const BATCH: usize = 16;
/// What nothing fired for, and what every word means that the model does not have.
const BACKGROUND: &str = "background";

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = SoundModel::load(&job.options.model, job.options.device, 0)?;
    let labels = job.manifest.labels.clone();
    let background = word(&labels, BACKGROUND).context("the model has no label `background`")?;
    let mut clips = Vec::new();
    let mut foreign = BTreeMap::new();
    for row in job.rows()? {
        let samples = read_sound(&row.path).with_context(|| row.file.clone())?;
        let scores = score(&model, samples)?;
        predict(job, &row.file.into(), &scores)?;
        let known = word(&labels, &row.label);
        if known.is_none() {
            *foreign.entry(row.label).or_insert(0) += 1;
        }
        clips.push(Scored {
            truth: Some(known.unwrap_or(background)),
            scores,
        });
    }
    let mut outcome = outcome(job, Decision::Thresholds { background }, &clips)?;
    if !foreign.is_empty() {
        let words: Vec<String> = foreign.iter().map(|(word, n)| format!("{word} ({n})")).collect();
        tracing::warn!(
            "these words are no label of the model and count as {BACKGROUND}: {}",
            words.join(", ")
        );
        outcome
            .metrics
            .insert("as_background".into(), f64::from(foreign.values().sum::<u32>()));
    }
    Ok(outcome)
}

/// A clip's patches; one shorter than a patch is padded with silence.
pub(super) fn patches<'a>(model: &SoundModel, samples: &'a mut Vec<f32>) -> Vec<&'a [f32]> {
    let input = &model.manifest().input;
    samples.resize(samples.len().max(input.patch_samples), 0.0);
    samples
        .windows(input.patch_samples)
        .step_by(input.hop_samples)
        .collect()
}

/// The highest of each label over the clip's patches.
fn score(model: &SoundModel, mut samples: Vec<f32>) -> anyhow::Result<Vec<f32>> {
    let patches = patches(model, &mut samples);
    let mut best = vec![0f32; model.labels().len()];
    for batch in patches.chunks(BATCH) {
        for (scores, _) in model.classify(batch)? {
            best.iter_mut().zip(scores).for_each(|(b, s)| *b = b.max(s));
        }
    }
    Ok(best)
}
