//! Fights by picture and sound together: the mean embeddings of a clip's windows and patches, joined.

use std::path::Path;

use anyhow::Context;

use super::action::{LONGEST_PX, f1_of_the_first, look, mean};
use crate::data::Modality;
use crate::eval::classes::{Decision, Scored, outcome, predict, word};
use crate::eval::media::Clip;
use crate::eval::{Job, Outcome};
use crate::fusion::{LogOdds, SILENT_DBFS, sigmoid};
use crate::loudness::level_dbfs;
use crate::nn::{ActionModel, AvModel, ModelError, SoundModel};
use crate::patches::Patches;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let beside = job.options.model.parent().unwrap_or(Path::new("."));
    let head = AvModel::load(&job.options.model, None)?;
    let device = job.options.device;
    let action = ActionModel::load(&beside.join("action"), device, 0).context("it is asked for embeddings of clips")?;
    let sound = SoundModel::load(&beside.join("sound"), device, 0).context("it is asked for embeddings of sounds")?;
    head.manifest().expect_beside([action.manifest(), sound.manifest()])?;
    let labels = job.manifest.labels.clone();
    let mut clips = Vec::new();
    for row in job.rows()? {
        let clip = Clip::read(&row.path, action.manifest().needs.fps, LONGEST_PX).with_context(|| row.file.clone())?;
        let video = if job.options.drop == Some(Modality::Video) {
            None
        } else {
            let seen = look(&action, &clip.frames).with_context(|| row.file.clone())?;
            Some(mean(seen.iter().map(|(_, e)| e.to_vec()).collect::<Vec<_>>().iter()))
        };
        let audio = match clip.sound {
            Some(samples) if job.options.drop != Some(Modality::Audio) => hear(&sound, samples)?,
            _ => None,
        };
        let fight = sigmoid(weigh(&head, video.as_deref(), audio.as_deref())?);
        let scores = vec![fight, 1.0 - fight];
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

/// The log-odds that the daemon would come to.
fn weigh(head: &AvModel, video: Option<&[f32]>, audio: Option<&[f32]>) -> Result<f32, ModelError> {
    let both = head.log_odds(video, audio)?;
    let (Some(_), Some(_)) = (video, audio) else {
        return Ok(both);
    };
    let odds = LogOdds {
        both,
        video: head.log_odds(video, None)?,
        audio: Some(head.log_odds(None, audio)?),
        none: head.log_odds(None, None)?,
    };
    Ok(odds.consistent().both)
}

/// The mean over the whole patches, as the head was trained; a clip shorter than one is followed by silence. None for
/// silence.
fn hear(model: &SoundModel, mut samples: Vec<f32>) -> anyhow::Result<Option<Vec<f32>>> {
    if level_dbfs(samples.iter()) < SILENT_DBFS {
        return Ok(None);
    }
    let input = &model.manifest().input;
    samples.resize(samples.len().max(input.patch_samples), 0.0);
    let patches = Patches::new(input.patch_samples, input.hop_samples).push(0, &samples);
    let heard = model.classify(&patches.iter().map(|p| &p.samples[..]).collect::<Vec<_>>())?;
    Ok(Some(mean(
        heard.iter().map(|(_, e)| e.to_vec()).collect::<Vec<_>>().iter(),
    )))
}
