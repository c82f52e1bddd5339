//! Strided 3×3 convolutions over log-mel features of any length, then a GRU or attention over time. The recipe is
//! `models/training/speech_emotion`.

use candle_core::{D, Tensor};
use serde::Deserialize;

use crate::mel::BANDS;
use crate::nn::ModelError;
use crate::nn::gru::Gru;
use crate::nn::kernels::{Activation, ConvShape};
use crate::nn::layers::{Conv, Linear};
use crate::nn::weights::Weights;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nn) struct Config {
    /// Output channels and stride (in time and bands alike) of each convolution.
    pub channels: Vec<usize>,
    pub strides: Vec<usize>,
    pub time: Time,
    pub hidden: usize,
    /// As many as the manifest has labels.
    #[serde(skip)]
    pub labels: usize,
}

/// How moments become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::nn) enum Time {
    /// The mean of a GRU's states.
    Gru,
    /// A weighted mean; the weights are a softmax over time of a linear layer's answer.
    Attention,
}

pub(in crate::nn) struct MelRnn {
    convolutions: Vec<Conv>,
    over_time: OverTime,
    head: Linear,
}

enum OverTime {
    Gru(Gru),
    Attention { project: Linear, attend: Linear },
}

impl MelRnn {
    pub fn new(w: &Weights, config: &Config) -> Result<Self, ModelError> {
        let (mut ins, mut bands) = (1, BANDS);
        let mut convolutions = Vec::new();
        if config.channels.len() != config.strides.len() || config.strides.contains(&0) {
            let why = "needs one stride from 1 on for each of the channels";
            return Err(ModelError::ArchConfig(why.into()));
        }
        w.expect_labels("head", config.labels)?;
        for (i, (&outs, &stride)) in config.channels.iter().zip(&config.strides).enumerate() {
            let shape = ConvShape {
                ins,
                outs,
                kernel: 3,
                stride,
                pad: 1,
                depthwise: false,
            };
            let (conv, norm) = (format!("blocks.{i}.conv"), format!("blocks.{i}.bn"));
            convolutions.push(Conv::with_norm(w, &conv, &norm, shape, Activation::Relu)?);
            ins = outs;
            bands = (bands - 1) / stride + 1;
        }
        let over_time = match config.time {
            Time::Gru => OverTime::Gru(Gru::new(w, "gru", ins * bands, config.hidden)?),
            Time::Attention => OverTime::Attention {
                project: Linear::new(w, "project", ins * bands, config.hidden)?,
                attend: Linear::new(w, "attend", config.hidden, 1)?,
            },
        };
        Ok(Self {
            convolutions,
            over_time,
            head: Linear::new(w, "head", config.hidden, config.labels)?,
        })
    }

    /// `[N, 1, frames, bands]` → logits `[N, labels]` and the vectors before the head `[N, hidden]`.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let mut x = x.clone();
        for conv in &self.convolutions {
            x = conv.forward(&x)?;
        }
        let (n, channels, moments, bands) = x.dims4()?;
        let x = x.transpose(1, 2)?.reshape((n * moments, channels * bands))?;
        let pooled = match &self.over_time {
            OverTime::Gru(gru) => gru.forward(&x.reshape((n, moments, channels * bands))?)?.mean(1)?,
            OverTime::Attention { project, attend } => {
                let x = project.forward(&x)?.relu()?;
                let weights = candle_nn::ops::softmax(&attend.forward(&x)?.reshape((n, moments, 1))?, 1)?;
                let width = x.dim(D::Minus1)?;
                x.reshape((n, moments, width))?.broadcast_mul(&weights)?.sum(1)?
            }
        };
        Ok((self.head.forward(&pooled)?, pooled))
    }
}
