//! 3×3 convolutions over a grey face in stages, pooled over the whole of it. The recipe is `models/training/face_emotion`.

use candle_core::{D, Tensor};
use serde::Deserialize;

use super::conv3;
use crate::nn::ModelError;
use crate::nn::layers::{Conv, Linear};
use crate::nn::weights::Weights;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nn) struct Config {
    /// Output channels of the stem and of each stage.
    pub channels: Vec<usize>,
    /// As many as the manifest has labels.
    #[serde(skip)]
    pub labels: usize,
}

pub(in crate::nn) struct FaceCnn {
    stem: Conv,
    /// What a stage enters with, and what is then added to it.
    stages: Vec<(Conv, Conv)>,
    head: Linear,
}

impl FaceCnn {
    pub fn new(w: &Weights, config: &Config) -> Result<Self, ModelError> {
        let Some((first, rest)) = config.channels.split_first() else {
            return Err(ModelError::ArchConfig("channels is empty".into()));
        };
        w.expect_labels("head", config.labels)?;
        let stem = conv3(w, "stem", 1, *first, 1)?;
        let mut ins = *first;
        let mut stages = Vec::new();
        for (i, &outs) in rest.iter().enumerate() {
            stages.push((
                conv3(w, &format!("enter.{i}"), ins, outs, 1)?,
                conv3(w, &format!("refine.{i}"), outs, outs, 1)?,
            ));
            ins = outs;
        }
        Ok(Self {
            stem,
            stages,
            head: Linear::new(w, "head", ins, config.labels)?,
        })
    }

    /// `[N, 1, side, side]` → logits `[N, labels]`. A 2×2 max pool stands before each stage.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.stem.forward(x)?;
        for (enter, refine) in &self.stages {
            x = enter.forward(&x.max_pool2d(2)?)?;
            x = (&x + refine.forward(&x)?)?;
        }
        self.head.forward(&x.mean(D::Minus1)?.mean(D::Minus1)?)
    }
}
