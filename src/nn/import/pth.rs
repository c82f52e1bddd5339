//! PyTorch checkpoints: a zip with a pickle, of which only tensors are understood.

use std::path::Path;

use candle_core::DType;
use candle_core::pickle::PthTensors;

use super::Tensors;

/// The state dict, which stands under `model` in official checkpoints and at the top in others.
pub(super) fn tensors(path: &Path, file_bytes: usize) -> Result<Tensors, String> {
    let fail = |e: candle_core::Error| format!("is no PyTorch checkpoint of plain tensors ({e})");
    let open = |key| PthTensors::new(path, key).map_err(fail);
    let file = match open(Some("model")) {
        Ok(file) if !file.tensor_infos().is_empty() => file,
        _ => open(None)?,
    };
    if file.tensor_infos().is_empty() {
        return Err("is no PyTorch checkpoint: it holds no tensors".into());
    }
    // PyTorch stores without compression: what claims to be larger than the file is a lie or a bomb.
    let claimed: usize = file
        .tensor_infos()
        .values()
        .map(|t| t.layout.shape().elem_count().saturating_mul(t.dtype.size_in_bytes()))
        .fold(0, usize::saturating_add);
    if claimed > file_bytes {
        return Err(format!(
            "is no sound checkpoint: its tensors claim {claimed} bytes, the file has {file_bytes}"
        ));
    }
    let mut tensors = Tensors::new();
    for (name, info) in file.tensor_infos() {
        if !info.dtype.is_float() {
            continue;
        }
        let tensor = file.get(name).map_err(fail)?;
        let Some(tensor) = tensor else { continue };
        let values = tensor
            .to_dtype(DType::F32)
            .and_then(|t| t.flatten_all()?.to_vec1())
            .map_err(fail)?;
        tensors.insert(name.clone(), (tensor.dims().to_vec(), values));
    }
    Ok(tensors)
}
