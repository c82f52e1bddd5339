//! Data sets in the layouts of the packs: a folder or a tar.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// A larger member of a tar is no picture and no text.
const MAX_MEMBER_BYTES: u64 = 64 << 20;

/// One picture and its true boxes.
pub(super) struct LabelledPicture {
    /// File name without its folder.
    pub name: String,
    pub jpeg: Vec<u8>,
    pub truth: Vec<TrueBox>,
}

/// COCO class number; centre and size in fractions of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TrueBox {
    pub class: u32,
    pub cx: f32,
    pub cy: f32,
    pub w: f32,
    pub h: f32,
}

/// `labels.csv`: one map by column a row.
pub(super) struct Table {
    pub folder: PathBuf,
    pub rows: Vec<BTreeMap<String, String>>,
}

pub(super) enum Dataset {
    Boxes(Vec<LabelledPicture>),
    Clips(Table),
}

impl Dataset {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        if path.is_dir() {
            if path.join("labels.csv").is_file() {
                return table(path).with_context(at).map(Self::Clips);
            }
            ensure!(
                path.join("images").is_dir(),
                "{}: neither labels.csv nor images/ is in it",
                path.display()
            );
            return folder(path).and_then(pictures).with_context(at).map(Self::Boxes);
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("tar") => archive(path).and_then(pictures).with_context(at).map(Self::Boxes),
            Some("npz") => bail!("{}: faces; no model of this version reads faces", path.display()),
            _ => bail!("{}: is neither a folder nor a .tar", path.display()),
        }
    }
}

fn table(folder: &Path) -> anyhow::Result<Table> {
    let mut reader = csv::Reader::from_path(folder.join("labels.csv"))?;
    let rows = reader.deserialize().collect::<Result<Vec<_>, _>>()?;
    Ok(Table {
        folder: folder.to_owned(),
        rows,
    })
}

/// Files by their last folder and name: `images/x.jpg`.
type Files = BTreeMap<(String, String), Vec<u8>>;

fn folder(path: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for part in ["images", "labels"] {
        let Ok(entries) = std::fs::read_dir(path.join(part)) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert((part.into(), name), std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}

fn archive(path: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for entry in tar::Archive::new(std::fs::File::open(path)?).entries()? {
        let mut entry = entry?;
        let inside = entry.path()?.into_owned();
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
        let (Some(file), Some(part)) = (name(&inside), inside.parent().and_then(name)) else {
            continue;
        };
        if !entry.header().entry_type().is_file() || !["images", "labels"].contains(&part.as_str()) {
            continue;
        }
        ensure!(entry.size() <= MAX_MEMBER_BYTES, "{}: too large", inside.display());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert((part, file), bytes);
    }
    Ok(files)
}

fn pictures(mut files: Files) -> anyhow::Result<Vec<LabelledPicture>> {
    let names: Vec<String> = files
        .keys()
        .filter(|(part, name)| part == "images" && (name.ends_with(".jpg") || name.ends_with(".jpeg")))
        .map(|(_, name)| name.clone())
        .collect();
    ensure!(!names.is_empty(), "no images/*.jpg in it");
    let mut out = Vec::new();
    for name in names {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let label = ("labels".to_owned(), format!("{stem}.txt"));
        let text = files
            .get(&label)
            .with_context(|| format!("labels/{stem}.txt is missing"))?;
        let truth = truth(&String::from_utf8_lossy(text)).with_context(|| format!("labels/{stem}.txt"))?;
        let jpeg = files.remove(&("images".to_owned(), name.clone())).unwrap_or_default();
        out.push(LabelledPicture { name, jpeg, truth });
    }
    Ok(out)
}

/// Lines of `class cx cy w h`.
fn truth(text: &str) -> anyhow::Result<Vec<TrueBox>> {
    let line = |(i, line): (usize, &str)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |k: usize| {
            words
                .get(k)
                .and_then(|w| w.parse::<f32>().ok())
                .filter(|v| v.is_finite())
        };
        match (
            words.first().and_then(|w| w.parse().ok()),
            number(1),
            number(2),
            number(3),
            number(4),
        ) {
            (Some(class), Some(cx), Some(cy), Some(w), Some(h)) => Ok(TrueBox { class, cx, cy, w, h }),
            _ => bail!("line {}: {line:?} is not `class cx cy w h`", i + 1),
        }
    };
    text.lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
        .map(line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yolo_lines_are_read_and_a_broken_one_is_named() {
        let one = truth("0 0.5 0.25 0.1 0.2\n\n").unwrap();
        assert_eq!((one.len(), one[0].class, one[0].h), (1, 0, 0.2));
        let error = truth("0 0.5 0.25 0.1 0.2\n1 nan 0 0 0").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
