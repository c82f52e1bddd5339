//! A model's whole call, and its network alone on any input: what the comparison with other runtimes times.

use std::path::Path;

use super::{ActionModel, AvModel, Detector, DeviceChoice, Manifest, ModelError, SoundModel};
use crate::data::Picture;
use crate::mel::{BANDS, FRAMES};

/// A 16:9 camera's analysed picture.
const PICTURE: (u32, u32) = (640, 360);

/// A loaded model that can be asked again and again.
pub struct Exercise {
    pub manifest: Manifest,
    /// What one call works on: `frame`, `patch`.
    pub unit: &'static str,
    /// The network's input for one unit, without the batch's dimension.
    pub input: Vec<usize>,
    whole: Box<dyn FnMut() -> Result<(), ModelError>>,
    network: Network,
}

type Network = Box<dyn FnMut(&[f32]) -> Result<Vec<f32>, ModelError>>;

impl Exercise {
    /// Loads the model of a folder, which checks its sha256 and shapes. `threads`: 0 takes every core.
    ///
    /// # Errors
    /// The model cannot be loaded, or its task is not known.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let manifest = Manifest::read(dir)?;
        match &*manifest.task {
            "detector" => {
                let model = std::rc::Rc::new(Detector::load(dir, device, threads)?);
                let picture = texture();
                let (w, h) = model.input_size(&picture);
                let same = model.clone();
                Ok(Self {
                    manifest,
                    unit: "frame",
                    input: vec![3, h, w],
                    whole: Box::new(move || model.detect(&[&picture], 0.5).map(|_| ())),
                    network: Box::new(move |x| same.answer(x, (w, h))),
                })
            }
            "action" => {
                let model = std::rc::Rc::new(ActionModel::load(dir, device, threads)?);
                let input = &manifest.input;
                let pictures = vec![model.shrink(&texture()); input.frames];
                let same = model.clone();
                Ok(Self {
                    unit: "clip",
                    input: vec![input.frames, 3, input.height, input.width],
                    whole: Box::new(move || model.classify(&[pictures.iter().collect()]).map(|_| ())),
                    network: Box::new(move |x| same.answer(x)),
                    manifest,
                })
            }
            "av_fight" => {
                let model = std::rc::Rc::new(AvModel::load(dir, None)?);
                let (video, audio) = model.lengths();
                let same = model.clone();
                Ok(Self {
                    manifest,
                    unit: "clip",
                    input: vec![video + audio],
                    whole: Box::new(move || {
                        model
                            .log_odds(Some(&vec![0.5; video]), Some(&vec![0.5; audio]))
                            .map(|_| ())
                    }),
                    network: Box::new(move |x| {
                        let (v, a) = x.split_at(video.min(x.len()));
                        Ok(vec![same.log_odds(Some(v), Some(a))?])
                    }),
                })
            }
            "sound" => {
                let model = std::rc::Rc::new(SoundModel::load(dir, device, threads)?);
                let patch = tone(manifest.input.patch_samples);
                let same = model.clone();
                Ok(Self {
                    manifest,
                    unit: "patch",
                    input: vec![1, FRAMES, BANDS],
                    whole: Box::new(move || model.classify(&[&patch]).map(|_| ())),
                    network: Box::new(move |x| same.answer(x)),
                })
            }
            other => Err(ModelError::Compute(format!(
                "{}: nobody knows how to exercise the task {other:?}",
                dir.display()
            ))),
        }
    }

    /// The whole call: from a picture or samples to what the stage gets.
    ///
    /// # Errors
    /// The network failed.
    pub fn call(&mut self) -> Result<(), ModelError> {
        (self.whole)()
    }

    /// The network alone: values of the shape [`Exercise::input`], and its raw answer.
    ///
    /// # Errors
    /// The length is wrong, or the network failed.
    pub fn network(&mut self, input: &[f32]) -> Result<Vec<f32>, ModelError> {
        (self.network)(input)
    }
}

/// A picture that is not all the same, without any object in it.
fn texture() -> Picture {
    let (width, height) = PICTURE;
    let value = |x: u32, y: u32| ((x * 7 + y * 5 + x * y / 97) % 256) as u8;
    let rgb = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [value(x, y), value(x + 30, y), value(x, y + 60)]))
        .collect();
    Picture { width, height, rgb }
}

fn tone(samples: usize) -> Vec<f32> {
    (0..samples).map(|i| 0.2 * (i as f32 * 0.17).sin()).collect()
}
