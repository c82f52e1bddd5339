//! The few messages of ONNX (onnx.proto3 of the ONNX project) that weights need.

use std::collections::HashMap;

use prost::Message;

use super::{Shapes, Tensors};

#[derive(Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

#[derive(Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initialisers: Vec<TensorProto>,
}

#[derive(Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, tag = "4")]
    op: String,
}

#[derive(Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    /// 1 is f32.
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    floats: Vec<f32>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw: Vec<u8>,
}

/// Exports lose most names, and norms are folded in: the k-th `Conv` of the graph is the module's k-th convolution.
/// A file is decoded whole, numbers and all, before `accept` can refuse its names and shapes.
pub(super) fn tensors(
    bytes: &[u8],
    names: &[String],
    accept: impl FnOnce(&Shapes) -> Result<(), String>,
) -> Result<Tensors, String> {
    let model = Model::decode(bytes).map_err(|e| format!("is no ONNX file ({e})"))?;
    let graph = model.graph.unwrap_or_default();
    let known: HashMap<&str, &TensorProto> = graph.initialisers.iter().map(|t| (t.name.as_str(), t)).collect();
    let convs: Vec<&Node> = graph.nodes.iter().filter(|n| n.op == "Conv").collect();
    if convs.len() != names.len() {
        return Err(format!(
            "has {} convolutions; the architecture has {}",
            convs.len(),
            names.len()
        ));
    }
    let (mut tensors, mut taken) = (Tensors::new(), 0);
    for (name, conv) in names.iter().zip(convs) {
        for (part, at) in [("weight", 1), ("bias", 2)] {
            let tensor = conv
                .inputs
                .get(at)
                .and_then(|input| known.get(input.as_str()))
                .ok_or_else(|| format!("the convolution {name} has no {part} in the file"))?;
            // Many convolutions that share one tensor would multiply it.
            taken += tensor.raw.len().max(4 * tensor.floats.len());
            if taken > bytes.len() {
                return Err(format!("the convolution {name} has weights that others have too"));
            }
            tensors.insert(format!("{name}.{part}"), values(tensor)?);
        }
    }
    let shapes = tensors.iter().map(|(name, (shape, _))| (name.clone(), shape.clone()));
    accept(&shapes.collect())?;
    Ok(tensors)
}

/// Shape and numbers, which must be as many as the shape says: nothing else has seen to that.
fn values(tensor: &TensorProto) -> Result<(Vec<usize>, Vec<f32>), String> {
    if tensor.data_type != 1 {
        return Err(format!(
            "tensor {:?} is of type {}; only f32 (1) is read",
            tensor.name, tensor.data_type
        ));
    }
    let shape: Vec<usize> = tensor.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect();
    let held = match tensor.raw.len() {
        0 => tensor.floats.len(),
        bytes => bytes / size_of::<f32>(),
    };
    if shape.iter().try_fold(1usize, |n, side| n.checked_mul(*side)) != Some(held) {
        return Err(format!(
            "tensor {:?} says it has shape {shape:?} but holds {held} values",
            tensor.name
        ));
    }
    let values: Vec<f32> = if tensor.raw.is_empty() {
        tensor.floats.clone()
    } else {
        tensor
            .raw
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()
    };
    Ok((shape, values))
}
