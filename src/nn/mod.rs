//! The models. A candle `Tensor` never leaves this module.

mod action;
mod arch;
mod av;
mod boxes;
mod check;
mod clip;
mod detector;
mod device;
mod exercise;
#[cfg(test)]
mod extreme_picture_tests;
#[cfg(test)]
mod extreme_sound_tests;
mod face;
mod face_emotion;
mod file;
#[cfg(test)]
mod golden_tests;
mod gru;
#[cfg(test)]
mod hostile_tests;
mod import;
mod kernels;
mod layers;
mod letterbox;
mod loaded;
mod manifest;
mod sound;
mod speech_emotion;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use action::{Acted, ActionModel};
pub use arch::av_fusion::Method as FusionMethod;
pub use av::AvModel;
pub use check::Checked;
pub use detector::Detector;
pub use device::{DeviceChoice, describe};
pub use exercise::Exercise;
pub use face::FaceDetector;
pub use face_emotion::FaceEmotion;
pub use import::import;
pub use manifest::{Label, Manifest};
pub use sound::{BACKGROUND, SoundModel};
pub use speech_emotion::{PIECE_SAMPLES, SpeechEmotion, Voiced};

/// Which models are loaded, and where they run.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOptions {
    pub dir: PathBuf,
    /// Folder names below `dir`.
    pub detector: String,
    pub sound: String,
    /// Loaded where a camera wants `fight`.
    pub action: String,
    pub av_fight: String,
    /// How `av_fight` joins picture and sound; None is the model's own way.
    pub fusion: Option<FusionMethod>,
    pub speech_emotion: String,
    pub face: String,
    pub face_emotion: String,
    pub device: DeviceChoice,
    /// Threads for one model's arithmetic on the CPU; 0: all cores.
    pub threads: usize,
}

/// What can be wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    /// A key of a manifest's own switches, and what it must be.
    #[error("[arch_config] {0}")]
    ArchConfig(String),
    #[error("device {0}")]
    Device(String),
    #[error("{0}")]
    Compute(String),
    /// The model's `name@version`: a daemon asks several.
    #[error("{0} answered with NaN or infinity")]
    NotFinite(Arc<str>),
}

impl ModelError {
    /// The same, naming what of the model's folder is at fault where it names no file.
    fn in_folder(self, dir: &Path) -> Self {
        let path = match self {
            Self::ArchConfig(_) => dir.join("model.toml"),
            Self::Compute(_) | Self::NotFinite(_) => dir.to_owned(),
            Self::File { .. } | Self::Device(_) => return self,
        };
        let why = self.to_string();
        Self::File { path, why }
    }
}

impl From<candle_core::Error> for ModelError {
    fn from(mut error: candle_core::Error) -> Self {
        // With RUST_BACKTRACE set, its words would go on for pages.
        while let candle_core::Error::WithBacktrace { inner, .. } = error {
            error = *inner;
        }
        Self::Compute(error.to_string())
    }
}

/// The folder of a model that ships.
#[cfg(test)]
pub(crate) fn shipped(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("models").join(name)
}
