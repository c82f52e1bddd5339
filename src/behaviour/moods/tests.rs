use proptest::prelude::*;

use super::*;
use crate::data::{Affect, BBox, FaceReport, SoundPatch, SpeechEmotion, Track, TrackFace, TrackedFrame, VisionReport};

const S: u64 = 1_000_000_000;
const HALF: u64 = S / 2;

/// What is seen and heard in each window of a moment.
#[derive(Clone, Copy, Default)]
struct Moment {
    /// Probability of the kind's first label in the face and in the voice.
    face: Option<f32>,
    voice: Option<f32>,
    /// Loudness of speech, dBFS.
    speech: Option<f32>,
    scream: bool,
}

/// A rule in a room of -50 dBFS with one person in view.
struct Room {
    watch: MoodWatch,
    mood: Mood,
    label: &'static str,
    now_ns: u64,
}

impl Room {
    fn new(kind: Kind) -> Self {
        Self::with(MoodRule::default_for(kind))
    }

    fn with(rule: MoodRule) -> Self {
        let mut room = Self {
            label: if rule.kind == Kind::Aggression { "anger" } else { "fear" },
            watch: MoodWatch::new(rule),
            mood: Mood::default(),
            now_ns: 0,
        };
        assert!(room.play(3.0, Moment::default()).is_none());
        room
    }

    /// The first finding within so many seconds.
    fn play(&mut self, seconds: f64, moment: Moment) -> Option<Finding> {
        (0..(seconds * 2.0) as usize).filter_map(|_| self.window(moment)).next()
    }

    fn window(&mut self, moment: Moment) -> Option<Finding> {
        self.now_ns += HALF;
        let now_ns = self.now_ns;
        let two = |p: f32| vec![1.0 - p, p];
        let labels: Arc<[Arc<str>]> = ["neutral".into(), self.label.into()].into();
        let bbox = BBox {
            x1: 0.4,
            y1: 0.2,
            x2: 0.6,
            y2: 0.9,
        };
        let face = |p| TrackFace {
            track: 7,
            bbox,
            quality: 0.8,
            scores: two(p),
            pictures: 1,
        };
        let faces = FaceReport {
            at_ns: now_ns,
            labels: labels.clone(),
            model: "face_emotion@1".into(),
            tracks: moment.face.into_iter().map(face).collect(),
        };
        self.mood.see(&faces);
        if let Some(p) = moment.voice {
            self.mood.hear(&SpeechEmotion {
                start_ns: now_ns - HALF,
                end_ns: now_ns,
                labels,
                probabilities: two(p),
                affect: Affect::default(),
                model: "speech_emotion@1".into(),
            });
        }
        let seen = VisionReport {
            frames: vec![TrackedFrame {
                pts_ns: now_ns,
                tracks: vec![Track {
                    id: 7,
                    class: "person".into(),
                    score: 0.9,
                    bbox,
                    seen: true,
                    hits: 9,
                    born_ns: 0,
                }],
            }],
            aspect: 1.0,
            model: "detector@1".into(),
            faces: None,
        };
        let heard = HearingReport {
            patches: vec![SoundPatch {
                start_ns: now_ns - HALF,
                end_ns: now_ns,
                scores: vec![
                    f32::from(u8::from(moment.speech.is_some())),
                    f32::from(u8::from(moment.scream)),
                ],
                level_dbfs: moment.speech.unwrap_or(-50.0),
            }],
            labels: ["speech".into(), "scream".into()].into(),
            model: "sound@1".into(),
            ..HearingReport::default()
        };
        self.watch
            .observe(&self.mood, Some(&seen), Some(&heard), &(now_ns - S / 2..now_ns))
    }
}

const QUARREL: Moment = Moment {
    face: Some(0.8),
    voice: Some(0.8),
    speech: Some(-25.0),
    scream: false,
};

#[test]
fn anger_in_face_and_voice_with_loud_speech_is_aggression_after_seconds_not_at_once() {
    let mut room = Room::new(Kind::Aggression);
    assert!(room.play(3.0, QUARREL).is_none());
    let finding = room.play(1.0, QUARREL).unwrap();
    assert_eq!(
        (finding.kind, finding.at_ns),
        (Kind::Aggression, 3 * S + HALF),
        "it began with the first"
    );
    assert_eq!(finding.tracks[0].id, 7);
    let models: Vec<&str> = finding.evidence.iter().map(|e| &*e.model).collect();
    assert_eq!(models, ["face_emotion@1", "speech_emotion@1", "rule:loudness"]);
    let sum: f32 = finding.evidence.iter().map(|e| e.contribution).sum();
    assert!((logit(finding.score) - logit(finding.prior) - sum).abs() < 1e-3);
}

