//! Pictures → faces.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::arch::face_fpn::{Config, FaceFpn, OUTS, STRIDES};
use super::boxes::suppress;
use super::check::{Checkable, Golden};
use super::letterbox::{Fit, letterbox, whole};
use super::loaded::{Loaded, described};
use super::{DeviceChoice, Manifest, ModelError};
use crate::data::{BBox, Face, Picture, Point};

/// Boxes that overlap more than this are one face.
const NMS_IOU: f32 = 0.4;
/// The network's cells come in blocks of this many pixels.
const GRAIN: usize = 32;

/// A face detector. Pictures larger than the manifest's `input` are shrunk, smaller ones are looked at as they are.
pub struct FaceDetector(Loaded<FaceFpn>);

impl FaceDetector {
    /// Loads the model of a folder. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another architecture; the device is not usable.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let build = |weights: &_, manifest: &Manifest| FaceFpn::new(weights, &manifest.config::<Config>()?);
        let loaded = Loaded::open(dir, ("face", "face_fpn"), device, threads, build)?;
        if loaded.labels.len() != 1 {
            let why = format!("a face detector has one label, {} are named", loaded.labels.len());
            return Err(ModelError::File {
                path: dir.join("model.toml"),
                why,
            });
        }
        Ok(Self(loaded))
    }

    /// A face from this score on counts.
    pub fn threshold(&self) -> f32 {
        self.0.manifest.labels.first().map_or(0.5, |l| l.threshold)
    }

    /// The faces of a picture from `floor` on, strongest first.
    ///
    /// # Errors
    /// The picture has no pixels, or fewer than it says; the network failed or answered with NaN.
    pub fn find(&self, picture: &Picture, floor: f32) -> Result<Vec<Face>, ModelError> {
        whole(picture)?;
        let input = &self.0.manifest.input;
        let fit = Fit::shrink(picture, input, GRAIN);
        let x = Tensor::from_vec(
            letterbox(picture, &fit, input),
            (1, 3, fit.height, fit.width),
            &self.0.device,
        )?;
        let raw = self.raw(&x)?;
        if raw.iter().any(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite(self.0.id.clone()));
        }
        Ok(decode(&raw, &fit, picture, floor))
    }

    /// The network's answer to `[1, 3, H, W]`, cell by cell.
    pub(super) fn raw(&self, x: &Tensor) -> Result<Vec<f32>, ModelError> {
        let raw = self.0.run(|| self.0.net.forward(x))?.to_device(&Device::Cpu)?;
        Ok(raw.flatten_all()?.to_vec1()?)
    }
}

fn decode(raw: &[f32], fit: &Fit, picture: &Picture, floor: f32) -> Vec<Face> {
    // Input pixels → fractions of the picture.
    let (kx, ky) = (
        1.0 / (picture.width as f32 * fit.scale),
        1.0 / (picture.height as f32 * fit.scale),
    );
    let mut cells = raw.chunks_exact(OUTS);
    let mut found = Vec::new();
    for stride in STRIDES {
        for y in 0..fit.height / stride {
            for x in 0..fit.width / stride {
                let Some(cell) = cells.next() else { return found };
                if cell[0] < floor {
                    continue;
                }
                let s = stride as f32;
                let at = |dx: f32, dy: f32| Point {
                    x: (x as f32 + 0.5 + dx) * s * kx,
                    y: (y as f32 + 0.5 + dy) * s * ky,
                };
                let centre = at(cell[1], cell[2]);
                let half = |ln: f32| ln.clamp(-4.0, 6.0).exp() * s / 2.0;
                let (hw, hh) = (half(cell[3]) * kx, half(cell[4]) * ky);
                let bbox = BBox {
                    x1: centre.x - hw,
                    y1: centre.y - hh,
                    x2: centre.x + hw,
                    y2: centre.y + hh,
                };
                found.push(Face {
                    bbox: bbox.clipped(),
                    points: std::array::from_fn(|k| at(cell[5 + 2 * k], cell[6 + 2 * k])),
                    score: cell[0],
                });
            }
        }
    }
    suppress(found, NMS_IOU, |face| (face.bbox, face.score, 0))
}

described!(FaceDetector, 0);

impl Checkable for FaceDetector {
    fn example(&self) -> Result<(), ModelError> {
        let grey = Picture {
            width: 320,
            height: 320,
            rgb: vec![114; 320 * 320 * 3],
        };
        self.find(&grey, 0.5).map(|_| ())
    }

    /// The input is BGR of 0 to 255, the answer what the network says of each cell.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError> {
        let x = golden.planes(&self.manifest().input, &self.0.device)?;
        Ok(vec![("output", self.raw(&x)?)])
    }
}
