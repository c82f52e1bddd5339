//! Sound events: a clip's score is the highest over its patches; a false alarm is a run of patches over the threshold in a
//! clip that is something else.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::eval::classes::{Decision, Scored, outcome, predict, word};
use crate::eval::{Job, Outcome};
use crate::ingest::gst::read_sound;
use crate::nn::{BACKGROUND, SoundModel};
use crate::patches::Patches;

/// Patches that are scored at once.
const BATCH: usize = 16;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = SoundModel::load(&job.options.model, job.options.device, 0)?;
    let labels = job.manifest.labels.clone();
    // What nothing fired for, and what every word means that the model does not have.
    let background = word(&labels, BACKGROUND).context("the model has no label `background`")?;
    let mut clips = Vec::new();
    let thresholds = &job.options.thresholds;
    // By label, at its own threshold and then at those asked for.
    let mut alarms = vec![vec![Alarms::default(); 1 + thresholds.len()]; labels.len()];
    let mut foreign = BTreeMap::new();
    for row in job.rows()? {
        let samples = read_sound(&row.path).with_context(|| row.file.clone())?;
        let patches = score(&model, &samples)?;
        let scores = highest(&patches, labels.len());
        predict(job, &row.file.into(), &scores)?;
        let known = word(&labels, &row.label);
        if known.is_none() {
            *foreign.entry(row.label).or_insert(0) += 1;
        }
        let truth = known.unwrap_or(background);
        for (k, label) in labels
            .iter()
            .enumerate()
            .filter(|(k, _)| ![truth, background].contains(k))
        {
            for (alarms, threshold) in alarms[k]
                .iter_mut()
                .zip([&label.threshold].into_iter().chain(thresholds))
            {
                alarms.runs += runs(patches.iter().map(|scores| scores[k] >= *threshold));
                alarms.samples += samples.len();
            }
        }
        clips.push(Scored {
            truth: Some(truth),
            scores,
        });
    }
    let mut outcome = outcome(job, Decision::Thresholds { background }, &clips)?;
    let input = &model.manifest().input;
    let hours = |samples: usize| samples as f64 / f64::from(input.rate_hz) / 3600.0;
    for (label, alarms) in labels.iter().zip(&alarms).filter(|(_, a)| a[0].samples > 0) {
        let per_hour = |a: &Alarms| a.runs as f64 / hours(a.samples);
        let figures = outcome.per_class.entry(label.name.to_string()).or_default();
        figures.insert("false_alarms".into(), alarms[0].runs as f64);
        figures.insert("false_alarms_per_hour".into(), per_hour(&alarms[0]));
        for (threshold, alarms) in thresholds.iter().zip(&alarms[1..]) {
            outcome.at(&label.name, *threshold, [("false_alarms_per_hour", per_hour(alarms))]);
        }
    }
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

/// What fired in the clips that are something else.
#[derive(Clone, Default)]
struct Alarms {
    runs: usize,
    samples: usize,
}

/// How often it becomes true.
fn runs(over: impl Iterator<Item = bool>) -> usize {
    let (mut runs, mut before) = (0, false);
    for now in over {
        runs += usize::from(now && !before);
        before = now;
    }
    runs
}

/// By patch of the clip, in the order of time, and by label.
fn score(model: &SoundModel, samples: &[f32]) -> anyhow::Result<Vec<Vec<f32>>> {
    let input = &model.manifest().input;
    let mut cutter = Patches::new(input.patch_samples, input.hop_samples);
    let mut patches = cutter.push(0, samples);
    patches.extend(cutter.break_off());
    let patches: Vec<&[f32]> = patches.iter().map(|p| &p.samples[..]).collect();
    let mut out = Vec::with_capacity(patches.len());
    for batch in patches.chunks(BATCH) {
        out.extend(model.classify(batch)?.into_iter().map(|(scores, _)| scores));
    }
    Ok(out)
}

/// The highest of each label over the clip's patches.
fn highest(patches: &[Vec<f32>], labels: usize) -> Vec<f32> {
    let mut best = vec![0f32; labels];
    for scores in patches {
        best.iter_mut().zip(scores).for_each(|(b, s)| *b = b.max(*s));
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_a_run_and_a_clips_score_its_highest() {
        let over = |text: &str| runs(text.chars().map(|c| c == 'x'));
        assert_eq!([over(""), over("xx"), over("x.xx."), over("..x")], [0, 1, 2, 1]);
        assert_eq!(highest(&[vec![0.1, 0.9], vec![0.4, 0.2]], 2), [0.4, 0.9]);
    }
}
