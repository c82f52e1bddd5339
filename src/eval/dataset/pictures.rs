//! `images/*.jpg` with `labels/*.txt`: YOLO text, COCO class numbers.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{MAX_MEMBER_BYTES, TrueBox};
use crate::data::Picture;

/// Pictures with a longer side are refused before they are unpacked.
const MAX_SIDE_PX: usize = 10_000;

/// One picture and its true boxes.
pub(in crate::eval) struct LabelledPicture {
    /// File name without its folder.
    pub name: String,
    jpeg: Vec<u8>,
    /// None: there is no label file for it, which YOLO's tools take for a picture without objects.
    pub truth: Option<Vec<TrueBox>>,
}

impl LabelledPicture {
    /// # Errors
    /// It is no whole JPEG, or a huge one.
    pub fn decode(&self) -> anyhow::Result<Picture> {
        decode(&self.jpeg).with_context(|| self.name.clone())
    }
}

fn decode(jpeg: &[u8]) -> anyhow::Result<Picture> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE_PX)
        .set_max_height(MAX_SIDE_PX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    let mut rgb = decoder
        .decode()
        .map_err(|e| anyhow::anyhow!("is no whole JPEG of at most {MAX_SIDE_PX} pixels a side ({e})"))?;
    let (width, height) = decoder.dimensions().context("has no size")?;
    if rgb.len() == width * height {
        rgb = rgb.iter().flat_map(|grey| [*grey; 3]).collect();
    }
    ensure!(
        rgb.len() == width * height * 3,
        "is neither a colour nor a grey picture"
    );
    Ok(Picture {
        width: width as u32,
        height: height as u32,
        rgb,
    })
}

/// Files by their last folder and name: `images/x.jpg`.
type Files = BTreeMap<(String, String), Vec<u8>>;

pub(super) fn of_folder(path: &Path) -> anyhow::Result<Vec<LabelledPicture>> {
    let mut files = Files::new();
    for part in ["images", "labels"] {
        let Ok(entries) = std::fs::read_dir(path.join(part)) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if wanted(part, &name)? {
                files.insert((part.into(), name), std::fs::read(entry.path())?);
            }
        }
    }
    labelled(files)
}

pub(super) fn of_tar(path: &Path) -> anyhow::Result<Vec<LabelledPicture>> {
    let mut files = Files::new();
    for entry in tar::Archive::new(std::fs::File::open(path)?).entries()? {
        let mut entry = entry?;
        let inside = entry.path()?.into_owned();
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
        let (Some(file), Some(part)) = (name(&inside), inside.parent().and_then(name)) else {
            continue;
        };
        if !entry.header().entry_type().is_file() || !wanted(&part, &file)? {
            continue;
        }
        ensure!(entry.size() <= MAX_MEMBER_BYTES, "{}: too large", inside.display());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let before = files.insert((part, file), bytes);
        ensure!(
            before.is_none(),
            "{}: another file of this name is in it",
            inside.display()
        );
    }
    labelled(files)
}

/// Whether a file is a picture or a picture's labels.
///
/// # Errors
/// It is a picture that would be left out of the figures.
fn wanted(part: &str, name: &str) -> anyhow::Result<bool> {
    let ends = |endings: &[&str]| endings.iter().any(|e| name.to_ascii_lowercase().ends_with(e));
    let foreign = part == "images" && ends(&[".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic"]);
    ensure!(
        !foreign,
        "images/{name}: only JPEG is read; convert it, or move it away"
    );
    Ok(match part {
        "images" => ends(&[".jpg", ".jpeg"]),
        "labels" => ends(&[".txt"]),
        _ => false,
    })
}

