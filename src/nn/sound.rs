//! Patches of sound → what is in them.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::arch::mel_cnn::{Config, MelCnn};
use super::weights::Weights;
use super::{DeviceChoice, Manifest, ModelError};
use crate::mel::{BANDS, FRAMES, LogMel};

/// What a patch sounds like: independent probabilities by label, and the pooled embedding.
pub type Heard = (Vec<f32>, Arc<[f32]>);

/// A log-mel network with its labels.
pub struct SoundModel {
    manifest: Manifest,
    id: Arc<str>,
    labels: Arc<[Arc<str>]>,
    mel: LogMel,
    net: MelCnn,
    device: Device,
    pool: Arc<rayon::ThreadPool>,
}

impl SoundModel {
    /// Loads the model of a folder. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture; the device is not usable.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let manifest = Manifest::read(dir)?;
        manifest.expect("sound", "mel_cnn")?;
        let device = device.open()?;
        let a = &manifest.arch_config;
        let config = Config {
            channels: a.channels.clone(),
            pool_after: a.pool_after.clone(),
            labels: manifest.labels.len(),
        };
        let weights = Weights::load(&manifest, device.clone())?;
        let net = MelCnn::new(&weights, &config)?;
        weights.finish()?;
        let pool = thread_pool(threads)?;
        Ok(Self {
            id: manifest.id(),
            labels: manifest.label_names(),
            manifest,
            mel: LogMel::new(),
            net,
            device,
            pool,
        })
    }

    /// `name@version`
    pub fn id(&self) -> Arc<str> {
        self.id.clone()
    }

    pub fn labels(&self) -> Arc<[Arc<str>]> {
        self.labels.clone()
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// For each patch of 16 kHz mono, 15,360 samples.
    ///
    /// # Errors
    /// A patch has another length; the network failed or answered with NaN.
    pub fn classify(&self, patches: &[&[f32]]) -> Result<Vec<Heard>, ModelError> {
        if patches.is_empty() {
            return Ok(Vec::new());
        }
        let input = &self.manifest.input;
        let mut features = Vec::with_capacity(patches.len() * FRAMES * BANDS);
        for patch in patches {
            let clean: Vec<f32> = patch
                .iter()
                .map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 })
                .collect();
            let mel = self.mel.patch(&clean).map_err(|e| ModelError::Compute(e.to_string()))?;
            features.extend(mel.into_iter().map(|v| (v - input.mean) * input.scale));
        }
        let x = Tensor::from_vec(features, (patches.len(), 1, FRAMES, BANDS), &self.device)?;
        let (logits, pooled) = self.pool.install(|| self.net.forward(&x))?;
        let scores: Vec<Vec<f32>> = candle_nn::ops::sigmoid(&logits)?.to_device(&Device::Cpu)?.to_vec2()?;
        let embeddings: Vec<Vec<f32>> = pooled.to_device(&Device::Cpu)?.to_vec2()?;
        if scores.iter().flatten().any(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite);
        }
        Ok(scores.into_iter().zip(embeddings.into_iter().map(Arc::from)).collect())
    }
}

/// Threads for one model's arithmetic; 0: one a core.
pub(super) fn thread_pool(threads: usize) -> Result<Arc<rayon::ThreadPool>, ModelError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("wf-nn-{i}"))
        .build()
        .map(Arc::new)
        .map_err(|e| ModelError::Compute(format!("threads for the arithmetic: {e}")))
}
