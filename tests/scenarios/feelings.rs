//! What faces and voices of a story seem to express.

use std::sync::Arc;

use watchfire::data::{Affect, BBox, FaceReport, SpeechEmotion, TrackFace, TrackedFrame};

use super::story::Feeling;

/// As the shipped models name them; the voice knows neither surprise nor contempt.
const FACES: [&str; 8] = [
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
];
const VOICES: [&str; 7] = ["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"];
/// Somebody smaller shows no face.
const MIN_HEIGHT: f32 = 0.1;

/// Every person's face in a frame. None while the story tells of none.
pub fn faces(feelings: &[Feeling], frame: &TrackedFrame, t: f64) -> Option<FaceReport> {
    let now = feelings.iter().find(|f| (f.from..f.to).contains(&t))?;
    let face = |bbox: &BBox| BBox {
        y2: bbox.y1 + 0.15 * bbox.height(),
        ..*bbox
    };
    let persons = frame
        .tracks
        .iter()
        .filter(|t| &*t.class == "person" && t.bbox.height() >= MIN_HEIGHT);
    let tracks = persons.map(|t| TrackFace {
        track: t.id,
        bbox: face(&t.bbox),
        quality: 0.7,
        scores: spread(&FACES, now),
        pictures: 3,
    });
    Some(FaceReport {
        at_ns: frame.pts_ns,
        labels: FACES.map(Arc::from).into(),
        model: "story_face@1".into(),
        tracks: tracks.collect(),
    })
}

/// The voice of the second before `to`.
pub fn voice(feelings: &[Feeling], to: f64, shift_ns: u64) -> Option<SpeechEmotion> {
    let now = feelings.iter().find(|f| (f.from..f.to).contains(&(to - 0.25)))?;
    let ns = |s: f64| (s * 1e9) as u64 + shift_ns;
    Some(SpeechEmotion {
        start_ns: ns((to - 1.5).max(0.0)),
        end_ns: ns(to),
        labels: VOICES.map(Arc::from).into(),
        probabilities: spread(&VOICES, now),
        affect: Affect::default(),
        model: "story_voice@1".into(),
    })
}

/// What is left over is spread evenly over the labels that the story does not name.
fn spread(labels: &[&str], feeling: &Feeling) -> Vec<f32> {
    for named in feeling.says.keys() {
        assert!(
            labels.contains(&named.as_str()),
            "no model says {named:?}; they say {labels:?}"
        );
    }
    let rest = 1.0 - feeling.says.values().sum::<f32>();
    let each = rest / (labels.len() - feeling.says.len()).max(1) as f32;
    labels
        .iter()
        .map(|l| feeling.says.get(*l).copied().unwrap_or(each))
        .collect()
}
