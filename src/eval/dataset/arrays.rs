//! `.npz` of NumPy with `images` `[N, H, W]` or `[N, H, W, 3]` of bytes, and `votes` `[N, K]` or `labels` `[N]`.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use npyz::{DType, NpyFile, Order, TypeChar};
use zip::ZipArchive;

use super::LabelledFace;
use crate::data::Picture;
use crate::nn::Label;

/// The columns of `votes`: the order of FER+ (Barsoum et al., 2016).
const WORDS: [&str; 10] = [
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
];

/// Of these words, those that name an expression.
const NAMED: usize = 8;

/// An array that says it is larger is not unpacked.
const MAX_BYTES: u64 = 2 << 30;
/// Faces are small pictures; each costs memory of its own.
const MAX_FACES: usize = 1_000_000;

/// Whole numbers of an array with its shape.
struct Array {
    shape: Vec<usize>,
    values: Vec<i64>,
}

type Npz = ZipArchive<BufReader<File>>;

pub(super) fn of_npz(path: &Path, own: &[Label]) -> anyhow::Result<Vec<LabelledFace>> {
    let mut npz = ZipArchive::new(BufReader::new(File::open(path)?)).context("is no whole .npz")?;
    let (shape, bytes) = images(&mut npz)?;
    let n = shape[0];
    let labels = match read(&mut npz, "votes")? {
        Some(votes) => by_votes(&votes, n)?,
        None => by_number(
            &read(&mut npz, "labels")?.context("holds neither `votes` nor `labels`")?,
            n,
            &numbered(own),
        )?,
    };
    let each = bytes.len() / n;
    let (height, width) = (shape[1] as u32, shape[2] as u32);
    let face = |(pixels, (label, agreed)): (&[u8], (Option<&str>, bool))| LabelledFace {
        picture: Picture {
            width,
            height,
            rgb: if shape.len() == 4 {
                pixels.to_vec()
            } else {
                pixels.iter().flat_map(|grey| [*grey; 3]).collect()
            },
        },
        label: label.map(str::to_owned),
        agreed,
    };
    Ok(bytes.chunks_exact(each).zip(labels).map(face).collect())
}

/// Shape and bytes of `images`.
fn images(npz: &mut Npz) -> anyhow::Result<(Vec<usize>, Vec<u8>)> {
    let npy = open(npz, "images")?.context("holds no `images`")?;
    let shape = shape(&npy);
    let well = matches!(shape[..], [n, h, w] | [n, h, w, 3] if n > 0 && h > 0 && w > 0);
    ensure!(well, "`images` has shape {shape:?}; [N, H, W] or [N, H, W, 3] is read");
    ensure!(
        shape[0] <= MAX_FACES,
        "`images` has {} pictures; at most {MAX_FACES} are read",
        shape[0]
    );
    ensure!(
        matches!(npy.dtype(), DType::Plain(t) if t.type_char() == TypeChar::Uint && t.size_field() == 1),
        "`images` is of another type than bytes"
    );
    let bytes = npy.into_vec::<u8>().context("`images` is damaged")?;
    Ok((shape, bytes))
}

/// The word of each face, where anybody voted, and whether its voters agree.
fn by_votes(votes: &Array, n: usize) -> anyhow::Result<Vec<(Option<&'static str>, bool)>> {
    let [rows, columns] = votes.shape[..] else {
        bail!("`votes` has shape {:?}; [N, K] is read", votes.shape)
    };
    ensure!(
        rows == n && (1..=WORDS.len()).contains(&columns),
        "`votes` has shape {:?} beside {n} images; at most {} columns are known",
        votes.shape,
        WORDS.len()
    );
    // The first of equals, as NumPy's argmax has it; where all are zero, that would be a word that nobody said.
    let top = |row: &[i64]| (0..columns).rev().max_by_key(|k| row[*k]).filter(|k| row[*k] > 0);
    let agreed = |row: &[i64]| {
        let kept = |v: &&i64| **v > 1;
        let most = row.iter().take(NAMED).filter(kept).max().copied().unwrap_or(0);
        2 * most > row.iter().filter(kept).sum::<i64>()
    };
    let rows = votes.values.chunks_exact(columns);
    let words: Vec<_> = rows.map(|row| (top(row).map(|k| WORDS[k]), agreed(row))).collect();
    ensure!(
        words.iter().any(|(word, _)| word.is_some()),
        "`votes` holds no vote for any face"
    );
    Ok(words)
}

