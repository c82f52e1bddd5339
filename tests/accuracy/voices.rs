//! Faces and acted voices put together, for `aggression` and `distress`: no recording with truth holds either.

use std::fmt::Write;
use std::path::Path;

use candle_core::{DType, Tensor, npy::NpzTensors};
use watchfire::data::Picture;
use watchfire::ingest::gst::record::Mp4Writer;
use watchfire::ingest::gst::{Datum, MediaReader, read_sound};

use crate::Place;
use crate::run::{Alert, replay, rows};

/// Face and voice.
const PAIRS: [(&str, &str); 8] = [
    ("anger", "anger"),
    ("fear", "fear"),
    ("sadness", "sadness"),
    ("happiness", "happiness"),
    ("neutral", "neutral"),
    ("happiness", "anger"),
    ("neutral", "anger"),
    ("neutral", "sadness"),
];
const SPEAKERS: [&str; 2] = ["15", "16"];
const FACES: usize = 2;
/// Of FER+'s ten voters so many agree on the face.
const AGREE: f32 = 8.0;
/// FER+'s order of votes.
const VOTES: [&str; 5] = ["neutral", "happiness", "surprise", "sadness", "anger"];
const FEAR: usize = 6;
/// Where the man's head is in the clip's first picture, and how large a face is put there, in pixels.
const HEAD_PX: (usize, usize) = (206, 124);
const FACE_PX: usize = 64;
const FPS: usize = 5;
const RATE_HZ: usize = 16_000;
/// A quiet room, then so much talk.
const QUIET_S: usize = 6;
const TALK_S: usize = 14;

pub fn moods(place: &Place) -> String {
    let room = first_picture(&place.data.join("falls/Subject_1_ADL_16.mp4"));
    let npz = NpzTensors::new(place.data.join("ferplus/valid.npz")).unwrap();
    let of = |name: &str| npz.get(name).unwrap().unwrap().to_dtype(DType::F32).unwrap();
    let (images, votes) = (of("images"), of("votes"));
    let mut out = format!(
        "## Faces and acted voices\n\nPut together, for want of a recording with truth: a man sits on a chair (one picture of a clip of `falls`) with the face of \
         a stranger (FER+ valid, {AGREE} of ten voters at least agree on it, {FACES} faces a row), while one of the two Emo-DB actors that no \
         model was trained on says his or her sentences in one emotion for {TALK_S} s, after {QUIET_S} s of a quiet room. Faces hold still, \
         and voices are acted: a real scene is harder. Recordings with an alert, and the seconds of talk until it was told:\n\n\
         | face | voice | recordings | `aggression` | told after | `distress` | told after |\n|---|---|---|---|---|---|---|\n"
    );
    for (face, voice) in PAIRS {
        let mut alerts: Vec<Vec<Alert>> = Vec::new();
        for picture in faces(&images, &votes, face).iter().map(|f| with_face(&room, f)) {
            for speaker in SPEAKERS {
                let file = place.work.path().join("pair.mp4");
                record(&file, &picture, &talk(place, speaker, voice));
                let camera = "kinds = [\"aggression\", \"distress\"]\nemotion = true\n";
                alerts.push(replay(place, &file, Some(camera), &[]));
            }
        }
        let _ = write!(out, "| {face} | {voice} | {} |", alerts.len());
        for kind in ["aggression", "distress"] {
            let first = |of: &Vec<Alert>| of.iter().find(|a| a.kind == kind).map(|a| a.told_s - QUIET_S as f64);
            let times: Vec<String> = alerts.iter().filter_map(first).map(|s| format!("{s:.1} s")).collect();
            let _ = write!(out, " {} | {} |", times.len(), times.join(", "));
        }
        out += "\n";
    }
    out
}

fn first_picture(clip: &Path) -> Picture {
    let mut reader = MediaReader::open(clip, FPS as f32, 1920).unwrap();
    loop {
        if let Datum::Frame(picture, _) = reader.next_datum().unwrap().expect("a clip has a picture") {
            return picture;
        }
    }
}

/// The first grey faces of 48 × 48 on which the voters agree so.
fn faces(images: &Tensor, votes: &Tensor, emotion: &str) -> Vec<Vec<f32>> {
    let column = VOTES.iter().position(|v| *v == emotion).unwrap_or(FEAR);
    let votes: Vec<Vec<f32>> = votes.to_vec2().unwrap();
    let agreed = (0..votes.len()).filter(|i| votes[*i][column] >= AGREE);
    let image = |i: usize| images.get(i).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let found: Vec<Vec<f32>> = agreed.take(FACES).map(image).collect();
    assert_eq!(found.len(), FACES, "{emotion}");
    found
}

fn with_face(room: &Picture, face: &[f32]) -> Picture {
    let mut picture = room.clone();
    for y in 0..FACE_PX {
        for x in 0..FACE_PX {
            let grey = face[y * 48 / FACE_PX * 48 + x * 48 / FACE_PX] as u8;
            let at = ((HEAD_PX.1 + y) * picture.width as usize + HEAD_PX.0 + x) * 3;
            picture.rgb[at..at + 3].fill(grey);
        }
    }
    picture
}

/// Quiet, then the actor's sentences, again from the first where they do not suffice.
fn talk(place: &Place, speaker: &str, emotion: &str) -> Vec<f32> {
    let folder = place.data.join("emodb");
    let own = rows(&folder.join("labels.csv"))
        .into_iter()
        .filter(|r| r["speaker"] == speaker && r["emotion"] == emotion);
    let clips: Vec<Vec<f32>> = own.map(|r| read_sound(&folder.join(&r["file"])).unwrap()).collect();
    let mut samples = vec![0.0; QUIET_S * RATE_HZ];
    for clip in clips.iter().cycle() {
        samples.extend(clip);
        samples.extend(vec![0.0; RATE_HZ * 3 / 10]);
        if samples.len() >= (QUIET_S + TALK_S) * RATE_HZ {
            break;
        }
    }
    // The room's hiss at about -60 dBFS (a linear congruential generator: the same each time).
    let mut state = 1u32;
    for sample in &mut samples {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample += (state >> 8) as f32 / (1 << 24) as f32 * 0.003 - 0.0015;
    }
    samples
}

fn record(path: &Path, picture: &Picture, samples: &[f32]) {
    let writer = Mp4Writer::create(path, picture.width, picture.height, FPS as u32, true).unwrap();
    for (i, chunk) in samples.chunks(RATE_HZ / FPS).enumerate() {
        let pts_ns = (i * 1_000_000_000 / FPS) as u64;
        writer.picture(picture, pts_ns).unwrap();
        writer.sound(chunk, pts_ns).unwrap();
    }
    writer.finish().unwrap();
}
