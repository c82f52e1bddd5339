//! PyTorch checkpoints: a zip with a pickle, which names tensors, and their numbers.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::pickle::{Id, Pickle, Value};
use super::{Shapes, Tensors, printable};

/// The pickle of the largest YOLOX has less than 1 MB. Every byte of one can cost some sixty of memory.
const MAX_PICKLE_BYTES: u64 = 4 << 20;

type Zip<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// A tensor as the pickle names it.
struct Named<'a> {
    name: &'a str,
    /// `torch.FloatStorage` and the like.
    kind: &'a str,
    /// The member of the zip below `data/`.
    key: &'a str,
    stored: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// The state dict, which stands under `model` in official checkpoints and at the top in others. `accept` refuses one by its
/// names and shapes, before any number is read.
pub(super) fn tensors(bytes: &[u8], accept: impl FnOnce(&Shapes) -> Result<(), String>) -> Result<Tensors, String> {
    let mut zip = ZipArchive::new(Cursor::new(bytes))
        .map_err(|e| format!("is no PyTorch checkpoint (since version 1.6 these are zips: {e})"))?;
    let member = zip
        .file_names()
        .filter_map(Result::ok)
        .find(|n| *n == "data.pkl" || n.ends_with("/data.pkl"))
        .ok_or("is no PyTorch checkpoint: it holds no data.pkl")?
        .into_owned();
    let folder = member.trim_end_matches("data.pkl").to_owned();
    // PyTorch stores without compression.
    let limit = MAX_PICKLE_BYTES.min(bytes.len() as u64);
    let pickle = Pickle::parse(&read(&mut zip, &member, limit)?).map_err(|why| format!("its pickle {why}"))?;
    let named = named(&pickle);
    if named.is_empty() {
        return Err("is no PyTorch checkpoint of plain tensors: it holds none".into());
    }
    // What claims to be larger than the file is a lie or a bomb.
    let claimed = named.iter().fold(0usize, |n, t| n.saturating_add(t.bytes()));
    if claimed > bytes.len() {
        return Err(format!(
            "is no sound checkpoint: its tensors claim {claimed} bytes, the file has {}",
            bytes.len()
        ));
    }
    // The later of two with one name counts.
    let weights = named.into_iter().filter(Named::is_weight).map(|t| (t.name, t));
    let weights: BTreeMap<&str, Named> = weights.collect();
    let shapes = weights.iter().map(|(name, t)| ((*name).to_owned(), t.shape.clone()));
    accept(&shapes.collect())?;
    let mut storages: BTreeMap<&str, Vec<Named>> = BTreeMap::new();
    for tensor in weights.into_values() {
        storages.entry(tensor.key).or_default().push(tensor);
    }
    let (mut tensors, mut left) = (Tensors::new(), bytes.len());
    for (key, sharing) in storages {
        // Read once for all the tensors that lie in it; and all storages together are no larger than the file.
        let size = sharing.iter().filter_map(Named::storage_bytes).max();
        let size = size
            .filter(|n| *n <= bytes.len())
            .ok_or_else(|| format!("its storage {key:?} is larger than the file"))?;
        left = left.checked_sub(size).ok_or("its storages are larger than the file")?;
        let data = read(&mut zip, &format!("{folder}data/{key}"), size as u64)?;
        for tensor in sharing {
            if tensor.storage_bytes() != Some(data.len()) {
                return Err(format!("tensor {:?}: its storage breaks off", tensor.name));
            }
            let values = gather(&tensor, &data).ok_or_else(|| {
                format!(
                    "tensor {:?}: shape {:?} reaches beyond its {} numbers",
                    tensor.name, tensor.shape, tensor.stored
                )
            })?;
            tensors.insert(tensor.name.to_owned(), (tensor.shape, values));
        }
    }
    Ok(tensors)
}

/// A member's bytes, of which there may be `limit`.
fn read(zip: &mut Zip, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let broken = |why: &str| format!("{name:?}: {}", printable(why));
    let mut member = zip.by_name(name).map_err(|e| broken(&e.to_string()))?;
    if member.size() > limit {
        return Err(format!(
            "{name:?}: says it has {} bytes; at most {limit} belong there",
            member.size()
        ));
    }
    let mut out = Vec::new();
    // Whatever it said: a bomb says little and holds much.
    member
        .by_ref()
        .take(limit + 1)
        .read_to_end(&mut out)
        .map_err(|e| broken(&e.to_string()))?;
    if out.len() as u64 > limit {
        return Err(format!("{name:?}: holds more bytes than the {limit} that belong there"));
    }
    Ok(out)
}

