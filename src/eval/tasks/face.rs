//! Faces: average precision; the class number in the data set's labels is the manifest's `coco`, 0.

use crate::data::{Detection, Face};
use crate::eval::{Job, Outcome, boxes};
use crate::nn::FaceDetector;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = FaceDetector::load(&job.options.model, job.options.device, 0)?;
    boxes::evaluate(job, |picture, floor| {
        let as_box = |face: Face| Detection {
            bbox: face.bbox,
            class: 0,
            score: face.score,
        };
        Ok(model.find(picture, floor)?.into_iter().map(as_box).collect())
    })
}
