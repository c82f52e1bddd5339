//! Patches of sound → what is in them.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::arch::mel_cnn::{Config, MelCnn};
use super::check::{Checkable, Golden};
use super::loaded::{Loaded, described};
use super::{DeviceChoice, ModelError};
use crate::mel::{BANDS, FRAMES, LogMel, PATCH_SAMPLES};

/// The label of whatever is none of the others.
pub const BACKGROUND: &str = "background";

/// What a patch sounds like: independent probabilities by label, and the pooled embedding.
pub type Heard = (Vec<f32>, Arc<[f32]>);

/// A log-mel network with its labels.
pub struct SoundModel {
    loaded: Loaded<MelCnn>,
    mel: LogMel,
}

impl SoundModel {
    /// Loads the model of a folder. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture; the device is not usable.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let loaded = Loaded::open(dir, ("sound", "mel_cnn"), device, threads, |weights, manifest| {
            let config = Config {
                labels: manifest.labels.len(),
                ..manifest.config()?
            };
            let refused = |why: String| ModelError::File {
                path: dir.join("model.toml"),
                why,
            };
            if manifest.input.patch_samples != PATCH_SAMPLES {
                return Err(refused(format!(
                    "[input] patch_samples must be {PATCH_SAMPLES} for this architecture"
                )));
            }
            if manifest.label(BACKGROUND).is_none() {
                return Err(refused(format!(
                    "one [[label]] must be named {BACKGROUND:?}: it stands for whatever is none of the others"
                )));
            }
            MelCnn::new(weights, &config)
        })?;
        Ok(Self {
            loaded,
            mel: LogMel::new(),
        })
    }

    /// For each patch of 16 kHz mono, 15,360 samples.
    ///
    /// # Errors
    /// A patch has another length; the network failed or answered with NaN.
    pub fn classify(&self, patches: &[&[f32]]) -> Result<Vec<Heard>, ModelError> {
        if patches.is_empty() {
            return Ok(Vec::new());
        }
        let input = &self.loaded.manifest.input;
        let mut features = Vec::with_capacity(patches.len() * FRAMES * BANDS);
        for patch in patches {
            let clean: Vec<f32> = patch
                .iter()
                .map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 })
                .collect();
            let mel = self.mel.patch(&clean).map_err(|e| ModelError::Compute(e.to_string()))?;
            features.extend(mel.into_iter().map(|v| (v - input.mean) * input.scale));
        }
        let x = Tensor::from_vec(features, (patches.len(), 1, FRAMES, BANDS), &self.loaded.device)?;
        let (logits, pooled) = self.loaded.run(|| self.loaded.net.forward(&x))?;
        let scores: Vec<Vec<f32>> = candle_nn::ops::sigmoid(&logits)?.to_device(&Device::Cpu)?.to_vec2()?;
        let embeddings: Vec<Vec<f32>> = pooled.to_device(&Device::Cpu)?.to_vec2()?;
        if scores.iter().flatten().any(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite(self.loaded.id.clone()));
        }
        Ok(scores.into_iter().zip(embeddings.into_iter().map(Arc::from)).collect())
    }

    /// The network alone, for comparisons: features `[frames, bands]` to probabilities by label.
    ///
    /// # Errors
    /// The length is not that of a patch, or the network failed.
    pub fn answer(&self, features: &[f32]) -> Result<Vec<f32>, ModelError> {
        let x = Tensor::from_slice(features, (1, 1, FRAMES, BANDS), &self.loaded.device)?;
        let (logits, _) = self.loaded.run(|| self.loaded.net.forward(&x))?;
        let scores = candle_nn::ops::sigmoid(&logits)?.to_device(&Device::Cpu)?;
        Ok(scores.flatten_all()?.to_vec1()?)
    }
}

described!(SoundModel, loaded);

impl Checkable for SoundModel {
    fn example(&self) -> Result<(), ModelError> {
        let silence = vec![0.0; self.manifest().input.patch_samples];
        self.classify(&[&silence]).map(|_| ())
    }

    /// The input is patches of samples.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError> {
        let (_, samples) = golden.input()?;
        let patches: Vec<&[f32]> = samples.chunks(self.manifest().input.patch_samples).collect();
        let heard = self.classify(&patches)?;
        Ok(vec![
            ("output", heard.iter().flat_map(|(scores, _)| scores.clone()).collect()),
            ("embedding", heard.iter().flat_map(|(_, e)| e.to_vec()).collect()),
        ])
    }
}
