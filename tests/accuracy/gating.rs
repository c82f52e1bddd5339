//! What the gate saves, and whether it changes the alerts, by `replay --gating`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use watchfire::data::Picture;
use watchfire::ingest::gst::record::Mp4Writer;
use watchfire::ingest::gst::{Datum, MediaReader};

use crate::Place;
use crate::run::rows;

const PERSONS: &str = "one-by-one-person-detection.mp4";
const FPS: usize = 5;
/// So long each pause between two persons becomes, from its own frames forth and back.
const PAUSE_S: usize = 45;
/// Of a pause so much at both ends is left away: somebody's shadow may be there.
const MARGIN_S: f64 = 0.8;

pub fn savings(place: &Place) -> String {
    let intel = |name: &str| place.data.join("intel").join(name);
    let footage = place.footage();
    let clips = |folder: &str, split: &str| -> Vec<PathBuf> {
        let rows = rows(&place.data.join(folder).join("labels.csv")).into_iter();
        let kept = rows.filter(|r| split.is_empty() || r["split"] == split);
        kept.map(|r| place.data.join(folder).join(&r["file"])).collect()
    };
    let long = place.work.path().join("lengthened.mp4");
    lengthen(place, &intel(PERSONS), &long);
    let sets = [
        ("six people, the pauses between them lengthened", vec![long]),
        ("six people, one at a time", vec![intel(PERSONS)]),
        ("cars from above", vec![intel("car-detection.mp4")]),
        ("falls and daily life, 5 clips", clips("falls", "")),
        ("people walking (vtest)", vec![footage]),
        ("fights and none, the `val` clips", clips("fights", "val")),
    ];
    let mut out = format!(
        "## What gating saves\n\n`replay --gating` plays each recording with everything awake and with `gating = \"motion\"`: a camera with persons and vehicles, the \
         whole picture as a zone, a line, falls and fights. CPU-seconds are of the stages and models (in brackets the detector's and the clip \
         model's), on a machine shared with other work; reading and decoding are left out. Alerts are the same when kind and zone are, and their starts lie \
         at most a window (0.5 s) apart. In the lengthened recording each of the six pauses lasts {PAUSE_S} s: its own frames forth and back, encoded again.\n\n\
         | recordings | seconds | CPU-s, awake | CPU-s, `motion` | saved | windows in which the detector slept | alerts the same |\n|---|---|---|---|---|---|---|\n"
    );
    for (name, files) in sets {
        let told = gate(place, &files);
        let words: Vec<&str> = told.split_whitespace().collect();
        // `all SECONDS A (D, C) A (D, C) P% G of N S of M the same`
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            words[1],
            words[2..5].join(" "),
            words[5..8].join(" "),
            words[8].replace('%', " %"),
            words[9..12].join(" "),
            words[12..15].join(" ")
        );
    }
    out
}

/// The line that sums up.
fn gate(place: &Place, files: &[PathBuf]) -> String {
    let config = place.work.path().join("gating.toml");
    let text = format!(
        "[site]\nname = \"accuracy\"\n[models]\ndir = {:?}\n[state]\ndir = {:?}\n[[camera]]\nid = \"c\"\nurl = \"rtsp://127.0.0.1/none\"\n\
         kinds = [\"intrusion\", \"line_crossing\", \"fall\", \"fight\"]\ndetect = [\"person\", \"car\", \"bus\", \"truck\"]\n\
         [[camera.zone]]\nname = \"picture\"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\nclasses = []\n\
         [[camera.line]]\nname = \"exit\"\nfrom = [0.8, 1.0]\nto = [0.8, 0.0]\nclasses = []\n",
        place.root.join("models"),
        place.work.path()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    let output = command
        .arg("replay")
        .args(files)
        .arg("--config")
        .arg(&config)
        .arg("--gating")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{told}");
    let last = told.lines().next_back().unwrap_or_default();
    assert!(
        last.starts_with("all "),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    last.to_owned()
}

fn lengthen(place: &Place, from: &Path, to: &Path) {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let truth = rows(&place.data.join("intel/truth.csv"));
    let there: Vec<[f64; 2]> = truth
        .iter()
        .filter(|r| r["video"] == PERSONS)
        .map(|r| [number(&r["start_s"]), number(&r["end_s"])])
        .collect();
    let mut film = Vec::new();
    let mut reader = MediaReader::open(from, FPS as f32, 640).unwrap();
    while let Some(datum) = reader.next_datum().unwrap() {
        if let Datum::Frame(picture, at_ns) = datum {
            film.push((at_ns as f64 / 1e9, picture));
        }
    }
    let between = |from_s: f64, to_s: f64| film.iter().filter(move |(at_s, _)| (from_s..to_s).contains(at_s));
    let writer = Mp4Writer::create(to, film[0].1.width, film[0].1.height, FPS as u32, false).unwrap();
    let mut frames = 0;
    let mut write = |picture: &Picture| {
        writer.picture(picture, (frames * 1_000_000_000 / FPS) as u64).unwrap();
        frames += 1;
    };
    let mut gone_s = 0.0;
    for [comes_s, goes_s] in there {
        let pause: Vec<&Picture> = between(gone_s + MARGIN_S, comes_s - MARGIN_S).map(|(_, p)| p).collect();
        let forth_and_back = pause.iter().chain(pause.iter().rev()).cycle();
        forth_and_back.take(PAUSE_S * FPS).for_each(|p| write(p));
        between(comes_s - MARGIN_S, goes_s + MARGIN_S).for_each(|(_, p)| write(p));
        gone_s = goes_s;
    }
    writer.finish().unwrap();
}
