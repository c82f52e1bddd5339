//! Clips → what is being done in them.

use std::path::Path;
use std::sync::Arc;

use candle_core::{D, Device, Tensor};

use super::arch::motion_cnn::{Config, MotionCnn, STRIDE};
use super::check::{Checkable, Golden};
use super::clip::{cut, moving_region, resized, spread};
use super::letterbox::whole;
use super::loaded::{Loaded, described};
use super::{DeviceChoice, ModelError};
use crate::data::Picture;

/// Pictures are kept so many times as large as the network's input, so that the part that moves can be cut out of them.
const KEPT: usize = 2;

/// Probabilities by label, which sum to one, and the pooled embedding.
pub type Acted = (Vec<f32>, Arc<[f32]>);

/// A clip network with its labels.
pub struct ActionModel {
    loaded: Loaded<MotionCnn>,
    /// Fewer frames than this are repeated.
    least: usize,
}

impl ActionModel {
    /// Loads the model of a folder. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture; the device is not usable.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let mut least = 0;
        let loaded = Loaded::open(dir, ("action", "motion_cnn"), device, threads, |weights, manifest| {
            let config = Config {
                labels: manifest.labels.len(),
                ..manifest.config()?
            };
            let input = &manifest.input;
            least = config.lags.iter().max().map_or(1, |lag| lag + 1);
            let sides = [input.width, input.height];
            if sides.iter().any(|s| *s == 0 || s % STRIDE != 0) || input.frames < least || input.span_s <= 0.0 {
                return Err(ModelError::File {
                    path: dir.join("model.toml"),
                    why: format!(
                        "[input] needs width and height in multiples of {STRIDE}, span_s, and frames of {least} at least"
                    ),
                });
            }
            if manifest.needs.fps <= 0.0 {
                return Err(ModelError::File {
                    path: dir.join("model.toml"),
                    why: "[needs] fps must say at how many pictures a second it was trained".into(),
                });
            }
            MotionCnn::new(weights, &config)
        })?;
        Ok(Self { loaded, least })
    }

    /// A picture as small as it may be kept, its shape not kept. Shrinking a picture of that size changes nothing.
    pub fn shrink(&self, picture: &Picture) -> Picture {
        let input = &self.loaded.manifest.input;
        resized(picture, KEPT * input.width, KEPT * input.height)
    }

    /// For each clip: the pictures of about `input.span_s` seconds, oldest first, of any size and number; `input.frames`
    /// of them are taken, evenly, and of these the part that moves.
    ///
    /// # Errors
    /// A clip has no picture, or one with fewer pixels than it says; the network failed or answered with NaN.
    pub fn classify(&self, clips: &[Vec<&Picture>]) -> Result<Vec<Acted>, ModelError> {
        clips.iter().map(|clip| self.one(clip)).collect()
    }

    /// The network alone, for comparisons: `[frames, 3, height, width]` to logits by label.
    ///
    /// # Errors
    /// The length is not that of a clip, or the network failed.
    pub fn answer(&self, clip: &[f32]) -> Result<Vec<f32>, ModelError> {
        let input = &self.loaded.manifest.input;
        let shape = (1, input.frames, 3, input.height, input.width);
        let x = Tensor::from_slice(clip, shape, &self.loaded.device)?;
        let (logits, _) = self.loaded.run(|| self.loaded.net.forward(&x))?;
        Ok(logits.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    fn one(&self, clip: &[&Picture]) -> Result<Acted, ModelError> {
        let input = &self.loaded.manifest.input;
        let (w, h) = (input.width, input.height);
        let order = if input.colour == "rgb" { [0, 1, 2] } else { [2, 1, 0] };
        let chosen = spread(clip.len(), self.least, input.frames);
        if chosen.is_empty() {
            return Err(ModelError::Compute("a clip needs a picture".into()));
        }
        let mut kept = Vec::with_capacity(chosen.len());
        for i in &chosen {
            whole(clip[*i])?;
            kept.push(self.shrink(clip[*i]));
        }
        let region = moving_region(&kept);
        let mut values = Vec::with_capacity(chosen.len() * 3 * w * h);
        for picture in &kept {
            let small = resized(&cut(picture, region), w, h);
            for colour in order {
                let plane = small.rgb.iter().skip(colour).step_by(3);
                values.extend(plane.map(|v| (f32::from(*v) - input.mean) * input.scale));
            }
        }
        let x = Tensor::from_vec(values, (1, chosen.len(), 3, h, w), &self.loaded.device)?;
        let (logits, pooled) = self.loaded.run(|| self.loaded.net.forward(&x))?;
        let scores = candle_nn::ops::softmax(&logits, D::Minus1)?;
        let flat = |x: Tensor| x.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>();
        let (scores, pooled) = (flat(scores)?, flat(pooled)?);
        if scores.iter().any(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite(self.loaded.id.clone()));
        }
        Ok((scores, pooled.into()))
    }
}

described!(ActionModel, loaded);

impl Checkable for ActionModel {
    fn example(&self) -> Result<(), ModelError> {
        let grey = Picture {
            width: 320,
            height: 180,
            rgb: vec![114; 320 * 180 * 3],
        };
        let clip = vec![&grey; self.manifest().input.frames];
        self.classify(&[clip]).map(|_| ())
    }

    /// The input is one clip of pictures, `[frames, height, width, 3]` of 0 to 255.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError> {
        let (shape, values) = golden.input()?;
        let &[_, height, width, 3] = &shape[..] else {
            return Err(ModelError::Compute(format!("{shape:?} is no clip of pictures")));
        };
        let picture = |rgb: &[f32]| Picture {
            width: width as u32,
            height: height as u32,
            rgb: rgb.iter().map(|v| *v as u8).collect(),
        };
        let pictures: Vec<Picture> = values.chunks_exact(height * width * 3).map(picture).collect();
        let (scores, embedding) = self.one(&pictures.iter().collect::<Vec<_>>())?;
        Ok(vec![("output", scores), ("embedding", embedding.to_vec())])
    }
}