#[test]
fn no_sense_alone_is_aggression_at_the_default_threshold_however_long() {
    for moment in [
        Moment {
            face: Some(0.99),
            ..Moment::default()
        },
        Moment { face: None, ..QUARREL },
        Moment {
            face: Some(0.99),
            speech: Some(-45.0),
            ..Moment::default()
        },
        Moment {
            face: Some(0.05),
            ..QUARREL
        },
    ] {
        assert!(Room::new(Kind::Aggression).play(60.0, moment).is_none());
    }
}

#[test]
fn one_sense_alone_needs_four_times_as_long_where_the_threshold_lets_it() {
    let mut room = Room::new(Kind::Aggression);
    room.watch.rule.threshold = 0.4;
    let voice = Moment { face: None, ..QUARREL };
    assert!(room.play(12.0, voice).is_none());
    assert!(room.play(1.0, voice).is_some());
}

#[test]
fn a_fearful_face_with_screams_or_a_fearful_voice_is_distress_and_one_window_of_it_is_not() {
    let scream = Moment {
        face: Some(0.8),
        scream: true,
        ..Moment::default()
    };
    let voice = Moment {
        face: Some(0.8),
        voice: Some(0.8),
        ..Moment::default()
    };
    for moment in [scream, voice] {
        assert!(Room::new(Kind::Distress).play(5.0, moment).is_some());
        let mut room = Room::new(Kind::Distress);
        assert!(room.window(moment).is_none() && room.play(20.0, Moment::default()).is_none());
    }
    let face = Moment {
        face: Some(0.99),
        ..Moment::default()
    };
    assert!(Room::new(Kind::Distress).play(60.0, face).is_none());
}

#[test]
fn it_goes_on_through_a_breath_and_begins_anew_after_calm() {
    let mut room = Room::new(Kind::Aggression);
    assert!(room.play(2.0, QUARREL).is_none());
    // Nothing is said and no face is seen for a second.
    assert!(room.play(1.0, Moment::default()).is_none());
    assert!(room.play(2.0, QUARREL).is_some());
    let calm = Moment {
        face: Some(0.02),
        voice: Some(0.02),
        speech: Some(-42.0),
        scream: false,
    };
    assert!(room.play(3.0, calm).is_none());
    assert!(room.play(3.0, QUARREL).is_none());
}

#[test]
fn without_a_modality_the_score_never_moves_the_way_it_argued_for() {
    let finding = Room::new(Kind::Aggression).play(9.0, QUARREL).unwrap();
    for (i, gone) in finding.evidence.iter().enumerate() {
        let mut rest = finding.evidence.clone();
        rest.remove(i);
        assert!((pool(finding.prior, &rest) - finding.score) * gone.contribution <= 0.0);
    }
}

proptest! {
    /// Of a finding of either kind, with the camera's own prior: what is added up is what the score says, and without picture or sound
    /// it is never surer than it was with one that argued for it.
    #[test]
    fn taking_a_modality_away_never_raises_what_it_argued_for(
        is_aggression: bool, prior in 0.01f32..0.9,
        face in proptest::option::of(0.01f32..0.99), voice in proptest::option::of(0.01f32..0.99),
        speech in proptest::option::of(-50f32..-5.0), scream: bool,
    ) {
        let kind = if is_aggression { Kind::Aggression } else { Kind::Distress };
        let find = |with_picture: bool, with_sound: bool| {
            // Whatever is judged is found.
            let mut room = Room::with(MoodRule { kind, threshold: 0.0, min_s: 0.0, prior });
            room.window(Moment {
                face: face.filter(|_| with_picture),
                voice: voice.filter(|_| with_sound),
                speech: speech.filter(|_| with_sound),
                scream: scream && with_sound,
            })
        };
        let whole = find(true, true);
        // The room has -50 dBFS, and speech is loud from 10 dB over that on.
        let is_judged = match kind {
            Kind::Aggression => speech.is_some_and(|dbfs| dbfs > -40.0),
            _ => face.is_some() || voice.is_some() || scream,
        };
        prop_assert_eq!(whole.is_some(), is_judged);
        let Some(whole) = whole else { return Ok(()) };
        let sum: f32 = whole.evidence.iter().map(|e| e.contribution).sum();
        prop_assert!((logit(whole.score) - logit(whole.prior) - sum).abs() < 2e-2, "{whole:?}");
        for (modality, less) in [(Modality::Video, find(false, true)), (Modality::Audio, find(true, false))] {
            let own = whole.evidence.iter().filter(|e| e.modality == modality);
            let for_it: f32 = own.map(|e| e.contribution).sum();
            let surer = less.is_some_and(|less| less.score > whole.score + 1e-3);
            prop_assert!(for_it < 1e-3 || !surer, "{modality}: {whole:?}");
        }
    }
}
