//! The scream rule over the data packs, through the hearing stage: `WATCHFIRE_DATA` names the folder of packs.
//!
//! No pack holds a scream. What is measured is how often the rule fires on the loud and high sounds nearest to one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use watchfire::data::{AudioChunk, AudioState, CameraId, ReportBody, Window};
use watchfire::ingest::gst::read_sound;
use watchfire::nn::{DeviceChoice, SoundModel};
use watchfire::scream::{LABEL, ScreamRule, THRESHOLD};
use watchfire::stages::{CameraProfile, Hearing, Job, Stage};

/// The rows of the card's table by the words of the packs. None of it must be taken for a scream in more than 2 % of
/// clips, all in all.
const NEAR: [(&str, &[&str]); 5] = [
    ("sirens", &["siren"]),
    ("babies", &["baby_cry", "crying_baby"]),
    ("dogs", &["dog_bark", "dog"]),
    ("roosters", &["rooster"]),
    (
        "bells, alarm clocks, car horns, trains",
        &["church_bells", "clock_alarm", "car_horn", "train"],
    ),
];
const PATCH: usize = 15_360;

/// Every clip of a pack with its word.
fn clips(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut table = csv::Reader::from_path(folder.join("labels.csv")).unwrap();
    let rows = table.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    rows.map(|r| (folder.join(&r["file"]), r["label"].clone())).collect()
}

/// The rule by itself.
fn alone(samples: &[f32]) -> bool {
    let mut rule = ScreamRule::default().stream();
    let mut fired = false;
    for (i, patch) in samples.windows(PATCH).step_by(PATCH / 2).enumerate() {
        let new = if i == 0 { PATCH } else { PATCH / 2 };
        fired |= rule.hear(patch, new).is_some_and(|cues| cues.score() >= THRESHOLD);
    }
    fired
}

/// As the daemon hears it, where the sound model has its say.
fn in_the_stage(hearing: &mut Hearing, profile: &Arc<CameraProfile>, name: &str, samples: Vec<f32>) -> bool {
    let window = Window {
        camera: CameraId::new(name),
        seq: 0,
        start_ns: 0,
        end_ns: samples.len() as u64 * 62_500,
        frames: vec![],
        audio: vec![AudioChunk {
            pts_ns: 0,
            samples: samples.into(),
        }],
        audio_state: AudioState::Present,
        utc_offset_ns: 0,
        arrived_ns: 0,
        breaks_off: false,
        stretch: 0,
    };
    let mut out = Vec::new();
    let job = Job::new(window, profile.clone());
    hearing.process(job, &mut out).unwrap();
    let ReportBody::Hearing(heard) = &out[0].body else {
        panic!("{name}: no report of sound");
    };
    let scream = heard.labels.iter().position(|l| &**l == LABEL).unwrap();
    heard.patches.iter().any(|p| p.scores[scream] >= THRESHOLD)
}

#[test]
#[ignore = "needs data that is not in the repository: make eval"]
fn sirens_babies_dogs_roosters_and_bells_are_hardly_ever_taken_for_screams() {
    let Some(data) = std::env::var_os("WATCHFIRE_DATA").map(PathBuf::from) else {
        println!("skipped: WATCHFIRE_DATA does not name the data folder");
        return;
    };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/sound");
    let sound = SoundModel::load(&models, DeviceChoice::Cpu, 0).unwrap();
    let mut hearing = Hearing::new(Box::new(sound), None);
    let profile = Arc::new(CameraProfile::default());
    let (mut spent, mut patches) = (Duration::ZERO, 0u32);
    // By word: clips, fired alone, fired in the stage.
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for pack in ["sesa/train", "sesa/test", "esc10", "esc50_fold4"] {
        for (file, word) in clips(&data.join(pack)) {
            let samples = read_sound(&file).unwrap();
            let count = counts.entry(word).or_default();
            count[0] += 1;
            let began = Instant::now();
            count[1] += usize::from(alone(&samples));
            spent += began.elapsed();
            patches += samples.windows(PATCH).step_by(PATCH / 2).count() as u32;
            let name = format!("{pack}/{}", file.display());
            count[2] += usize::from(in_the_stage(&mut hearing, &profile, &name, samples));
        }
    }
    println!(
        "{:.2} ms a patch",
        spent.as_secs_f64() * 1e3 / f64::from(patches.max(1))
    );
    let add = |a: [usize; 3], b: [usize; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
    let of = |words: &[&str]| {
        let own = words.iter().filter_map(|w| counts.get(*w));
        own.fold([0; 3], |sum, count| add(sum, *count))
    };
    let rows = NEAR.map(|(name, words)| (name, of(words)));
    let near = rows.iter().fold([0; 3], |sum, (_, count)| add(sum, *count));
    let all = counts.values().fold([0; 3], |sum, count| add(sum, *count));
    let mut says: Vec<String> = rows
        .iter()
        .map(|(name, [clips, alone, stage])| format!("| {name} | {clips} | {alone} | {stage} |"))
        .collect();
    says.push(format!("| all of these | {} | {} (", near[0], near[1]));
    says.push(format!("%) | {} (", near[2]));
    let thousands = format!("{},{:03}", all[0] / 1000, all[0] % 1000);
    says.push(format!(
        "Over all {thousands} clips of the packs it fires on {} in the stage",
        all[2]
    ));
    for (word, [_, alone, stage]) in counts.iter().filter(|(_, count)| count[1] > 0) {
        println!("{word}: {alone} alone, {stage} in the stage");
    }
    let card = include_str!("../models/scream/card.md");
    let wrong: Vec<&String> = says.iter().filter(|row| !card.contains(row.as_str())).collect();
    println!("{}", says.join("\n"));
    assert!(wrong.is_empty(), "the card does not say {wrong:#?}");
    assert!(near[0] > 200);
    assert!(
        near[2] * 50 <= near[0],
        "{} of {} clips taken for screams",
        near[2],
        near[0]
    );
}
