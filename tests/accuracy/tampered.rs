//! Recordings in which something is done to the lens halfway, plain and with a name and a clock burned in.

use std::fmt::Write;
use std::path::Path;

use watchfire::data::Picture;
use watchfire::draw;
use watchfire::ingest::gst::record::Mp4Writer;
use watchfire::ingest::gst::{Datum, MediaReader};

use crate::Place;
use crate::rates::share;
use crate::run::replay;

/// What is done to the lens.
#[derive(Clone, Copy)]
enum Done {
    Nothing,
    /// This grey everywhere.
    Covered(u8),
    Blurred,
    /// It shows the place of the next recording.
    Moved,
    /// The same picture again and again.
    Frozen,
}

/// With the label that the alert should carry.
const DONE: [(&str, Done, &str); 7] = [
    ("nothing", Done::Nothing, ""),
    ("covered, dark", Done::Covered(45), "covered"),
    ("covered, bright", Done::Covered(170), "covered"),
    ("black", Done::Covered(0), "black"),
    ("out of focus", Done::Blurred, "blurred"),
    ("another place", Done::Moved, "moved"),
    ("frozen", Done::Frozen, "frozen"),
];
/// A letter's height in pixels, and how.
const TEXTS: [(usize, &str); 3] = [(0, "none"), (8, "8 px"), (16, "16 px")];
const FPS: usize = 5;
/// The rule looks twice a second, whatever the camera gives.
const CAMERA: &str = "kinds = [\"tamper\"]\nanalysis_fps = 2\n";
const BEFORE_S: usize = 20;
const AFTER_S: usize = 20;
/// A picture that stands for a minute is frozen.
const FROZEN_S: usize = 70;
/// The radius of a box blur that is applied three times, in pixels.
const BLUR_PX: usize = 5;

pub fn lenses(place: &Place) -> String {
    let mut out = format!(
        "## Tampered lenses\n\nRecordings of {BEFORE_S} s as they are and {AFTER_S} s ({FROZEN_S} s for a frozen picture) in which the lens is \
         covered, out of focus (three box blurs of {BLUR_PX} px) or turned to another of these places; plain, and with a name and a running clock burned in, which \
         stay over whatever the lens shows. A cell holds the alert's label. A frozen picture into which the time is written on is not the same in every pixel: \
         no alert is due there, and those cells are not counted.\n\n"
    );
    let recordings = recordings(place);
    out += "| recording | text |";
    for (name, ..) in DONE {
        let _ = write!(out, " {name} |");
    }
    out += &format!("\n|---|---|{}\n", "---|".repeat(DONE.len()));
    let (mut told, mut tampered, mut wrong) = (0, 0, 0);
    for (i, (name, pictures)) in recordings.iter().enumerate() {
        let elsewhere = &recordings[(i + 1) % recordings.len()].1;
        for (height_px, text) in TEXTS {
            let _ = write!(out, "| {name} | {text} |");
            for (_, done, label) in DONE {
                let file = place.work.path().join("tampered.mp4");
                record(&file, pictures, elsewhere, done, height_px);
                let alerts = replay(place, &file, Some(CAMERA), &[]);
                let labels: Vec<&str> = alerts.iter().map(|a| a.label.as_str()).collect();
                let _ = write!(
                    out,
                    " {} |",
                    if labels.is_empty() {
                        "–".into()
                    } else {
                        labels.join(", ")
                    }
                );
                // The time is written on: that is not frozen.
                if matches!(done, Done::Frozen) && height_px > 0 {
                    continue;
                }
                if label.is_empty() {
                    wrong += usize::from(!labels.is_empty());
                } else {
                    tampered += 1;
                    told += usize::from(
                        alerts
                            .iter()
                            .any(|a| a.label == label && a.start_s >= BEFORE_S as f64 - 1.0),
                    );
                }
            }
            out += "\n";
        }
    }
    let _ = writeln!(
        out,
        "\nTold with the right label: {}. Alerts where nothing was done: {}.",
        share(told, tampered),
        share(wrong, recordings.len() * TEXTS.len())
    );
    out
}

/// The first pictures of each, at [`FPS`] and 640 pixels; a short clip begins again.
fn recordings(place: &Place) -> Vec<(&'static str, Vec<Picture>)> {
    let footage = place.footage();
    let files = [
        ("square (vtest)", footage),
        (
            "persons (intel)",
            place.data.join("intel/one-by-one-person-detection.mp4"),
        ),
        ("cars (intel)", place.data.join("intel/car-detection.mp4")),
        (
            "room (falls, again and again)",
            place.data.join("falls/Subject_1_ADL_10.mp4"),
        ),
    ];
    let there = files.into_iter().filter(|(_, file)| file.exists());
    there
        .map(|(name, file)| (name, pictures(&file, (BEFORE_S + AFTER_S) * FPS)))
        .collect()
}

