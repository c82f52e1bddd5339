//! Face emotion: upright, square faces, one decision each.

use anyhow::ensure;

use crate::data::{BBox, Face, Picture, Point};
use crate::eval::classes::{Decision, Scored, likeliest, outcome, predict, word};
use crate::eval::metrics::interval;
use crate::eval::{Job, Outcome};
use crate::faces::aligned;
use crate::nn::FaceEmotion;

/// Faces that are read at once.
const BATCH: usize = 64;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = FaceEmotion::load(&job.options.model, job.options.device, 0)?;
    let labels = job.manifest.labels.clone();
    let mut items = Vec::new();
    let mut agreed = Vec::new();
    let faces = job.faces()?;
    let voteless = faces.iter().filter(|face| face.label.is_none()).count();
    if voteless > 0 {
        tracing::warn!(
            "nobody voted on {voteless} of {} faces, which are left out of the figures",
            faces.len()
        );
    }
    for batch in faces.chunks(BATCH) {
        let crops = batch
            .iter()
            .map(|face| whole(&model, &face.picture))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let crops: Vec<&[u8]> = crops.iter().map(Vec::as_slice).collect();
        for (face, scores) in batch.iter().zip(model.classify(&crops)?) {
            predict(job, &items.len().into(), &scores)?;
            let truth = face.label.as_deref().and_then(|label| word(&labels, label));
            if let Some(truth) = truth.filter(|_| face.agreed) {
                agreed.push(f64::from(u8::from(likeliest(&scores) == truth)));
            }
            items.push(Scored { truth, scores });
        }
    }
    let mut outcome = outcome(job, Decision::Likeliest, &items)?;
    if !agreed.is_empty() {
        // The figure of the FER+ paper.
        let mean = |chosen: &[usize]| chosen.iter().map(|i| agreed[*i]).sum::<f64>() / chosen.len() as f64;
        let all: Vec<usize> = (0..agreed.len()).collect();
        outcome.metric("majority_accuracy", mean(&all), interval(agreed.len(), mean));
        outcome.metrics.insert("majority_items".into(), agreed.len() as f64);
    }
    Ok(outcome)
}

/// The whole picture as a crop: its face is upright and fills it, as in the training data.
fn whole(model: &FaceEmotion, picture: &Picture) -> anyhow::Result<Vec<u8>> {
    ensure!(
        picture.width == picture.height,
        "faces of {} × {} pixels; square ones are read",
        picture.width,
        picture.height
    );
    let face = Face {
        bbox: BBox {
            x1: 0.0,
            y1: 0.0,
            x2: 1.0,
            y2: 1.0,
        },
        points: model.template().map(|[x, y]| Point { x, y }),
        score: 1.0,
    };
    Ok(aligned(picture, &face, model.template(), model.side()).unwrap_or_default())
}