fn named(pickle: &Pickle) -> Vec<Named<'_>> {
    let root = pickle.entries(pickle.root());
    let inner = root.iter().rev().find(|(key, _)| ["model", "state_dict"].contains(key));
    let dict = inner.map_or_else(|| root.clone(), |(_, id)| pickle.entries(*id));
    dict.into_iter()
        .filter_map(|(name, id)| tensor(pickle, name, id))
        .collect()
}

fn tensor<'a>(pickle: &'a Pickle, name: &'a str, id: Id) -> Option<Named<'a>> {
    let call = |id: Id| match pickle.get(id) {
        Value::Call(function, args) => Some((pickle.global(*function)?, pickle.tuple(*args)?)),
        _ => None,
    };
    let (mut function, mut args) = call(id)?;
    if function == "torch._utils._rebuild_parameter" {
        (function, args) = call(*args.first()?)?;
    }
    if function != "torch._utils._rebuild_tensor_v2" {
        return None;
    }
    let [storage, offset, shape, strides, ..] = *args else {
        return None;
    };
    let Value::Stored(storage) = pickle.get(storage) else {
        return None;
    };
    let [_, kind, key, _, stored] = *pickle.tuple(*storage)? else {
        return None;
    };
    let sizes = |id: Id| {
        pickle
            .tuple(id)?
            .iter()
            .map(|n| pickle.size(*n))
            .collect::<Option<Vec<_>>>()
    };
    Some(Named {
        name,
        kind: pickle.global(kind)?,
        key: pickle.text(key)?,
        stored: pickle.size(stored)?,
        offset: pickle.size(offset)?,
        shape: sizes(shape)?,
        strides: sizes(strides)?,
    })
}

impl Named<'_> {
    /// Counters are none, nor is what a norm counted its batches with in training.
    fn is_weight(&self) -> bool {
        width(self.kind).is_some() && !self.name.ends_with("num_batches_tracked")
    }

    fn storage_bytes(&self) -> Option<usize> {
        self.stored.checked_mul(width(self.kind)?)
    }

    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
    }

    fn bytes(&self) -> usize {
        let width = width(self.kind).unwrap_or(1);
        self.count().and_then(|n| n.checked_mul(width)).unwrap_or(usize::MAX)
    }
}

/// Bytes of a number; None for kinds that are no weights (counters).
fn width(kind: &str) -> Option<usize> {
    match kind {
        "torch.FloatStorage" => Some(4),
        "torch.HalfStorage" | "torch.BFloat16Storage" => Some(2),
        "torch.DoubleStorage" => Some(8),
        _ => None,
    }
}

