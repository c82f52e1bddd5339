//! Speech → what the voice seems to express.

use std::path::Path;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::arch::mel_rnn::{Config, MelRnn, Time};
use super::check::{Checkable, Golden};
use super::loaded::{Loaded, described};
use super::weights::Weights;
use super::{DeviceChoice, Manifest, ModelError};
use crate::data::Affect;
use crate::mel::{BANDS, LogMel, PATCH_SAMPLES};

/// Most samples that are looked at in one go (3 s); longer speech is answered by the mean over pieces of this length.
pub const PIECE_SAMPLES: usize = 48_000;
const PIECE_HOP: usize = PIECE_SAMPLES / 2;
/// Speech is brought to this root mean square: how loud it is depends on the microphone's place.
const RMS: f32 = 0.05;
/// Below this it is silence, and stays as it is.
const SILENCE_RMS: f32 = 1e-4;

/// What a voice seems to express.
#[derive(Clone, Debug, PartialEq)]
pub struct Voiced {
    /// By label, summing to 1.
    pub probabilities: Vec<f32>,
    /// The labels' places in the manifest, weighed by their probabilities.
    pub affect: Affect,
}

/// `[arch_config]` of the manifest: the network's switches, and where each label lies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switches {
    channels: Vec<usize>,
    strides: Vec<usize>,
    time: Time,
    hidden: usize,
    /// -1 to 1 for each label, in the labels' order.
    arousal: Vec<f32>,
    valence: Vec<f32>,
}

/// A speech emotion network with its labels.
pub struct SpeechEmotion {
    loaded: Loaded<MelRnn>,
    arousal: Vec<f32>,
    valence: Vec<f32>,
    mel: LogMel,
}

impl SpeechEmotion {
    /// Loads the model of a folder. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture; the device is not usable.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let mut places = (Vec::new(), Vec::new());
        let build = |weights: &Weights, manifest: &Manifest| {
            let refused = |why: String| ModelError::File {
                path: dir.join("model.toml"),
                why,
            };
            let switches: Switches = manifest.config()?;
            let labels = manifest.labels.len();
            let right = |places: &[f32]| places.len() == labels && places.iter().all(|p| (-1.0..=1.0).contains(p));
            if !right(&switches.arousal) || !right(&switches.valence) {
                return Err(refused(format!(
                    "[arch_config]: arousal and valence need a number from -1 to 1 for each of {labels} labels"
                )));
            }
            let input = &manifest.input;
            if (input.patch_samples, input.hop_samples) != (PIECE_SAMPLES, PIECE_HOP) {
                return Err(refused(format!(
                    "[input] needs patch_samples = {PIECE_SAMPLES} and hop_samples = {PIECE_HOP}: so speech is cut here"
                )));
            }
            places = (switches.arousal, switches.valence);
            let config = Config {
                channels: switches.channels,
                strides: switches.strides,
                time: switches.time,
                hidden: switches.hidden,
                labels,
            };
            MelRnn::new(weights, &config)
        };
        let loaded = Loaded::open(dir, ("speech_emotion", "mel_rnn"), device, threads, build)?;
        Ok(Self {
            loaded,
            arousal: places.0,
            valence: places.1,
            mel: LogMel::new(),
        })
    }

    /// `samples`: 16 kHz mono speech of any length. Shorter than 0.96 s it is padded with silence, longer than 3 s
    /// answered by the mean over pieces of 3 s every 1.5 s.
    ///
    /// # Errors
    /// The network failed or answered with NaN.
    pub fn read(&self, samples: &[f32]) -> Result<Voiced, ModelError> {
        let starts = starts(samples.len());
        let mut sum = vec![0f32; self.arousal.len()];
        for start in &starts {
            let piece = &samples[*start..samples.len().min(start + PIECE_SAMPLES)];
            for (sum, p) in sum.iter_mut().zip(self.piece(piece)?) {
                *sum += p / starts.len() as f32;
            }
        }
        let at = |places: &[f32]| sum.iter().zip(places).map(|(p, place)| p * place).sum();
        Ok(Voiced {
            affect: Affect {
                arousal: at(&self.arousal),
                valence: at(&self.valence),
            },
            probabilities: sum,
        })
    }

    fn piece(&self, samples: &[f32]) -> Result<Vec<f32>, ModelError> {
        let input = &self.loaded.manifest.input;
        let mut clean: Vec<f32> = samples
            .iter()
            .map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 })
            .collect();
        clean.resize(clean.len().max(PATCH_SAMPLES), 0.0);
        let mean_square = clean.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>() / clean.len() as f64;
        let rms = mean_square.sqrt() as f32;
        if rms > SILENCE_RMS {
            clean.iter_mut().for_each(|s| *s = (*s * (RMS / rms)).clamp(-1.0, 1.0));
        }
        let mut features = self.mel.frames(&clean);
        features.iter_mut().for_each(|v| *v = (*v - input.mean) * input.scale);
        let frames = features.len() / BANDS;
        let x = Tensor::from_vec(features, (1, 1, frames, BANDS), &self.loaded.device)?;
        let (logits, _) = self.loaded.run(|| self.loaded.net.forward(&x))?;
        let probabilities = candle_nn::ops::softmax(&logits, 1)?.to_device(&Device::Cpu)?;
        let probabilities: Vec<f32> = probabilities.flatten_all()?.to_vec1()?;
        if probabilities.iter().any(|p| !p.is_finite()) {
            return Err(ModelError::NotFinite(self.loaded.id.clone()));
        }
        Ok(probabilities)
    }
}

described!(SpeechEmotion, loaded);

impl Checkable for SpeechEmotion {
    fn example(&self) -> Result<(), ModelError> {
        self.read(&vec![0.0; PIECE_SAMPLES]).map(|_| ())
    }

    /// The input is one stretch of samples.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError> {
        let (_, samples) = golden.input()?;
        Ok(vec![("output", self.read(&samples)?.probabilities)])
    }
}

/// Where the pieces of so many samples begin: every 1.5 s, the last one at the end.
fn starts(samples: usize) -> Vec<usize> {
    let last = samples.saturating_sub(PIECE_SAMPLES);
    (0..last).step_by(PIECE_HOP).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_all_of_the_speech_and_short_speech_is_one_piece() {
        assert_eq!(starts(0), [0]);
        assert_eq!(starts(48_000), [0]);
        assert_eq!(starts(60_000), [0, 12_000]);
        assert_eq!(starts(100_000), [0, 24_000, 48_000, 52_000]);
    }
}
