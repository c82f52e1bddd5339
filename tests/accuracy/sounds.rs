//! Clips of sounds through the daemon's rules: which alerts come of them, and of what else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Place;
use crate::rates::{an_hour, share};
use crate::run::rows;

/// With the words of the data packs.
const KINDS: [(&str, &[&str]); 7] = [
    ("gunshot", &["gun_shot", "gunshot"]),
    ("explosion", &["explosion"]),
    ("glass_break", &["glass_breaking"]),
    ("siren", &["siren"]),
    ("baby_cry", &["crying_baby", "baby_cry"]),
    ("dog_bark", &["dog", "dog_bark"]),
    ("scream", &[]),
];
/// Kinds that one patch suffices for by default.
const AT_ONCE: [&str; 4] = ["gunshot", "explosion", "glass_break", "scream"];

struct Clip {
    file: PathBuf,
    word: String,
    part: Part,
    /// Clips of one recording have one name here.
    recording: String,
}

/// As `models/training/sound/data.py` parts them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Valid,
    Test,
}

/// What was found in a file.
struct Heard {
    seconds: f64,
    kinds: BTreeSet<String>,
}

pub fn alerts(place: &Place) -> String {
    let clips = clips(&place.data);
    let recordings = |part| -> BTreeSet<&str> { of(&clips, part).map(|c| c.recording.as_str()).collect() };
    let (trained, tested) = (recordings(Part::Train), recordings(Part::Test));
    let is_unheard = |c: &&Clip| match c.part {
        Part::Train => false,
        Part::Valid => !trained.contains(&*c.recording) && !tested.contains(&*c.recording),
        Part::Test => !trained.contains(&*c.recording),
    };
    let unheard: Vec<&Clip> = clips.iter().filter(is_unheard).collect();
    let default = hear(place, &unheard, "default", "");
    let rule = |kind| format!("[[camera.rule]]\nkind = \"{kind}\"\nmin_windows = 2\n");
    let patient = hear(place, &unheard, "patient", &AT_ONCE.map(rule).concat());
    let mut out = "## Sounds\n\nClips that the sound model was not trained on, each played by itself, with every kind of sound and the default rules (two patches \
        in a row; one for gunshot, explosion, glass_break and scream). `test` had no part in any choice (SESA's test rows without twins, ESC-10 fold 5, two Emo-DB speakers); \
        `validation` chose the thresholds (the sound card says which clips). **These are chosen events one after another: an ordinary hour holds far fewer.**\n\n"
        .to_owned();
    out += &table(&unheard, &default, |_| true);
    out += "\nThe kinds that alert at once, if they waited for two patches in a row (`min_windows = 2`):\n\n";
    out += &table(&unheard, &patient, |kind| AT_ONCE.contains(&kind));
    out += "\nWhat was taken for something else, test and validation together; words that are not here gave no false alert:\n\n\
            | what it was | clips | false alerts, by kind |\n|---|---|---|\n";
    for (word, n, told) in mistaken(&unheard, &default) {
        let told: Vec<String> = told.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        let _ = writeln!(out, "| {word} | {n} | {} |", told.join(", "));
    }
    out
}

fn of(clips: &[Clip], part: Part) -> impl Iterator<Item = &Clip> {
    clips.iter().filter(move |c| c.part == part)
}

fn table(clips: &[&Clip], heard: &BTreeMap<PathBuf, Heard>, is_in: impl Fn(&str) -> bool) -> String {
    let mut out =
        "| kind | part | clips with it, alert | clips without it, alert | false ones |\n|---|---|---|---|---|\n"
            .to_owned();
    for (kind, words) in KINDS.into_iter().filter(|(kind, _)| is_in(kind)) {
        for (name, part) in [("test", Part::Test), ("validation", Part::Valid)] {
            let row = row(clips, heard, kind, words, part);
            let _ = writeln!(out, "| {kind} | {name} | {row} |");
        }
    }
    out
}

fn row(clips: &[&Clip], heard: &BTreeMap<PathBuf, Heard>, kind: &str, words: &[&str], part: Part) -> String {
    let (mut with, mut found, mut without, mut wrong, mut seconds) = (0, 0, 0, 0, 0.0);
    for clip in clips.iter().filter(|c| c.part == part) {
        let told = &heard[&clip.file];
        let fired = usize::from(told.kinds.contains(kind));
        if words.contains(&clip.word.as_str()) {
            with += 1;
            found += fired;
        } else {
            without += 1;
            wrong += fired;
            seconds += told.seconds;
        }
    }
    format!(
        "{} | {wrong} of {without} | {}",
        share(found, with),
        an_hour(wrong, seconds)
    )
}

