//! Acts: a clip's score is the mean over its windows.

use anyhow::{Context, ensure};

use crate::data::{Frame, Picture};
use crate::eval::classes::{Decision, Scored, likeliest, outcome, predict, word};
use crate::eval::media::Clip;
use crate::eval::metrics::interval;
use crate::eval::{Job, Outcome};
use crate::nn::{Acted, ActionModel};

/// The longest side of the pictures, as a camera is analysed unless it says otherwise.
pub(super) const LONGEST_PX: u32 = 640;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = ActionModel::load(&job.options.model, job.options.device, 0)?;
    let labels = job.manifest.labels.clone();
    let mut clips = Vec::new();
    for row in job.rows()? {
        let clip = Clip::read(&row.path, job.manifest.needs.fps, LONGEST_PX).with_context(|| row.file.clone())?;
        let seen = look(&model, &clip.frames).with_context(|| row.file.clone())?;
        let scores = mean(seen.iter().map(|(scores, _)| scores));
        predict(job, &row.file.into(), &scores)?;
        clips.push(Scored {
            truth: word(&labels, &row.label),
            scores,
        });
    }
    let mut outcome = outcome(job, Decision::Likeliest, &clips)?;
    f1_of_the_first(&mut outcome, &clips);
    Ok(outcome)
}

/// Every window of a clip: as many frames as the model takes, beginning a quarter of that after the one before.
pub(super) fn look(model: &ActionModel, frames: &[Frame]) -> anyhow::Result<Vec<Acted>> {
    ensure!(!frames.is_empty(), "there is no picture in it");
    let pictures: Vec<&Picture> = frames.iter().map(|f| &*f.picture).collect();
    let length = model.manifest().input.frames.min(pictures.len());
    let windows: Vec<Vec<&Picture>> = pictures
        .windows(length)
        .step_by((model.manifest().input.frames / 4).max(1))
        .map(<[&Picture]>::to_vec)
        .collect();
    Ok(model.classify(&windows)?)
}

pub(super) fn mean<'a>(rows: impl Iterator<Item = &'a Vec<f32>>) -> Vec<f32> {
    let (mut sum, mut n) = (Vec::new(), 0f32);
    for row in rows {
        sum.resize(row.len(), 0.0);
        sum.iter_mut().zip(row).for_each(|(s, v): (&mut f32, &f32)| *s += v);
        n += 1.0;
    }
    sum.iter().map(|s| s / n.max(1.0)).collect()
}

/// F1 of the first label, the one that the model is for, by the decisions that `outcome` counts.
pub(super) fn f1_of_the_first(outcome: &mut Outcome, clips: &[Scored]) {
    // What is no word of the model counts for nothing.
    let known: Vec<&Scored> = clips.iter().filter(|c| c.truth.is_some()).collect();
    let drawn = |chosen: &[usize]| f1(chosen.iter().map(|i| known[*i]));
    outcome.metric("f1", f1(known.iter().copied()), interval(known.len(), drawn));
}

fn f1<'a>(clips: impl Iterator<Item = &'a Scored>) -> f64 {
    let (mut hits, mut both) = (0.0, 0.0);
    for clip in clips {
        let (is, said) = (clip.truth == Some(0), likeliest(&clip.scores) == 0);
        hits += f64::from(u8::from(is && said));
        both += f64::from(u8::from(is)) + f64::from(u8::from(said));
    }
    2.0 * hits / f64::max(both, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_is_decided_for_the_first_as_in_the_accuracy() {
        let clip = |truth, scores: [f32; 2]| Scored {
            truth: Some(truth),
            scores: scores.to_vec(),
        };
        let clips = [clip(0, [0.5, 0.5]), clip(1, [0.4, 0.6])];
        assert_eq!(f1(clips.iter()), 1.0);
        // One that is found, one that is missed, and a tie where there is none.
        let clips = [clip(0, [0.9, 0.1]), clip(0, [0.2, 0.8]), clip(1, [0.5, 0.5])];
        assert_eq!(f1(clips.iter()), 0.5);
    }
}
