//! Clips of doings: a clip's score is the mean over its windows.

use anyhow::{Context, ensure};

use crate::data::Picture;
use crate::eval::classes::{Decision, Scored, outcome, predict, word};
use crate::eval::media::Clip;
use crate::eval::{Job, Outcome};
use crate::nn::ActionModel;

/// As the daemon keeps its pictures by default.
const LONGEST_PX: u32 = 640;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = ActionModel::load(&job.options.model, job.options.device, 0)?;
    let labels = job.manifest.labels.clone();
    let mut clips = Vec::new();
    for row in job.rows()? {
        let truth = word(&labels, &row.label);
        let clip = Clip::read(&row.path, job.manifest.needs.fps, LONGEST_PX).with_context(|| row.file.clone())?;
        let scores = score(&model, &clip).with_context(|| row.file.clone())?;
        predict(job, &row.file.into(), &scores)?;
        clips.push(Scored { truth, scores });
    }
    Ok(outcome(job, Decision::Likeliest, &clips))
}

/// The mean over windows of the model's span, a quarter of it apart; a shorter clip is one window.
fn score(model: &ActionModel, clip: &Clip) -> anyhow::Result<Vec<f32>> {
    ensure!(!clip.frames.is_empty(), "no picture in it");
    let pictures: Vec<&Picture> = clip.frames.iter().map(|f| &*f.picture).collect();
    let span = model.manifest().input.frames.min(pictures.len());
    let windows: Vec<Vec<&Picture>> = pictures
        .windows(span)
        .step_by((span / 4).max(1))
        .map(<[_]>::to_vec)
        .collect();
    let mut mean = vec![0f32; model.labels().len()];
    for (scores, _) in model.classify(&windows)? {
        mean.iter_mut()
            .zip(scores)
            .for_each(|(m, s)| *m += s / windows.len() as f32);
    }
    Ok(mean)
}
