//! Safetensors → named arrays of f32, each used exactly once and in the shape that the architecture expects. Names, types and
//! shapes are the header's; numbers are converted one tensor at a time, when they are taken.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::file::printable;
use super::{Manifest, ModelError};

/// The largest networks' headers have less than 200 kB. Each byte of one can cost several of memory.
const MAX_HEADER_BYTES: u64 = 4 << 20;

/// A tensor as the header tells of it.
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its bytes' place in the file.
    at: Range<usize>,
}

/// A model's tensors. Names are taken out as the architecture is built; what is left at the end is an error.
pub(super) struct Weights {
    path: PathBuf,
    device: Device,
    bytes: Vec<u8>,
    tensors: RefCell<BTreeMap<String, Entry>>,
}

impl Weights {
    /// Reads and checks the weights of `manifest`.
    pub fn load(manifest: &Manifest, device: Device) -> Result<Self, ModelError> {
        Self::parse(manifest.weights_bytes()?, manifest.weights_path(), device)
    }

    pub fn parse(bytes: Vec<u8>, path: PathBuf, device: Device) -> Result<Self, ModelError> {
        let tensors = match entries(&bytes) {
            Ok(tensors) => RefCell::new(tensors),
            Err(why) => return Err(ModelError::File { path, why }),
        };
        Ok(Self {
            path,
            device,
            bytes,
            tensors,
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Takes a tensor's values out.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let entry = self.remove(name)?;
        if entry.shape != shape {
            return Err(self.fail(format!(
                "tensor {name:?} has shape {:?}; the architecture needs {shape:?}",
                entry.shape
            )));
        }
        Ok(self.values(&entry))
    }

    /// Takes a tensor out whatever its shape.
    pub fn take_any(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), ModelError> {
        let entry = self.remove(name)?;
        let values = self.values(&entry);
        Ok((entry.shape, values))
    }

    fn remove(&self, name: &str) -> Result<Entry, ModelError> {
        let found = self.tensors.borrow_mut().remove(name);
        found.ok_or_else(|| self.fail(format!("tensor {name:?} is missing")))
    }

    fn values(&self, entry: &Entry) -> Vec<f32> {
        numbers(entry.dtype, &self.bytes[entry.at.clone()]).collect()
    }

    fn fail(&self, why: String) -> ModelError {
        ModelError::File {
            path: self.path.clone(),
            why,
        }
    }

    /// Names and shapes of what is left.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let tensors = self.tensors.borrow();
        tensors
            .iter()
            .map(|(name, t)| (name.clone(), t.shape.clone()))
            .collect()
    }

    /// How many numbers are left.
    pub fn parameters(&self) -> usize {
        let tensors = self.tensors.borrow();
        tensors.values().map(|t| t.shape.iter().product::<usize>()).sum()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.borrow().contains_key(name)
    }

    /// Refuses a manifest with another number of labels than `head`, the layer that answers by label: the shapes that
    /// follow from it would blame the weights.
    pub fn expect_labels(&self, head: &str, labels: usize) -> Result<(), ModelError> {
        let tensors = self.tensors.borrow();
        let answers = tensors.get(&format!("{head}.weight")).and_then(|t| t.shape.first());
        match answers {
            Some(answers) if *answers != labels => Err(self.fail(format!(
                "model.toml names {labels} [[label]], the weights have {answers}"
            ))),
            _ => Ok(()),
        }
    }

    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        Ok(Tensor::from_vec(self.take(name, shape)?, shape, &self.device)?)
    }

    /// Nothing may be left: a tensor that the architecture does not know means that it is another architecture.
    pub fn finish(&self) -> Result<(), ModelError> {
        let left = self.tensors.borrow();
        match left.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.fail(format!(
                "{} tensors are not part of the architecture, {name:?} among them",
                left.len()
            ))),
        }
    }

    /// The file that they were read from.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// What the file holds, each of a type that is loaded and without NaN.
fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let broken = |why: &str| format!("is not a whole safetensors file ({})", printable(why));
    let begins = bytes.split_first_chunk();
    let (length, rest) = begins.map_or((0, bytes), |(length, rest)| (u64::from_le_bytes(*length), rest));
    // One that goes beyond the file is no header at all.
    if (MAX_HEADER_BYTES + 1..=rest.len() as u64).contains(&length) {
        return Err(format!(
            "its header has {length} bytes, more than the {} MiB of any network here",
            MAX_HEADER_BYTES >> 20
        ));
    }
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e.to_string()))?;
    let data = size_of::<u64>() + length;
    let mut tensors = BTreeMap::new();
    for (name, about) in BTreeMap::from_iter(header.tensors()) {
        // PyTorch's counter of a norm's batches: of use in training only.
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        if about.shape.contains(&0) {
            return Err(format!("tensor {name:?} is empty ({:?})", about.shape));
        }
        if !matches!(about.dtype, Dtype::F32 | Dtype::F16) {
            return Err(format!("tensor {name:?} is {:?}; f32 and f16 are loaded", about.dtype));
        }
        let at = data + about.data_offsets.0..data + about.data_offsets.1;
        if !numbers(about.dtype, &bytes[at.clone()]).all(f32::is_finite) {
            return Err(format!("tensor {name:?} holds NaN or infinity"));
        }
        let entry = Entry {
            dtype: about.dtype,
            shape: about.shape.clone(),
            at,
        };
        tensors.insert(name, entry);
    }
    Ok(tensors)
}

/// f16, or else f32.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Box<dyn Iterator<Item = f32> + '_> {
    match dtype {
        Dtype::F16 => Box::new(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| half::f16::from_le_bytes(*b).to_f32()),
        ),
        _ => Box::new(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
    }
}
