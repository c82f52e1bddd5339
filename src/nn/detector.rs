//! Pictures → objects.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::arch::yolox::{Config, STRIDES, Yolox};
use super::boxes::suppress;
use super::check::{Checkable, Golden};
use super::letterbox::{Fit, letterbox, whole};
use super::loaded::{Loaded, described};
use super::{DeviceChoice, ModelError};
use crate::data::{BBox, Detection, Picture};

/// Boxes of one class that overlap more than this are one object.
const NMS_IOU: f32 = 0.45;
/// The network takes sides of any multiple of this.
const GRAIN: usize = 32;

/// A YOLOX with its labels.
pub struct Detector(Loaded<Yolox>);

impl Detector {
    /// Loads the model of a folder. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture; the device is not usable.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        Loaded::open(dir, ("detector", "yolox"), device, threads, |weights, manifest| {
            let config = Config {
                classes: manifest.labels.len(),
                ..manifest.config()?
            };
            let input = &manifest.input;
            if !input.width.is_multiple_of(GRAIN) || !input.height.is_multiple_of(GRAIN) {
                return Err(ModelError::File {
                    path: dir.join("model.toml"),
                    why: format!("[input] width and height must be multiples of {GRAIN}"),
                });
            }
            Yolox::new(weights, &config)
        })
        .map(Self)
    }

    /// One list a picture, in order; detections from `floor` on, strongest first. Pictures may have any size.
    ///
    /// # Errors
    /// A picture has no pixels, or fewer than it says; the network failed or answered with NaN.
    pub fn detect(&self, pictures: &[&Picture], floor: f32) -> Result<Vec<Vec<Detection>>, ModelError> {
        pictures
            .iter()
            .map(|picture| self.0.run(|| self.one(picture, floor)))
            .collect()
    }

    fn one(&self, picture: &Picture, floor: f32) -> Result<Vec<Detection>, ModelError> {
        whole(picture)?;
        let input = &self.0.manifest.input;
        let fit = self.fit(picture);
        let (w, h) = (fit.width, fit.height);
        let values = letterbox(picture, &fit, input);
        let x = Tensor::from_vec(values, (1, 3, h, w), &self.0.device)?;
        let raw = self.raw(&x)?;
        if raw.iter().any(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite(self.0.id.clone()));
        }
        let side = |px: u32| px as f32 * fit.scale;
        Ok(decode(
            &raw,
            self.0.labels.len(),
            (w, h),
            (side(picture.width), side(picture.height)),
            floor,
        ))
    }

    fn fit(&self, picture: &Picture) -> Fit {
        Fit::fill(picture, &self.0.manifest.input, GRAIN)
    }

    /// Width and height of the network's input for a picture: any multiple of 32 will do, so rows and columns that
    /// would be padding only are left away.
    pub fn input_size(&self, picture: &Picture) -> (usize, usize) {
        let fit = self.fit(picture);
        (fit.width, fit.height)
    }

    /// The network alone, for comparisons: planes `[3, h, w]` as the manifest says, to what it answers cell by cell.
    ///
    /// # Errors
    /// The length is not that of the size, or the network failed.
    pub fn answer(&self, planes: &[f32], (w, h): (usize, usize)) -> Result<Vec<f32>, ModelError> {
        let x = Tensor::from_slice(planes, (1, 3, h, w), &self.0.device)?;
        self.0.run(|| self.raw(&x))
    }

    /// The network's answer to `[1, 3, H, W]`, cell by cell.
    pub(super) fn raw(&self, x: &Tensor) -> Result<Vec<f32>, ModelError> {
        let raw = self.0.net.forward(x)?.to_device(&Device::Cpu)?;
        Ok(raw.flatten_all()?.to_vec1()?)
    }
}

/// Raw cells → boxes in fractions of the picture, which fills `picture` (w, h) of the input's pixels.
fn decode(raw: &[f32], classes: usize, input: (usize, usize), picture: (f32, f32), floor: f32) -> Vec<Detection> {
    let mut found = Vec::new();
    let mut cells = raw.chunks_exact(5 + classes);
    for stride in STRIDES {
        for y in 0..input.1 / stride {
            for x in 0..input.0 / stride {
                let Some(cell) = cells.next() else { return found };
                for (class, p) in cell[5..].iter().enumerate() {
                    let score = cell[4] * p;
                    if score < floor {
                        continue;
                    }
                    let s = stride as f32;
                    let (cx, cy) = (
                        (cell[0] + x as f32) * s / picture.0,
                        (cell[1] + y as f32) * s / picture.1,
                    );
                    let (w, h) = (
                        cell[2].min(8.0).exp() * s / picture.0,
                        cell[3].min(8.0).exp() * s / picture.1,
                    );
                    let bbox = BBox {
                        x1: cx - w / 2.0,
                        y1: cy - h / 2.0,
                        x2: cx + w / 2.0,
                        y2: cy + h / 2.0,
                    };
                    found.push(Detection {
                        bbox: bbox.clipped(),
                        class,
                        score,
                    });
                }
            }
        }
    }
    suppress(found, NMS_IOU, |d| (d.bbox, d.score, d.class))
}

described!(Detector, 0);

impl Checkable for Detector {
    fn example(&self) -> Result<(), ModelError> {
        let grey = Picture {
            width: 640,
            height: 360,
            rgb: vec![114; 640 * 360 * 3],
        };
        self.detect(&[&grey], 0.5).map(|_| ())
    }

    /// The input is BGR of 0 to 255, the answer what the network says of each cell.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError> {
        let x = golden.planes(&self.manifest().input, &self.0.device)?;
        Ok(vec![("output", self.raw(&x)?)])
    }
}
