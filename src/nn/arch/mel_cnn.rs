//! Plain 3×3 convolutions over a log-mel patch, pooled over bands and then over time. The recipe is `models/training/sound`.

use candle_core::{D, Tensor};
use serde::Deserialize;

use crate::mel::{BANDS, FRAMES};
use crate::nn::ModelError;
use crate::nn::kernels::{Activation, ConvShape};
use crate::nn::layers::{Conv, Linear, max_pool_half};
use crate::nn::weights::Weights;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nn) struct Config {
    /// Output channels of each block.
    pub channels: Vec<usize>,
    /// Blocks that a 2×2 max pool follows.
    pub pool_after: Vec<usize>,
    #[serde(default)]
    pub time: Time,
    /// As many as the manifest has labels.
    #[serde(skip)]
    pub labels: usize,
}

/// How moments become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::nn) enum Time {
    #[default]
    Mean,
    /// The mean and the maximum, added up, so that a short sound isn't drowned in its patch (Kong et al., PANNs, 2020).
    MeanMax,
}

impl Config {
    fn check(&self) -> Result<(), String> {
        let (blocks, pools) = (self.channels.len(), &self.pool_after);
        if blocks == 0 {
            return Err("channels is empty".into());
        }
        if let Some(beyond) = pools.iter().find(|i| **i >= blocks) {
            return Err(format!(
                "pool_after: there is no block {beyond}, the last is {}",
                blocks - 1
            ));
        }
        let halvings = (0..blocks).filter(|i| pools.contains(i)).count() as u32;
        if BANDS.min(FRAMES).checked_shr(halvings).unwrap_or(0) == 0 {
            return Err(format!("pool_after: {halvings} pools halve {BANDS} bands to nothing"));
        }
        Ok(())
    }
}

pub(in crate::nn) struct MelCnn {
    blocks: Vec<(Conv, bool)>,
    time: Time,
    head: Linear,
}

impl MelCnn {
    pub fn new(w: &Weights, config: &Config) -> Result<Self, ModelError> {
        config.check().map_err(ModelError::ArchConfig)?;
        w.expect_labels("head", config.labels)?;
        let mut ins = 1;
        let mut blocks = Vec::new();
        for (i, &outs) in config.channels.iter().enumerate() {
            let shape = ConvShape {
                ins,
                outs,
                kernel: 3,
                stride: 1,
                pad: 1,
                depthwise: false,
            };
            let (conv, norm) = (format!("blocks.{i}.conv"), format!("blocks.{i}.bn"));
            blocks.push((
                Conv::with_norm(w, &conv, &norm, shape, Activation::Relu)?,
                config.pool_after.contains(&i),
            ));
            ins = outs;
        }
        Ok(Self {
            blocks,
            time: config.time,
            head: Linear::new(w, "head", ins, config.labels)?,
        })
    }

    /// `[N, 1, frames, bands]` → logits `[N, labels]` and the pooled vectors `[N, channels]`.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let mut x = x.clone();
        for (conv, pool) in &self.blocks {
            x = conv.forward(&x)?;
            if *pool {
                x = max_pool_half(&x)?;
            }
        }
        let moments = x.mean(D::Minus1)?;
        let mean = moments.mean(D::Minus1)?;
        let pooled = match self.time {
            Time::Mean => mean,
            Time::MeanMax => (mean + moments.max(D::Minus1)?)?,
        };
        Ok((self.head.forward(&pooled)?, pooled))
    }
}
