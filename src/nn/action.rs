//! Clips → what is being done in them.

use std::path::Path;
use std::sync::Arc;

use candle_core::{D, Device, Tensor};

use super::arch::motion_cnn::{Config, MotionCnn, STRIDE};
use super::loaded::Loaded;
use super::{DeviceChoice, Manifest, ModelError};
use crate::data::Picture;

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
            MotionCnn::new(weights, &config)
        })?;
        Ok(Self { loaded, least })
    }

    /// `name@version`
    pub fn id(&self) -> Arc<str> {
        self.loaded.id.clone()
    }

    pub fn labels(&self) -> Arc<[Arc<str>]> {
        self.loaded.labels.clone()
    }

    pub fn manifest(&self) -> &Manifest {
        &self.loaded.manifest
    }

    /// A picture at the network's size, its shape not kept. Shrinking a picture of that size changes nothing.
    pub fn shrink(&self, picture: &Picture) -> Picture {
        let input = &self.loaded.manifest.input;
        resized(picture, input.width, input.height)
    }

    /// For each clip: the pictures of about `input.span_s` seconds, oldest first, of any size and number; `input.frames`
    /// of them are taken, evenly.
    ///
    /// # Errors
    /// A clip has no picture; the network failed or answered with NaN.
    pub fn classify(&self, clips: &[Vec<&Picture>]) -> Result<Vec<Acted>, ModelError> {
        clips.iter().map(|clip| self.one(clip)).collect()
    }

    fn one(&self, clip: &[&Picture]) -> Result<Acted, ModelError> {
        let input = &self.loaded.manifest.input;
        let (w, h) = (input.width, input.height);
        let order = if input.colour == "rgb" { [0, 1, 2] } else { [2, 1, 0] };
        let chosen = spread(clip.len(), self.least, input.frames);
        if chosen.is_empty() {
            return Err(ModelError::Compute("a clip needs a picture".into()));
        }
        let mut values = Vec::with_capacity(chosen.len() * 3 * w * h);
        for i in &chosen {
            let small = resized(clip[*i], w, h);
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
            return Err(ModelError::NotFinite);
        }
        Ok((scores, pooled.into()))
    }
}

/// Which of `n` pictures are taken: evenly `most` of them, all when there are fewer, some twice when there are fewer
/// than `least`.
fn spread(n: usize, least: usize, most: usize) -> Vec<usize> {
    let take = if n == 0 { 0 } else { n.clamp(least, most) };
    (0..take).map(|i| (2 * i + 1) * n / (2 * take)).collect()
}

/// A triangle filter that widens as the picture shrinks, so that every pixel counts; rows after columns, rounded once.
fn resized(picture: &Picture, width: usize, height: usize) -> Picture {
    let (pw, ph) = (picture.width as usize, picture.height as usize);
    if (pw, ph) == (width, height) {
        return picture.clone();
    }
    let (xs, ys) = (taps(pw, width), taps(ph, height));
    let mut columns = vec![0f32; ph * width * 3];
    for (row, out) in picture
        .rgb
        .chunks_exact(pw * 3)
        .zip(columns.chunks_exact_mut(width * 3))
    {
        for (pixel, (first, weights)) in out.chunks_exact_mut(3).zip(&xs) {
            for (from, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (to, value) in pixel.iter_mut().zip(from) {
                    *to += f32::from(*value) * weight;
                }
            }
        }
    }
    let mut rgb = Vec::with_capacity(width * height * 3);
    let mut sum = vec![0f32; width * 3];
    for (first, weights) in &ys {
        sum.fill(0.0);
        for (row, weight) in columns[first * width * 3..].chunks_exact(width * 3).zip(weights) {
            sum.iter_mut().zip(row).for_each(|(to, value)| *to += value * weight);
        }
        rgb.extend(sum.iter().map(|v| (v + 0.5).floor().clamp(0.0, 255.0) as u8));
    }
    Picture {
        width: width as u32,
        height: height as u32,
        rgb,
    }
}

/// For each of `outs` values: the first of the `ins` that it is made of, and their weights, which sum to one.
fn taps(ins: usize, outs: usize) -> Vec<(usize, Vec<f32>)> {
    let step = ins as f64 / outs as f64;
    let reach = step.max(1.0);
    (0..outs)
        .map(|o| {
            let centre = (o as f64 + 0.5) * step - 0.5;
            let first = (centre - reach).ceil().max(0.0) as usize;
            let last = ((centre + reach).floor() as usize).min(ins.saturating_sub(1));
            let raw: Vec<f64> = (first..=last)
                .map(|i| (1.0 - (i as f64 - centre).abs() / reach).max(0.0))
                .collect();
            let sum: f64 = raw.iter().sum();
            (first, raw.iter().map(|v| (v / sum) as f32).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_evenly_and_repeated_only_when_too_few() {
        assert_eq!(spread(20, 5, 10), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
        assert_eq!(spread(8, 5, 10), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(spread(2, 5, 10), [0, 0, 1, 1, 1]);
        assert!(spread(0, 5, 10).is_empty());
    }

    #[test]
    fn a_plain_picture_stays_plain_at_every_size() {
        for (w, h) in [(1, 1), (3, 200), (160, 96), (641, 37)] {
            let picture = Picture {
                width: w,
                height: h,
                rgb: [10, 120, 255].repeat((w * h) as usize),
            };
            assert_eq!(resized(&picture, 160, 96).rgb, [10, 120, 255].repeat(160 * 96));
        }
    }
}