/// What the numbers of `labels` stand for: FER+'s words where each of the model's labels is one of them, else the model's
/// labels as its manifest counts them.
fn numbered(own: &[Label]) -> Vec<&str> {
    let is_one = |label: &Label| {
        let mut words = label.aliases.iter().map(String::as_str).chain([&*label.name]);
        words.any(|word| WORDS.contains(&word))
    };
    if own.iter().all(is_one) {
        WORDS.to_vec()
    } else {
        own.iter().map(|label| &*label.name).collect()
    }
}

/// One label a face: nobody disagrees.
fn by_number<'a>(labels: &Array, n: usize, words: &[&'a str]) -> anyhow::Result<Vec<(Option<&'a str>, bool)>> {
    ensure!(
        labels.shape == [n],
        "`labels` has shape {:?} beside {n} images",
        labels.shape
    );
    let word = |k: &i64| {
        usize::try_from(*k)
            .ok()
            .and_then(|k| words.get(k))
            .map(|word| (Some(*word), true))
            .with_context(|| format!("`labels` holds {k}; 0 to {} are known", words.len() - 1))
    };
    labels.values.iter().map(word).collect()
}

/// None when there is no such array.
fn read(npz: &mut Npz, name: &str) -> anyhow::Result<Option<Array>> {
    let Some(npy) = open(npz, name)? else { return Ok(None) };
    let shape = shape(&npy);
    let DType::Plain(kind) = npy.dtype() else {
        bail!("`{name}` is of a compound type")
    };
    let damaged = || format!("`{name}` is damaged");
    fn whole<T: Into<i64>>(values: Vec<T>) -> Vec<i64> {
        values.into_iter().map(Into::into).collect()
    }
    let values = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Uint, 1) => whole(npy.into_vec::<u8>().with_context(damaged)?),
        (TypeChar::Int, 1) => whole(npy.into_vec::<i8>().with_context(damaged)?),
        (TypeChar::Uint, 2) => whole(npy.into_vec::<u16>().with_context(damaged)?),
        (TypeChar::Int, 2) => whole(npy.into_vec::<i16>().with_context(damaged)?),
        (TypeChar::Uint, 4) => whole(npy.into_vec::<u32>().with_context(damaged)?),
        (TypeChar::Int, 4) => whole(npy.into_vec::<i32>().with_context(damaged)?),
        (TypeChar::Int, 8) => npy.into_vec::<i64>().with_context(damaged)?,
        _ => bail!("`{name}` is of type {kind}; whole numbers other than u8 are read"),
    };
    Ok(Some(Array { shape, values }))
}

/// The array's header read and its size believed only within bounds.
fn open<'a>(npz: &'a mut Npz, name: &str) -> anyhow::Result<Option<NpyFile<impl Read + 'a>>> {
    let file = format!("{name}.npy");
    let Some(index) = npz.index_for_name(&file) else {
        return Ok(None);
    };
    let mut member = npz.by_index(index).with_context(|| file.clone())?.take(MAX_BYTES);
    let header = header(&mut member).with_context(|| format!("{file}: is no NumPy array of version 1"))?;
    // Before the crate multiplies them.
    let items = claimed(&header).with_context(|| format!("{file}: says no shape"))?;
    ensure!(
        items <= MAX_BYTES / 8,
        "{file}: says it has {items} values, which is too large"
    );
    let npy = NpyFile::new(Cursor::new(header).chain(member)).with_context(|| file.clone())?;
    ensure!(npy.order() == Order::C, "{file}: is in Fortran's order; C's is read");
    Ok(Some(npy))
}

/// The bytes up to the data: magic, version, length and a Python dict of at most 64 KiB.
fn header(member: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let mut start = [0; 10];
    member.read_exact(&mut start)?;
    ensure!(start.starts_with(b"\x93NUMPY\x01"), "it begins otherwise");
    let length = usize::from(u16::from_le_bytes([start[8], start[9]]));
    let mut out = start.to_vec();
    out.resize(start.len() + length, 0);
    member.read_exact(&mut out[start.len()..])?;
    Ok(out)
}

/// How many values a header says there are; a product beyond all bounds counts as the largest number.
fn claimed(header: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(header);
    let (_, shape) = text.split_once("'shape'")?;
    let (_, shape) = shape.split_once('(')?;
    let (shape, _) = shape.split_once(')')?;
    let sides = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
    Some(sides.fold(1, |n: u64, side| n.saturating_mul(side.parse().unwrap_or(u64::MAX))))
}