fn labelled(mut files: Files) -> anyhow::Result<Vec<LabelledPicture>> {
    let names: Vec<String> = files
        .keys()
        .filter(|(part, _)| part == "images")
        .map(|(_, name)| name.clone())
        .collect();
    ensure!(!names.is_empty(), "no images/*.jpg in it");
    let mut out = Vec::new();
    for name in names {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let text = files.get(&("labels".to_owned(), format!("{stem}.txt")));
        let truth = text
            .map(|t| truth(&String::from_utf8_lossy(t)).with_context(|| format!("labels/{stem}.txt")))
            .transpose()?;
        let jpeg = files.remove(&("images".to_owned(), name.clone())).unwrap_or_default();
        out.push(LabelledPicture { name, jpeg, truth });
    }
    Ok(out)
}

/// Boxes of things that are cut off may reach out of the picture, in fractions of it; those in pixels are far larger.
const LONGEST: f32 = 1.5;

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
        // More numbers are an outline; read as a box, it would be a wrong one.
        let class = words.first().filter(|_| words.len() == 5);
        match (
            class.and_then(|w| w.parse().ok()),
            number(1),
            number(2),
            number(3),
            number(4),
        ) {
            (Some(class), Some(cx), Some(cy), Some(w), Some(h)) => {
                ensure!(
                    inside(cx, w) && inside(cy, h),
                    "line {}: {line:?} is no box of the picture: centre, width and height are fractions of it, from 0 to 1, and \
                     not pixels",
                    i + 1
                );
                Ok(TrueBox { class, cx, cy, w, h })
            }
            _ => bail!(
                "line {}: {line:?} is not `class cx cy w h` (boxes, not outlines)",
                i + 1
            ),
        }
    };
    text.lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
        .map(line)
        .collect()
}

/// Along one side of the picture.
fn inside(centre: f32, length: f32) -> bool {
    (0.0..=1.0).contains(&centre) && (0.0..=LONGEST).contains(&length)
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

    #[test]
    fn a_box_in_pixels_is_refused_and_one_that_is_cut_off_by_the_edge_is_not() {
        for line in [
            "0 0.5 0.5 1 1",
            "0 0.05 0.95 0.1 0.1",
            "0 0.940813 0.256961 0.151933 0.159890",
            "0 0 1 0.12 0",
        ] {
            assert_eq!(truth(line).unwrap().len(), 1, "{line}");
        }
        for line in [
            "0 5 5 9 9",
            "0 1.2 0.5 0.1 0.1",
            "0 0.5 0.5 40 0.1",
            "0 0.5 0.5 0.1 -0.1",
        ] {
            let error = truth(&format!("0 0.5 0.5 0.1 0.1\n{line}")).unwrap_err().to_string();
            assert!(
                error.contains("line 2") && error.contains(line) && error.contains("from 0 to 1"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_picture_without_lines_or_without_a_file_of_them_is_read() {
        let files = [
            ("images", "a.jpg", ""),
            ("images", "b.jpg", ""),
            ("labels", "a.txt", "\n"),
        ];
        let files = files.map(|(part, name, text)| ((part.to_owned(), name.to_owned()), text.as_bytes().to_vec()));
        let read = labelled(files.into()).unwrap();
        assert_eq!(read[0].truth.as_ref().map(Vec::len), Some(0));
        assert!(read[1].truth.is_none());
    }

    #[test]
    fn a_grey_jpeg_is_a_picture_and_a_broken_one_an_error() {
        let mut jpeg = Vec::new();
        jpeg_encoder::Encoder::new(&mut jpeg, 90)
            .encode(&[200; 16 * 8], 16, 8, jpeg_encoder::ColorType::Luma)
            .unwrap();
        let picture = decode(&jpeg).unwrap();
        assert_eq!((picture.width, picture.height, picture.rgb.len()), (16, 8, 16 * 8 * 3));
        assert!(picture.rgb[0].abs_diff(200) < 4);
        assert!(decode(&jpeg[..20]).is_err());
        let noise: Vec<u8> = (0..64u32 * 64)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let mut cut = Vec::new();
        jpeg_encoder::Encoder::new(&mut cut, 90)
            .encode(&noise, 64, 64, jpeg_encoder::ColorType::Luma)
            .unwrap();
        cut.truncate(cut.len() / 2);
        assert!(decode(&cut).is_err(), "half a picture was taken for a whole one");
    }
}
