//! One architecture a file: `Config` → `new(weights, config)` → `forward`. Names mirror the checkpoints.

pub(super) mod av_fusion;
pub(super) mod mel_cnn;
pub(super) mod mel_rnn;
pub(super) mod motion_cnn;
pub(super) mod yolox;