fn shape<R: Read>(npy: &NpyFile<R>) -> Vec<usize> {
    npy.shape().iter().map(|d| *d as usize).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An array as NumPy writes it.
    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    fn npz(dir: &Path, arrays: &[(&str, Vec<u8>)]) -> std::path::PathBuf {
        let path = dir.join("faces.npz");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in arrays {
            let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn the_word_with_most_votes_stands_for_a_face() {
        let dir = tempfile::tempdir().unwrap();
        let mut votes = [0u8; 30];
        (votes[1], votes[10 + 4], votes[10 + 5], votes[29]) = (9, 5, 5, 10);
        let path = npz(
            dir.path(),
            &[
                (
                    "images",
                    npy("|u1", "(3, 2, 2)", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
                ),
                ("votes", npy("|u1", "(3, 10)", &votes)),
            ],
        );
        let faces = of_npz(&path, &[]).unwrap();
        let labels: Vec<&str> = faces.iter().filter_map(|f| f.label.as_deref()).collect();
        assert_eq!(labels, ["happiness", "anger", "NF"]);
        // Five of ten are no majority, and that there is no face names no expression.
        assert_eq!(faces.iter().map(|f| f.agreed).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(faces[1].picture.rgb[..4], [5, 5, 5, 6]);
        let numbers: Vec<u8> = [6i32, 0, 2].iter().flat_map(|v| v.to_le_bytes()).collect();
        let path = npz(
            dir.path(),
            &[
                ("images", npy("|u1", "(3, 1, 1, 3)", &[0; 9])),
                ("labels", npy("<i4", "(3,)", &numbers)),
            ],
        );
        let first = |own: &[Label]| of_npz(&path, own).unwrap().swap_remove(0).label;
        assert_eq!(first(&[]).as_deref(), Some("fear"));
        let own = |name: &str, alias: Option<&str>| Label {
            name: name.into(),
            coco: None,
            threshold: 0.5,
            aliases: alias.into_iter().map(str::to_owned).collect(),
        };
        // FER+'s words in another order are FER+'s still; where one is none, the model's own are counted.
        let known = [own("fear", None), own("freude", Some("happiness"))];
        assert_eq!(first(&known).as_deref(), Some("fear"));
        let foreign = ["a", "b", "c", "d", "e", "f", "wut"].map(|name| own(name, None));
        assert_eq!(first(&foreign).as_deref(), Some("wut"));
        let error = of_npz(&path, &foreign[..3]).err().unwrap().to_string();
        assert!(error.contains("holds 6; 0 to 2"), "{error}");
    }

    #[test]
    fn a_face_that_nobody_voted_on_has_no_word_and_faces_without_any_vote_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let read = |votes: [u8; 20]| {
            let arrays = [
                ("images", npy("|u1", "(2, 1, 1)", &[0; 2])),
                ("votes", npy("|u1", "(2, 10)", &votes)),
            ];
            of_npz(&npz(dir.path(), &arrays), &[])
        };
        let mut votes = [0; 20];
        votes[10 + 3] = 7;
        let faces = read(votes).unwrap();
        let words: Vec<Option<&str>> = faces.iter().map(|f| f.label.as_deref()).collect();
        assert_eq!(words, [None, Some("sadness")]);
        assert_eq!(faces.iter().map(|f| f.agreed).collect::<Vec<_>>(), [false, true]);
        let error = read([0; 20]).err().unwrap().to_string();
        assert!(error.contains("no vote for any face"), "{error}");
    }

    #[test]
    fn arrays_that_lie_about_themselves_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |images: Vec<u8>, votes: Vec<u8>| {
            let path = npz(dir.path(), &[("images", images), ("votes", votes)]);
            format!("{:#}", of_npz(&path, &[]).err().unwrap())
        };
        let votes = || npy("|u1", "(2, 10)", &[1; 20]);
        assert!(refused(npy("|u1", "(2, 1000000000, 1000000000)", &[0; 4]), votes()).contains("too large"));
        assert!(refused(npy("|u1", "(2, 2, 2)", &[0; 3]), votes()).contains("damaged"));
        assert!(refused(npy("|u1", "(1000001, 1, 1)", &[0; 4]), votes()).contains("at most"));
        assert!(refused(npy("|O", "(2, 2, 2)", b"cos\nsystem\n"), votes()).contains("type"));
        assert!(refused(npy("|u1", "(2, 2, 2)", &[0; 8]), npy("|u1", "(3, 10)", &[1; 30])).contains("beside"));
        assert!(refused(b"noise".to_vec(), votes()).contains("images.npy"));
        std::fs::write(dir.path().join("x.npz"), b"no zip").unwrap();
        assert!(of_npz(&dir.path().join("x.npz"), &[]).is_err());
    }
}
