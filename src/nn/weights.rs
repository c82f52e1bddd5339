//! Safetensors → named arrays of f32, each used exactly once and in the shape that the architecture expects.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::{Manifest, ModelError};

/// Shape and values.
type Named = (Vec<usize>, Vec<f32>);

/// A model's tensors. Names are taken out as the architecture is built; what is left at the end is an error.
pub(super) struct Weights {
    path: PathBuf,
    device: Device,
    tensors: RefCell<BTreeMap<String, Named>>,
}

impl Weights {
    /// Reads and checks the weights of `manifest`.
    pub fn load(manifest: &Manifest, device: Device) -> Result<Self, ModelError> {
        Self::parse(&manifest.weights_bytes()?, manifest.weights_path(), device)
    }

    pub fn parse(bytes: &[u8], path: PathBuf, device: Device) -> Result<Self, ModelError> {
        let fail = |why: String| ModelError::File {
            path: path.clone(),
            why,
        };
        let file =
            SafeTensors::deserialize(bytes).map_err(|e| fail(format!("is not a whole safetensors file ({e})")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            // PyTorch's counter of a norm's batches: of use in training only.
            if name.ends_with("num_batches_tracked") {
                continue;
            }
            if view.shape().contains(&0) {
                return Err(fail(format!("tensor {name} is empty ({:?})", view.shape())));
            }
            let values: Vec<f32> = match view.dtype() {
                Dtype::F32 => view
                    .data()
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b))
                    .collect(),
                Dtype::F16 => view
                    .data()
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|b| half::f16::from_le_bytes(*b).to_f32())
                    .collect(),
                other => return Err(fail(format!("tensor {name} is {other:?}; f32 and f16 are loaded"))),
            };
            if values.iter().any(|v| !v.is_finite()) {
                return Err(fail(format!("tensor {name} holds NaN or infinity")));
            }
            tensors.insert(name, (view.shape().to_vec(), values));
        }
        Ok(Self {
            path,
            device,
            tensors: RefCell::new(tensors),
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Takes a tensor's values out.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let fail = |why: String| ModelError::File {
            path: self.path.clone(),
            why,
        };
        let (found, values) = self
            .tensors
            .borrow_mut()
            .remove(name)
            .ok_or_else(|| fail(format!("tensor {name} is missing")))?;
        if found != shape {
            return Err(fail(format!(
                "tensor {name} has shape {found:?}; the architecture needs {shape:?}"
            )));
        }
        Ok(values)
    }

    /// Takes a tensor out whatever its shape.
    pub fn take_any(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), ModelError> {
        self.tensors.borrow_mut().remove(name).ok_or_else(|| ModelError::File {
            path: self.path.clone(),
            why: format!("tensor {name} is missing"),
        })
    }

    /// How many numbers are left.
    pub fn parameters(&self) -> usize {
        self.tensors.borrow().values().map(|(_, values)| values.len()).sum()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.borrow().contains_key(name)
    }

    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        Ok(Tensor::from_vec(self.take(name, shape)?, shape, &self.device)?)
    }

    /// Nothing may be left: a tensor that the architecture does not know means that it is another architecture.
    pub fn finish(self) -> Result<(), ModelError> {
        let left = self.tensors.into_inner();
        match left.keys().next() {
            None => Ok(()),
            Some(name) => {
                let why = format!(
                    "{} tensors are not part of the architecture, {name} among them",
                    left.len()
                );
                Err(ModelError::File { path: self.path, why })
            }
        }
    }
}
