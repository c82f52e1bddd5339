//! One architecture a file: `Config` → `new(weights, config)` → `forward`. Names mirror the checkpoints.

pub(super) mod av_fusion;
pub(super) mod face_cnn;
pub(super) mod face_fpn;
pub(super) mod mel_cnn;
pub(super) mod mel_rnn;
pub(super) mod motion_cnn;
pub(super) mod yolox;

use super::ModelError;
use super::kernels::{Activation, ConvShape};
use super::layers::Conv;
use super::weights::Weights;

/// A 3×3 convolution with norm and ReLU that keeps the size (stride 1) or halves it (stride 2): tensors
/// `{name}.conv.weight` and `{name}.bn.*`.
fn conv3(w: &Weights, name: &str, ins: usize, outs: usize, stride: usize) -> Result<Conv, ModelError> {
    let shape = ConvShape {
        ins,
        outs,
        kernel: 3,
        stride,
        pad: 1,
        depthwise: false,
    };
    Conv::with_norm(
        w,
        &format!("{name}.conv"),
        &format!("{name}.bn"),
        shape,
        Activation::Relu,
    )
}
