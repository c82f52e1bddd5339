//! What `models list` and `models verify` ask of every model, whatever its task.

use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::file;
use super::loaded::Described;
use super::manifest::{Input, MAX_WEIGHTS_BYTES};
use super::weights::Weights;
use super::{
    ActionModel, AvModel, Detector, DeviceChoice, FaceDetector, FaceEmotion, Manifest, ModelError, SoundModel,
    SpeechEmotion,
};

/// A loaded model that can be tried.
pub(super) trait Checkable: Described {
    /// One call on a made-up input of ordinary size, such as a grey picture or silence.
    fn example(&self) -> Result<(), ModelError>;

    /// Our answers to the `golden.input` of a golden file, by the name of the tensor that holds the
    /// reference's, less `golden.`.
    fn answers(&self, golden: &Golden) -> Result<Vec<(&'static str, Vec<f32>)>, ModelError>;
}

type Load = fn(&Path, DeviceChoice, usize) -> Result<Box<dyn Checkable>, ModelError>;

/// Every task and how its models are loaded: one line each.
const TASKS: &[(&str, Load)] = &[
    ("detector", |dir, on, threads| {
        Ok(Box::new(Detector::load(dir, on, threads)?))
    }),
    ("action", |dir, on, threads| {
        Ok(Box::new(ActionModel::load(dir, on, threads)?))
    }),
    ("av_fight", |dir, _, _| Ok(Box::new(AvModel::load(dir, None)?))),
    ("face", |dir, on, threads| {
        Ok(Box::new(FaceDetector::load(dir, on, threads)?))
    }),
    ("face_emotion", |dir, on, threads| {
        Ok(Box::new(FaceEmotion::load(dir, on, threads)?))
    }),
    ("sound", |dir, on, threads| {
        Ok(Box::new(SoundModel::load(dir, on, threads)?))
    }),
    ("speech_emotion", |dir, on, threads| {
        Ok(Box::new(SpeechEmotion::load(dir, on, threads)?))
    }),
];

/// Reference results beside the weights, written by `models/training/golden.py`.
const GOLDEN: &str = "golden.safetensors";
/// Off by at most this of values around 1, and of their size beyond.
const TOLERANCE: f32 = 1e-4;
/// On a GPU, which adds up in another order.
const TOLERANCE_ELSEWHERE: f32 = 1e-3;

/// An input and the reference's answers to it.
pub(super) struct Golden(Weights);

impl Golden {
    /// Shape and values of `golden.input`.
    pub fn input(&self) -> Result<(Vec<usize>, Vec<f32>), ModelError> {
        self.0.take_any("golden.input")
    }

    /// `golden.input` where it is planes of a picture, 0 to 255: as the network takes it.
    pub fn planes(&self, input: &Input, device: &Device) -> Result<Tensor, ModelError> {
        let (shape, values) = self.input()?;
        let values: Vec<f32> = values.iter().map(|v| (v - input.mean) * input.scale).collect();
        Ok(Tensor::from_vec(values, shape, device)?)
    }
}

/// A model of any task, loaded: its sha256, names and shapes are the manifest's.
pub struct Checked {
    model: Box<dyn Checkable>,
    /// Numbers in the weights.
    pub parameters: usize,
    tolerance: f32,
}

impl Checked {
    /// Loads the model of a folder.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of a task or architecture that is not known.
    pub fn load(dir: &Path, device: DeviceChoice, threads: usize) -> Result<Self, ModelError> {
        let manifest = Manifest::read(dir)?;
        let (_, load) = TASKS
            .iter()
            .find(|(task, _)| *task == manifest.task)
            .ok_or_else(|| ModelError::File {
                path: dir.join("model.toml"),
                why: format!(
                    "task {:?} is not known; there are {}",
                    manifest.task,
                    TASKS.iter().map(|t| t.0).collect::<Vec<_>>().join(", ")
                ),
            })?;
        let model = load(dir, device, threads)?;
        Ok(Self {
            parameters: model.parameters(),
            model,
            tolerance: if device.open()?.is_cpu() {
                TOLERANCE
            } else {
                TOLERANCE_ELSEWHERE
            },
        })
    }

    pub fn manifest(&self) -> &Manifest {
        self.model.manifest()
    }

    /// One call on an input of ordinary size.
    ///
    /// # Errors
    /// The model fails on it.
    pub fn example(&self) -> Result<(), ModelError> {
        self.model.example().map_err(|e| e.in_folder(self.manifest().dir()))
    }

    /// Milliseconds of one call on an input of ordinary size: the least of three, after a first.
    ///
    /// # Errors
    /// The model fails on it.
    pub fn milliseconds(&self) -> Result<f64, ModelError> {
        self.example()?;
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            self.example()?;
            best = best.min(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(best)
    }

    /// Compares with the reference results in the model's folder: the largest difference, relative to values beyond
    /// 1. None when the folder carries none.
    ///
    /// # Errors
    /// The model fails, or answers otherwise than the reference.
    pub fn golden(&self) -> Result<Option<f32>, ModelError> {
        let path = self.manifest().dir().join(GOLDEN);
        let fail = |why: String| ModelError::File {
            path: path.clone(),
            why,
        };
        let bytes = match file::read(&path, MAX_WEIGHTS_BYTES) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fail(format!("cannot be read ({e})"))),
        };
        let golden = Golden(Weights::parse(bytes, path.clone(), Device::Cpu)?);
        let mut worst = 0f32;
        let answers = self.model.answers(&golden);
        for (name, ours) in answers.map_err(|e| fail(format!("its input gets no answer ({e})")))? {
            let (_, theirs) = golden.0.take_any(&format!("golden.{name}"))?;
            if ours.len() != theirs.len() {
                return Err(fail(format!(
                    "{name}: {} values, ours are {}",
                    theirs.len(),
                    ours.len()
                )));
            }
            for (a, b) in ours.iter().zip(&theirs) {
                let off = (a - b).abs() / b.abs().max(1.0);
                // `max` would forget what is no number.
                worst = if off.is_nan() { f32::INFINITY } else { worst.max(off) };
            }
            if theirs.iter().all(|v| *v == theirs[0]) {
                return Err(fail(format!("{name} says nothing: all its values are the same")));
            }
            if worst > self.tolerance {
                return Err(fail(format!(
                    "{name}: our answer is off by {worst:.1e}, more than {:.0e}",
                    self.tolerance
                )));
            }
        }
        Ok(Some(worst))
    }
}