/// The numbers in the order of the shape, whatever the strides. None when these reach beyond the storage.
fn gather(tensor: &Named, data: &[u8]) -> Option<Vec<f32>> {
    let (count, width) = (tensor.count()?, width(tensor.kind)?);
    if tensor.strides.len() != tensor.shape.len() {
        return None;
    }
    let mut out = Vec::with_capacity(count);
    let mut at = vec![0usize; tensor.shape.len()];
    for _ in 0..count {
        let mut steps = at.iter().zip(&tensor.strides);
        let index = steps.try_fold(tensor.offset, |sum, (i, stride)| {
            sum.checked_add(i.checked_mul(*stride)?)
        })?;
        let start = index.checked_mul(width)?;
        out.push(number(tensor.kind, data.get(start..start.checked_add(width)?)?)?);
        for (i, size) in at.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
    Some(out)
}

fn number(kind: &str, b: &[u8]) -> Option<f32> {
    Some(match kind {
        "torch.FloatStorage" => f32::from_le_bytes(b.try_into().ok()?),
        "torch.HalfStorage" => half::f16::from_le_bytes(b.try_into().ok()?).to_f32(),
        "torch.BFloat16Storage" => half::bf16::from_le_bytes(b.try_into().ok()?).to_f32(),
        _ => f64::from_le_bytes(b.try_into().ok()?) as f32,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// `{"w": tensor}` as PyTorch pickles it, with these sizes and strides over a storage of `stored` floats.
    fn pickle(stored: u8, offset: u8, shape: [u8; 2], strides: [u8; 2]) -> Vec<u8> {
        let mut p = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK".to_vec();
        p.extend([stored, b't', b'Q', b'K', offset]);
        for pair in [shape, strides] {
            p.extend([b'K', pair[0], b'K', pair[1], 0x86]);
        }
        p.extend(b"\x89NtRs.");
        p
    }

    fn checkpoint(pickle: &[u8], data: &[u8], deflated: bool) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let method = if deflated {
            zip::CompressionMethod::Deflated
        } else {
            zip::CompressionMethod::Stored
        };
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (name, bytes) in [("archive/data.pkl", pickle), ("archive/data/0", data)] {
            zip.start_file(name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn floats(n: u8) -> Vec<u8> {
        (0..n).flat_map(|i| f32::from(i).to_le_bytes()).collect()
    }

    #[test]
    fn tensors_are_read_whatever_their_strides_and_offset() {
        let read = |offset, shape, strides| {
            let file = checkpoint(&pickle(8, offset, shape, strides), &floats(8), false);
            tensors(&file, |_| Ok(())).unwrap()["w"].clone()
        };
        assert_eq!(read(2, [2, 3], [3, 1]).1, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(
            read(0, [3, 2], [1, 3]),
            (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0])
        );
    }

    #[test]
    fn tensors_beyond_their_storage_or_their_file_are_refused() {
        let refused = |pickle: Vec<u8>, data: &[u8]| {
            let file = checkpoint(&pickle, data, false);
            tensors(&file, |_| Ok(())).err().unwrap()
        };
        assert!(refused(pickle(8, 3, [2, 3], [3, 1]), &floats(8)).contains("reaches beyond"));
        assert!(refused(pickle(8, 0, [2, 3], [3, 1]), &floats(7)).contains("breaks off"));
        assert!(refused(pickle(8, 0, [255, 255], [0, 0]), &floats(8)).contains("claim"));
        assert!(refused(pickle(8, 0, [2, 3], [3, 1]), &floats(9)).contains("data/0"));
    }

    #[test]
    fn a_zip_bomb_is_refused_before_it_is_unpacked() {
        let bomb = vec![0u8; 64 << 20];
        let in_data = checkpoint(&pickle(8, 0, [2, 3], [3, 1]), &bomb, true);
        assert!(in_data.len() < 1 << 20);
        assert!(tensors(&in_data, |_| Ok(())).err().unwrap().contains("data/0"));
        let in_pickle = checkpoint(&bomb, &floats(8), true);
        assert!(tensors(&in_pickle, |_| Ok(())).err().unwrap().contains("data.pkl"));
    }

    #[test]
    fn names_and_shapes_are_judged_before_numbers_are_read() {
        let broken = checkpoint(&pickle(8, 0, [2, 3], [3, 1]), &[], false);
        let refused = tensors(&broken, |shapes| Err(format!("{shapes:?}"))).err().unwrap();
        assert_eq!(refused, r#"{"w": [2, 3]}"#);
    }

    /// `{"w": tensor, "v": tensor}` of the storages with these keys, the second from its beginning on.
    fn pair(stored: u8, keys: [u8; 2]) -> Vec<u8> {
        let one = pickle(stored, 2, [2, 3], [3, 1]);
        let (entry, end) = one[3..].split_at(one.len() - 5);
        assert_eq!(end, b"s.");
        let place = |what: &[u8]| entry.windows(2).position(|two| two == what).unwrap();
        // The key stands before the device's name; the offset is the first number after the storage.
        let (key_at, offset_at) = (place(b"0X"), place(b"QK") + 2);
        let mut both = one[..3].to_vec();
        for (name, key, offset) in [(b'w', keys[0], 2), (b'v', keys[1], 0)] {
            let from = both.len();
            both.extend(entry);
            both[from + 5] = name;
            both[from + key_at] = key;
            both[from + offset_at] = offset;
            both.push(b's');
        }
        both.push(b'.');
        both
    }

    #[test]
    fn storages_that_are_larger_than_the_file_only_together_are_told_so() {
        let refused = |stored: u8| {
            let file = checkpoint(&pair(stored, [b'0', b'1']), &floats(stored), false);
            tensors(&file, |_| Ok(())).err().unwrap()
        };
        assert_eq!(refused(255), "its storages are larger than the file");
        // With room for both, the second is looked for.
        assert!(refused(8).contains("data/1"));
    }

    #[test]
    fn tensors_that_share_a_storage_are_read_out_of_one() {
        let mut both = pair(8, [b'0', b'0']);
        let read = tensors(&checkpoint(&both, &floats(8), false), |_| Ok(())).unwrap();
        assert_eq!(read["w"].1, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(read["v"].1, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        // Two that lie about the size of what they share.
        let at = both.windows(2).position(|pair| pair == b"tQ").unwrap() - 1;
        both[at] = 9;
        let error = tensors(&checkpoint(&both, &floats(9), false), |_| Ok(()))
            .err()
            .unwrap();
        assert!(error.contains("breaks off"), "{error}");
    }
}
