//! What is done in a clip: the first stages of CSP darknet on each frame, motion as differences of their features over
//! several lags, plain convolutions over mean picture, mean motion and its spread. The recipe is
//! `models/training/action`.

use candle_core::{D, Tensor};
use serde::Deserialize;

use super::yolox::{Chain, Csp, Maker, expect_sizes, focus};
use crate::nn::ModelError;
use crate::nn::kernels::{Activation, ConvShape};
use crate::nn::layers::{Conv, Linear};
use crate::nn::weights::Weights;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nn) struct Config {
    /// Of the frames' network, as in YOLOX.
    pub width: f64,
    pub depth: f64,
    /// Frames between those that are compared.
    pub lags: Vec<usize>,
    /// Channels that the motion maps are reduced to, and of the convolution that follows.
    pub reduce: usize,
    pub channels: usize,
    #[serde(skip)]
    pub labels: usize,
}

/// Both sides of a picture are multiples of this.
pub(in crate::nn) const STRIDE: usize = 16;

pub(in crate::nn) struct MotionCnn {
    stem: Conv,
    stages: Vec<(Chain, Csp)>,
    lags: Vec<usize>,
    reduce: Conv,
    mix: Conv,
    fc: Linear,
}

impl MotionCnn {
    pub fn new(w: &Weights, config: &Config) -> Result<Self, ModelError> {
        expect_sizes(config.width, config.depth)?;
        if config.lags.contains(&0) {
            let why = "lags must be 1 at least: a frame does not differ from itself";
            return Err(ModelError::ArchConfig(why.into()));
        }
        w.expect_labels("head.fc", config.labels)?;
        let m = Maker { w, depthwise: false };
        let c = |channels: f64| (channels * config.width) as usize;
        let n = (3.0 * config.depth).round().max(1.0) as usize;
        let stage = |name: &str, ins, outs, n| {
            Ok::<_, ModelError>((
                m.conv3(&format!("trunk.{name}.0"), ins, outs, 2)?,
                m.csp(&format!("trunk.{name}.1"), outs, outs, n, true)?,
            ))
        };
        let conv = |name: &str, ins, outs, kernel| {
            let shape = ConvShape {
                ins,
                outs,
                kernel,
                stride: 1,
                pad: kernel / 2,
                depthwise: false,
            };
            let (conv, norm) = (format!("head.{name}.conv"), format!("head.{name}.bn"));
            Conv::with_norm(w, &conv, &norm, shape, Activation::Silu)
        };
        let maps = c(512.) * (1 + 2 * config.lags.len());
        Ok(Self {
            stem: m.conv("trunk.stem.conv", 12, c(64.), 3, 1)?,
            stages: vec![
                stage("dark2", c(64.), c(128.), n)?,
                stage("dark3", c(128.), c(256.), 3 * n)?,
                stage("dark4", c(256.), c(512.), 3 * n)?,
            ],
            lags: config.lags.clone(),
            reduce: conv("reduce", maps, config.reduce, 1)?,
            mix: conv("mix", config.reduce, config.channels, 3)?,
            fc: Linear::new(w, "head.fc", 2 * config.channels, config.labels)?,
        })
    }

    /// `[N, T, 3, H, W]`, H and W multiples of 16, T greater than every lag → logits `[N, labels]` and the pooled
    /// vectors `[N, 2 · channels]`.
    pub fn forward(&self, clips: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let (n, t, _, _, _) = clips.dims5()?;
        let mut x = self.stem.forward(&focus(&clips.flatten(0, 1)?)?)?;
        for (down, csp) in &self.stages {
            x = csp.forward(&down.forward(&x)?)?;
        }
        let (_, c, h, w) = x.dims4()?;
        let maps = motion(&x.reshape((n, t, c, h, w))?, &self.lags)?;
        let y = self.mix.forward(&self.reduce.forward(&maps)?)?.flatten_from(2)?;
        let pooled = Tensor::cat(&[y.mean(D::Minus1)?, y.max(D::Minus1)?], 1)?;
        Ok((self.fc.forward(&pooled)?, pooled))
    }
}

/// `[N, T, C, H, W]` → `[N, C · (1 + 2 · lags), H, W]`: the mean over time, then for each lag mean and standard deviation
/// of the absolute differences.
fn motion(x: &Tensor, lags: &[usize]) -> candle_core::Result<Tensor> {
    let t = x.dim(1)?;
    let mut maps = vec![x.mean(1)?];
    for lag in lags {
        let moved = (x.narrow(1, *lag, t - lag)? - x.narrow(1, 0, t - lag)?)?.abs()?;
        let mean = moved.mean_keepdim(1)?;
        maps.push(mean.squeeze(1)?);
        maps.push(moved.broadcast_sub(&mean)?.sqr()?.mean(1)?.sqrt()?);
    }
    Tensor::cat(&maps, 1)?.contiguous()
}