fn pictures(file: &Path, count: usize) -> Vec<Picture> {
    let mut reader = MediaReader::open(file, FPS as f32, 640).unwrap();
    let mut pictures = Vec::new();
    while let (true, Some(datum)) = (pictures.len() < count, reader.next_datum().unwrap()) {
        if let Datum::Frame(picture, _) = datum {
            pictures.push(picture);
        }
    }
    assert!(!pictures.is_empty(), "{}", file.display());
    let once = pictures.len();
    (0..count).map(|i| pictures[i % once].clone()).collect()
}

fn record(path: &Path, pictures: &[Picture], elsewhere: &[Picture], done: Done, text_px: usize) {
    let (width, height) = (pictures[0].width, pictures[0].height);
    let writer = Mp4Writer::create(path, width, height, FPS as u32, false).unwrap();
    let after_s = if matches!(done, Done::Frozen) {
        FROZEN_S
    } else {
        AFTER_S
    };
    for i in 0..(BEFORE_S + after_s) * FPS {
        let here = &pictures[i % pictures.len()];
        let mut picture = if i < BEFORE_S * FPS {
            here.clone()
        } else {
            match done {
                Done::Nothing => here.clone(),
                Done::Covered(grey) => Picture {
                    rgb: vec![grey; here.rgb.len()],
                    ..*here
                },
                Done::Blurred => (0..3).fold(here.clone(), |p, _| blurred(&p)),
                Done::Moved => scaled(&elsewhere[i % elsewhere.len()], width, height),
                Done::Frozen => pictures[BEFORE_S * FPS].clone(),
            }
        };
        burn_in(&mut picture, text_px, i / FPS);
        writer.picture(&picture, (i * 1_000_000_000 / FPS) as u64).unwrap();
    }
    writer.finish().unwrap();
}

/// The nearest pixels.
fn scaled(p: &Picture, width: u32, height: u32) -> Picture {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let at = ((y * p.height / height * p.width + x * p.width / width) * 3) as usize;
            rgb.extend_from_slice(&p.rgb[at..at + 3]);
        }
    }
    Picture { width, height, rgb }
}

/// The mean of a square, cut at the edges.
fn blurred(p: &Picture) -> Picture {
    let (w, h) = (p.width as usize, p.height as usize);
    let across = |rgb: &[u8], at: &dyn Fn(usize, usize) -> usize, lines: usize, length: usize| {
        let mut out = vec![0u8; rgb.len()];
        for line in 0..lines {
            for i in 0..length {
                let (from, to) = (i.saturating_sub(BLUR_PX), (i + BLUR_PX + 1).min(length));
                for c in 0..3 {
                    let sum: usize = (from..to).map(|k| usize::from(rgb[at(line, k) + c])).sum();
                    out[at(line, i) + c] = (sum / (to - from)) as u8;
                }
            }
        }
        out
    };
    let rows = across(&p.rgb, &|y, x| (y * w + x) * 3, h, w);
    let rgb = across(&rows, &|x, y| (y * w + x) * 3, w, h);
    Picture { rgb, ..*p }
}

/// A name below and a clock above, in letters so high.
fn burn_in(p: &mut Picture, height_px: usize, second: usize) {
    let times = (height_px / 8) as u32;
    if times == 0 {
        return;
    }
    let clock = format!("2026-11-30 17:{:02}:{:02}", second / 60, second % 60);
    for (words, y) in [(clock.as_str(), 8), ("CAMERA 01 GATE", p.height - 8 - 9 * times)] {
        let (width, height) = (8 * words.len() as u32, 9);
        let mut small = Picture {
            width,
            height,
            rgb: vec![0; (width * height * 3) as usize],
        };
        draw::text(&mut small, 0, 0, [255; 3], words);
        for (row, from) in (0..height * times).map(|r| (r, r / times)) {
            for x in 0..width * times {
                let at = ((from * width + x / times) * 3) as usize;
                let to = (((y + row) * p.width + 8 + x) * 3) as usize;
                p.rgb[to..to + 3].copy_from_slice(&small.rgb[at..at + 3]);
            }
        }
    }
}
