//! Detectors: average precision by class.

use crate::eval::{Job, Outcome, boxes};
use crate::nn::Detector;

pub(in crate::eval) fn evaluate(job: &mut Job) -> anyhow::Result<Outcome> {
    let model = Detector::load(&job.options.model, job.options.device, 0)?;
    boxes::evaluate(job, |picture, floor| {
        Ok(model.detect(&[picture], floor)?.pop().unwrap_or_default())
    })
}