/// Words with their clips and the kinds that are wrong for them.
fn mistaken(clips: &[&Clip], heard: &BTreeMap<PathBuf, Heard>) -> Vec<(String, usize, BTreeMap<String, usize>)> {
    let mut by_word: BTreeMap<&str, (usize, BTreeMap<String, usize>)> = BTreeMap::new();
    for clip in clips {
        let (n, told) = by_word.entry(&clip.word).or_default();
        *n += 1;
        let right = |kind: &str| {
            KINDS
                .iter()
                .any(|(k, words)| *k == kind && words.contains(&clip.word.as_str()))
        };
        for kind in heard[&clip.file].kinds.iter().filter(|kind| !right(kind)) {
            *told.entry(kind.clone()).or_default() += 1;
        }
    }
    let told = by_word.into_iter().filter(|(_, (_, told))| !told.is_empty());
    told.map(|(word, (n, told))| (word.to_owned(), n, told)).collect()
}

/// A moderation job over all of them.
fn hear(place: &Place, clips: &[&Clip], name: &str, rules: &str) -> BTreeMap<PathBuf, Heard> {
    let work = place.work.path();
    let (config, report) = (work.join("sounds.toml"), work.join(format!("{name}.json")));
    let kinds = KINDS.map(|(kind, _)| format!("\"{kind}\"")).join(", ");
    let text = format!(
        "[site]\nname = \"accuracy\"\n[models]\ndir = {:?}\n[state]\ndir = {work:?}\n[[camera]]\nid = \"c\"\n\
         url = \"rtsp://127.0.0.1/none\"\nkinds = [{kinds}]\n{rules}",
        place.root.join("models")
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    command.arg("replay").args(clips.iter().map(|c| &c.file));
    command.arg("--config").arg(&config).arg("--report").arg(&report);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    let files = report["files"].as_array().unwrap().iter();
    let heard: BTreeMap<PathBuf, Heard> = files
        .map(|f| {
            let kinds = f["verdicts"].as_object().unwrap().keys().cloned().collect();
            let seconds = f["seconds"].as_f64().unwrap();
            (f["file"].as_str().unwrap().into(), Heard { seconds, kinds })
        })
        .collect();
    assert_eq!(heard.len(), clips.len());
    heard
}

fn clips(data: &Path) -> Vec<Clip> {
    // A job tells files by the one name that they have.
    let data = data.canonicalize().unwrap();
    let mut clips = Vec::new();
    let mut add = |folder: &str, row: &BTreeMap<String, String>, word: &str, part: Part| {
        let name = &row["file"];
        let recording = match folder.starts_with("esc") {
            true => name.split('-').nth(1).unwrap().to_owned(),
            false => format!("{folder}/{name}"),
        };
        let file = data.join(folder).join(name);
        let word = word.to_owned();
        clips.push(Clip {
            file,
            word,
            part,
            recording,
        });
    };
    let table = |folder: &str| rows(&data.join(folder).join("labels.csv"));
    for row in table("sesa/train") {
        let digits: String = row["file"].chars().filter(char::is_ascii_digit).collect();
        let tens = digits.parse::<u32>().unwrap() / 10;
        add(
            "sesa/train",
            &row,
            &row["label"],
            if tens % 5 == 2 { Part::Valid } else { Part::Train },
        );
    }
    for row in table("sesa/test")
        .iter()
        .filter(|r| r["same_recording_in_train"].is_empty())
    {
        add("sesa/test", row, &row["label"], Part::Test);
    }
    for row in table("esc10") {
        let part = match row["fold"].as_str() {
            "5" => Part::Test,
            "3" => Part::Valid,
            _ => Part::Train,
        };
        add("esc10", &row, &row["label"], part);
    }
    for (i, row) in table("esc50_fold4").iter().enumerate() {
        let word = row["label"].as_str();
        let is_kind = KINDS.iter().any(|(_, words)| words.contains(&word));
        match row["also_in_esc10"].as_str() {
            "1" => {}
            _ if !is_kind && i % 5 == 0 => add("esc50_fold4", row, word, Part::Valid),
            _ => add("esc50_fold4", row, word, Part::Train),
        }
    }
    for row in table("emodb") {
        let part = match row["speaker"].as_str() {
            "15" | "16" => Part::Test,
            "14" => Part::Valid,
            _ => Part::Train,
        };
        add("emodb", &row, "speech", part);
    }
    clips
}
