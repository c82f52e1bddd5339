//! Data sets in the layouts of the packs: a folder, a tar, or an `.npz`.

mod arrays;
mod pictures;
mod table;

use std::path::Path;

use anyhow::{Context, bail};

use crate::data::Picture;
use crate::nn::Label;

pub(super) use pictures::LabelledPicture;
pub(super) use table::{Row, Table};

/// A larger member of a tar is no picture, no sound and no text.
const MAX_MEMBER_BYTES: u64 = 256 << 20;

/// COCO class number; centre and size in fractions of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TrueBox {
    pub class: u32,
    pub cx: f32,
    pub cy: f32,
    pub w: f32,
    pub h: f32,
}

/// One picture of an `.npz` and the word that stands for it.
pub(super) struct LabelledFace {
    pub picture: Picture,
    /// The word with the most votes; None where nobody voted.
    pub label: Option<String>,
    /// The voters agree: without single votes, a word that names an expression has more than half (Barsoum et al., 2016).
    pub agreed: bool,
}

pub(super) enum Dataset {
    /// `images/` and `labels/`
    Pictures(Vec<LabelledPicture>),
    /// `labels.csv` beside sounds or clips
    Table(Table),
    /// `.npz` with `images` and `votes` or `labels`
    Faces(Vec<LabelledFace>),
}

impl Dataset {
    /// Where a data set numbers its words, `labels` may be what it counts.
    ///
    /// # Errors
    /// The path is in none of the layouts, or a part of it is damaged; the message names it.
    pub fn open(path: &Path, labels: &[Label]) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        if path.is_dir() {
            if path.join("labels.csv").is_file() {
                return Table::of_folder(path).map(Self::Table).with_context(at);
            }
            if path.join("images").is_dir() {
                return pictures::of_folder(path).map(Self::Pictures).with_context(at);
            }
            bail!("{}: neither labels.csv nor images/ is in it", path.display());
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("tar") if table::is_in_tar(path).with_context(at)? => {
                Table::of_tar(path).map(Self::Table).with_context(at)
            }
            Some("tar") => pictures::of_tar(path).map(Self::Pictures).with_context(at),
            Some("npz") => arrays::of_npz(path, labels).map(Self::Faces).with_context(at),
            _ => bail!("{}: is neither a folder nor a .tar nor an .npz", path.display()),
        }
    }

    /// What is in it, for messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Pictures(_) => "pictures with boxes",
            Self::Table(_) => "labelled clips",
            Self::Faces(_) => "labelled faces",
        }
    }
}
