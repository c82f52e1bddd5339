//! Faces → what they seem to express.

use std::path::Path;

use candle_core::{D, Device, Tensor};

use super::arch::face_cnn::{Config, FaceCnn};
use super::check::{Checkable, Golden};
use super::loaded::{Loaded, described};
use super::{DeviceChoice, ModelError};

/// Grey levels added to a crop's deviation, so that a flat crop stays flat (the recipe's `FLOOR`).
const FLOOR: f32 = 8.0;
/// Of a crop, in pixels. A larger one holds nothing that cameras see of a face, and costs by its square.
const SIDES: std::ops::RangeInclusive<usize> = 16..=256;

/// A network over grey, upright faces, with its labels.
pub struct FaceEmotion {
    loaded: Loaded<FaceCnn>,
    template: [[f32; 2]; 5],
}

impl FaceEmotion {
    /// Loads the model of a folder. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture; the manifest does not say where a face's
    /// points lie; the device is not usable.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let loaded = Loaded::open(
            dir,
            ("face_emotion", "face_cnn"),
            device,
            threads,
            |weights, manifest| {
                let config = Config {
                    labels: manifest.labels.len(),
                    ..manifest.config()?
                };
                let halvings = config.channels.len().saturating_sub(1) as u32;
                if manifest.input.width.checked_shr(halvings).unwrap_or(0) == 0 {
                    return Err(ModelError::ArchConfig(format!(
                        "channels: {halvings} stages halve a face of {} pixels to nothing",
                        manifest.input.width
                    )));
                }
                FaceCnn::new(weights, &config)
            },
        )?;
        let input = &loaded.manifest.input;
        let template = input
            .points
            .filter(|_| input.width == input.height && SIDES.contains(&input.width));
        let template = template.ok_or_else(|| ModelError::File {
            path: dir.join("model.toml"),
            why: "[input] needs equal `width` and `height` of 16 to 256, and `points`: where right eye, left eye, \
                  nose and the mouth's corners lie, as five [x, y] in fractions of the side"
                .into(),
        })?;
        Ok(Self { loaded, template })
    }

    /// Pixels of a crop's side.
    pub fn side(&self) -> usize {
        self.loaded.manifest.input.width
    }

    /// Where a face's five points lie in a crop, in fractions of its side; see [`crate::faces::aligned`].
    pub fn template(&self) -> &[[f32; 2]; 5] {
        &self.template
    }

    /// For each crop of `side` × `side` grey values: probabilities by label, which sum to 1.
    ///
    /// # Errors
    /// A crop has another size; the network failed or answered with NaN.
    pub fn classify(&self, crops: &[&[u8]]) -> Result<Vec<Vec<f32>>, ModelError> {
        if crops.is_empty() {
            return Ok(Vec::new());
        }
        let side = self.side();
        if let Some(wrong) = crops.iter().find(|c| c.len() != side * side) {
            let why = format!("a face of {} values; {side} × {side} are needed", wrong.len());
            return Err(ModelError::Compute(why));
        }
        let values: Vec<f32> = crops.iter().flat_map(|crop| standardised(crop)).collect();
        let x = Tensor::from_vec(values, (crops.len(), 1, side, side), &self.loaded.device)?;
        let logits = self.loaded.run(|| self.loaded.net.forward(&x))?;
        let scores: Vec<Vec<f32>> = candle_nn::ops::softmax(&logits, D::Minus1)?
            .to_device(&Device::Cpu)?
            .to_vec2()?;
        if scores.iter().flatten().any(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite(self.loaded.id.clone()));
        }
        Ok(scores)
    }
}

/// A crop less its mean, over its deviation and [`FLOOR`]: light and contrast are the camera's, not the face's.
fn standardised(crop: &[u8]) -> impl Iterator<Item = f32> {
    let n = crop.len().max(1) as f64;
    let mean = crop.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let spread = crop.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let (mean, scale) = (mean as f32, 1.0 / (spread.sqrt() as f32 + FLOOR));
    crop.iter().map(move |v| (f32::from(*v) - mean) * scale)
}

described!(FaceEmotion, loaded);

impl Checkable for FaceEmotion {
    fn example(&self) -> Result<(), ModelError> {
        let grey = vec![114; self.side() * self.side()];
        self.classify(&[&grey]).map(|_| ())
    }

    /// The input is crops of grey values of 0 to 255, the answer probabilities.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError> {
        let (_, values) = golden.input()?;
        let grey: Vec<u8> = values.iter().map(|v| *v as u8).collect();
        let crops: Vec<&[u8]> = grey.chunks(self.side() * self.side()).collect();
        Ok(vec![("output", self.classify(&crops)?.concat())])
    }
}
