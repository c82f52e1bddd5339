//! A small one-stage face detector of plain 3×3 convolutions: strides 8, 16 and 32 with a top-down path, after FPN
//! (Lin et al., 2017). The recipe is `models/training/face`.

use candle_core::{D, Tensor};
use serde::Deserialize;

use super::conv3;
use crate::nn::ModelError;
use crate::nn::kernels::{Activation, ConvShape};
use crate::nn::layers::Conv;
use crate::nn::weights::Weights;

/// The levels of cells, in the order in which they are answered.
pub(in crate::nn) const STRIDES: [usize; 3] = [8, 16, 32];
/// Score, centre x and y, ln of width and height, five points as x, y. All but the score in strides, from the cell's
/// middle.
pub(in crate::nn) const OUTS: usize = 15;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nn) struct Config {
    /// Output channels of the stem's two convolutions and of everything behind them.
    pub channels: [usize; 3],
}

pub(in crate::nn) struct FaceFpn {
    stem: [Conv; 2],
    levels: Vec<Level>,
}

struct Level {
    down: Conv,
    refine: Conv,
    head: Conv,
    pred: Conv,
}

impl FaceFpn {
    pub fn new(w: &Weights, config: &Config) -> Result<Self, ModelError> {
        let [a, b, c] = config.channels;
        let pred = ConvShape {
            ins: c,
            outs: OUTS,
            kernel: 1,
            stride: 1,
            pad: 0,
            depthwise: false,
        };
        let level = |i: usize| {
            Ok::<_, ModelError>(Level {
                down: conv3(w, &format!("down.{i}"), if i == 0 { b } else { c }, c, 2)?,
                refine: conv3(w, &format!("refine.{i}"), c, c, 1)?,
                head: conv3(w, &format!("heads.{i}"), c, c, 1)?,
                pred: Conv::with_bias(w, &format!("preds.{i}"), pred, Activation::None)?,
            })
        };
        Ok(Self {
            stem: [conv3(w, "stem.0", 3, a, 2)?, conv3(w, "stem.1", a, b, 2)?],
            levels: (0..STRIDES.len()).map(level).collect::<Result<_, _>>()?,
        })
    }

    /// `[N, 3, H, W]`, H and W multiples of 32 → `[N, cells, OUTS]`, strides 8, 16, 32, row by row; the score is a
    /// probability.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.stem[1].forward(&self.stem[0].forward(x)?)?;
        let mut seen = Vec::new();
        for level in &self.levels {
            x = level.down.forward(&x)?;
            x = (&x + level.refine.forward(&x)?)?;
            seen.push(x.clone());
        }
        let mut above: Option<Tensor> = None;
        let mut answers = Vec::new();
        for (level, x) in self.levels.iter().zip(seen).rev() {
            let x = match above {
                Some(above) => (x + twice(&above)?)?,
                None => x,
            };
            let y = level.pred.forward(&level.head.forward(&x)?)?.flatten_from(2)?;
            let score = candle_nn::ops::sigmoid(&y.narrow(1, 0, 1)?)?;
            answers.push(Tensor::cat(&[score, y.narrow(1, 1, OUTS - 1)?], 1)?);
            above = Some(x);
        }
        answers.reverse();
        Tensor::cat(&answers, 2)?.transpose(1, 2)
    }
}

fn twice(x: &Tensor) -> candle_core::Result<Tensor> {
    let (h, w) = (x.dim(D::Minus2)?, x.dim(D::Minus1)?);
    x.upsample_nearest2d(2 * h, 2 * w)
}
