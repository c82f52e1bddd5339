//! What a camera's people seem to express now: the faces and voices read lately.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::emotion::{mean, opinion_pool};
use crate::data::{Affect, Distribution, Emotion, FaceReport, SpeechEmotion};

/// What was read longer ago says nothing of now.
const FRESH_NS: u64 = 5_000_000_000;

/// One camera's faces by track, and its last voice.
#[derive(Default)]
pub struct Mood {
    faces: BTreeMap<u64, Read>,
    speech: Option<(Read, Affect)>,
}

struct Read {
    at_ns: u64,
    weight: f32,
    says: Distribution,
    model: Arc<str>,
}

/// What a model read, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub says: Distribution,
    /// `name@version`
    pub model: Arc<str>,
    pub at_ns: u64,
}

impl Mood {
    pub fn see(&mut self, faces: &FaceReport) {
        for face in &faces.tracks {
            let says = faces.labels.iter().cloned().zip(face.scores.iter().copied());
            let read = Read {
                at_ns: faces.at_ns,
                weight: face.quality,
                says: says.collect(),
                model: faces.model.clone(),
            };
            self.faces.insert(face.track, read);
        }
    }

    pub fn hear(&mut self, voice: &SpeechEmotion) {
        let says = voice.labels.iter().cloned().zip(voice.probabilities.iter().copied());
        let read = Read {
            at_ns: voice.end_ns,
            weight: 1.0,
            says: says.collect(),
            model: voice.model.clone(),
        };
        self.speech = Some((read, voice.affect));
    }

    /// The mean of the fresh faces, each by how much it shows; the fresh voice; both pooled.
    pub fn now(&mut self, now_ns: u64) -> Emotion {
        let fresh = |read: &Read| now_ns.saturating_sub(read.at_ns) <= FRESH_NS;
        self.faces.retain(|_, read| fresh(read));
        self.speech.take_if(|(read, _)| !fresh(read));
        let face = mean(self.faces.values().map(|r| (r.weight, &r.says)));
        let speech = self.speech.as_ref().map(|(r, _)| r.says.clone());
        let fused = match (&face, &speech) {
            (Some(face), Some(speech)) => opinion_pool(face, speech),
            _ => face.clone().or_else(|| speech.clone()),
        };
        Emotion {
            face,
            speech,
            affect: self.speech.as_ref().map(|(_, affect)| *affect),
            fused,
        }
    }

    /// The mean of the faces that were read since a time, each by how much it shows, and the voice if it was.
    pub fn readings(&self, since_ns: u64) -> (Option<Reading>, Option<Reading>) {
        let faces = || self.faces.values().filter(|r| r.at_ns >= since_ns);
        let newest = faces().max_by_key(|r| r.at_ns);
        let face = newest.and_then(|newest| {
            Some(Reading {
                says: mean(faces().map(|r| (r.weight, &r.says)))?,
                model: newest.model.clone(),
                at_ns: newest.at_ns,
            })
        });
        let heard = self.speech.as_ref().map(|(r, _)| r);
        let voice = heard.filter(|r| r.at_ns >= since_ns).map(|r| Reading {
            says: r.says.clone(),
            model: r.model.clone(),
            at_ns: r.at_ns,
        });
        (face, voice)
    }

    /// The faces of these tracks, where they are fresh.
    pub fn of_tracks(&self, tracks: impl Iterator<Item = u64>) -> Option<Distribution> {
        let reads: Vec<&Read> = tracks.filter_map(|id| self.faces.get(&id)).collect();
        mean(reads.into_iter().map(|r| (r.weight, &r.says)))
    }

    /// The stream was interrupted: tracks are new.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BBox, TrackFace};

    const S: u64 = 1_000_000_000;

    fn faces(at_ns: u64, tracks: &[(u64, f32, f32)]) -> FaceReport {
        let face = |(track, quality, anger): &(u64, f32, f32)| TrackFace {
            track: *track,
            bbox: BBox {
                x1: 0.0,
                y1: 0.0,
                x2: 0.1,
                y2: 0.1,
            },
            quality: *quality,
            scores: vec![1.0 - anger, *anger],
            pictures: 1,
        };
        FaceReport {
            at_ns,
            labels: ["neutral".into(), "anger".into()].into(),
            model: "face_emotion@test".into(),
            tracks: tracks.iter().map(face).collect(),
        }
    }

    fn voice(end_ns: u64) -> SpeechEmotion {
        SpeechEmotion {
            start_ns: end_ns - S,
            end_ns,
            labels: ["neutral".into(), "anger".into()].into(),
            probabilities: vec![0.4, 0.6],
            affect: Affect {
                arousal: 0.5,
                valence: -0.25,
            },
            model: "voice@1".into(),
        }
    }

    fn anger(of: &Option<Distribution>) -> Option<f32> {
        of.as_ref()?.iter().find(|(l, _)| &**l == "anger").map(|(_, p)| *p)
    }

    #[test]
    fn faces_count_by_how_much_they_show_and_are_forgotten() {
        let mut mood = Mood::default();
        mood.see(&faces(S, &[(1, 0.75, 1.0), (2, 0.25, 0.0)]));
        assert!((anger(&mood.now(S).face).unwrap() - 0.75).abs() < 1e-6);
        assert_eq!(anger(&mood.of_tracks([2].into_iter())), Some(0.0));
        assert!(mood.of_tracks([7].into_iter()).is_none());
        assert_eq!(mood.now(10 * S), Emotion::default());
    }

    #[test]
    fn a_voice_is_pooled_with_the_faces_and_stands_alone_without_them() {
        let mut mood = Mood::default();
        mood.hear(&voice(S));
        let alone = mood.now(S);
        assert_eq!(alone.affect, Some(voice(S).affect));
        assert_eq!((alone.face.is_none(), &alone.fused), (true, &alone.speech));
        mood.see(&faces(S, &[(1, 0.9, 0.6)]));
        let both = mood.now(S);
        assert!(anger(&both.fused).unwrap() > 0.5 && anger(&both.fused).unwrap() < 0.61);
        assert_eq!(mood.now(10 * S), Emotion::default(), "voices are forgotten too");
    }

    #[test]
    fn a_face_and_a_voice_that_lie_too_far_apart_are_no_pair() {
        for (apart_ns, pair) in [(FRESH_NS, true), (FRESH_NS + 1, false)] {
            let mut mood = Mood::default();
            mood.see(&faces(S, &[(1, 0.9, 0.9)]));
            mood.hear(&voice(S + apart_ns));
            let (face, voice) = mood.readings(S + apart_ns - FRESH_NS);
            assert_eq!((face.is_some(), voice.is_some()), (pair, true), "{apart_ns}");
            let now = mood.now(S + apart_ns);
            assert_eq!(
                (now.face.is_some(), now.fused != now.speech),
                (pair, pair),
                "{apart_ns}"
            );
        }
    }
}
