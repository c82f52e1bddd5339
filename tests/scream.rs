//! The scream rule over the data packs, through the hearing stage: `WATCHFIRE_DATA` names the folder of packs.
//!
//! No pack holds a scream. What is measured is how often the rule fires on the loud and high sounds nearest to one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire::data::{AudioChunk, AudioState, CameraId, ReportBody, Window};
use watchfire::ingest::gst::read_sound;
use watchfire::nn::{DeviceChoice, SoundModel};
use watchfire::scream::{LABEL, ScreamRule, THRESHOLD};
use watchfire::stages::{CameraProfile, Hearing, Job, Stage};

/// What must not be taken for a scream in more than 2 % of clips, all in all.
const NEAR: [&str; 10] = [
    "siren",
    "baby_cry",
    "crying_baby",
    "dog_bark",
    "dog",
    "rooster",
    "church_bells",
    "clock_alarm",
    "car_horn",
    "train",
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
        discontinuity: true,
    };
    let mut out = Vec::new();
    let job = Job::new(window, profile.clone());
    hearing.process(vec![job], &mut out).unwrap();
    let ReportBody::Hearing(heard) = &out[0].body else {
        panic!("{name}: no report of sound");
    };
    let scream = heard.labels.iter().position(|l| &**l == LABEL).unwrap();
    heard.patches.iter().any(|p| p.scores[scream] >= THRESHOLD)
}

#[test]
fn sirens_babies_dogs_roosters_and_bells_are_hardly_ever_taken_for_screams() {
    let Some(data) = std::env::var_os("WATCHFIRE_DATA").map(PathBuf::from) else {
        eprintln!("skipped: WATCHFIRE_DATA does not name the data folder");
        return;
    };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/sound");
    let sound = SoundModel::load(&models, DeviceChoice::Cpu, 0).unwrap();
    let mut hearing = Hearing::new(Box::new(sound), None);
    let profile = Arc::new(CameraProfile::default());
    // By word: clips, fired alone, fired in the stage.
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for pack in ["sesa/train", "sesa/test", "esc10", "esc50_fold4"] {
        for (file, word) in clips(&data.join(pack)) {
            let samples = read_sound(&file).unwrap();
            let count = counts.entry(word).or_default();
            count[0] += 1;
            count[1] += usize::from(alone(&samples));
            let name = format!("{pack}/{}", file.display());
            count[2] += usize::from(in_the_stage(&mut hearing, &profile, &name, samples));
        }
    }
    let mut near = [0; 3];
    for (word, count) in &counts {
        if count[1] > 0 || NEAR.contains(&&**word) {
            println!(
                "{word}: {} clips, {} alone, {} in the stage",
                count[0], count[1], count[2]
            );
        }
        if NEAR.contains(&&**word) {
            near.iter_mut().zip(count).for_each(|(sum, n)| *sum += n);
        }
    }
    let all = counts
        .values()
        .fold([0; 3], |a, c| [a[0] + c[0], a[1] + c[1], a[2] + c[2]]);
    println!("near: {near:?}; all: {all:?}");
    assert!(near[0] > 200);
    assert!(
        near[2] * 50 <= near[0],
        "{} of {} clips taken for screams",
        near[2],
        near[0]
    );
}
