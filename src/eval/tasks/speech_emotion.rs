//! Speech emotion: a clip's score is the mean over its pieces.

use anyhow::Context;

use crate::eval::classes::{Decision, Scored, outcome, predict, word};
use crate::eval::{Job, Outcome};
use crate::ingest::gst::read_sound;
use crate::nn::SpeechEmotion;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = SpeechEmotion::load(&job.options.model, job.options.device, 0)?;
    let labels = job.manifest.labels.clone();
    let mut clips = Vec::new();
    for row in job.rows()? {
        let samples = read_sound(&row.path).with_context(|| row.file.clone())?;
        let scores = model.read(&samples)?.probabilities;
        predict(job, &row.file.into(), &scores)?;
        clips.push(Scored {
            truth: word(&labels, &row.label),
            scores,
        });
    }
    outcome(job, Decision::Likeliest, &clips)
}
