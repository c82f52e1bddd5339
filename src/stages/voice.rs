//! Speech emotion: asked only where the camera has opted in, and only of stretches in which somebody speaks.

use std::sync::Arc;

use crate::data::{Affect, SpeechEmotion};

/// A speech emotion model as the hearing stage needs it. `nn::SpeechEmotion` is one; tests bring their own.
pub trait ReadVoice: Send {
    /// `name@version`
    fn id(&self) -> Arc<str>;
    fn labels(&self) -> Arc<[Arc<str>]>;
    /// Of 16 kHz mono speech, a second to three.
    ///
    /// # Errors
    /// A sentence saying what failed.
    fn read(&mut self, speech: &[f32]) -> Result<VoiceReading, String>;
}

/// What a voice seems to express: probabilities by label, and where they stand on the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceReading {
    pub probabilities: Vec<f32>,
    pub affect: Affect,
}

/// Speech is read from this length on (one and a half patches), and at most its last 3 s.
const LEAST_SAMPLES: usize = 23_040;
const MOST_SAMPLES: usize = 48_000;
const NS_PER_SAMPLE: u64 = 1_000_000_000 / crate::data::SAMPLE_RATE_HZ as u64;

/// One camera's speech of late: patches with a voice, joined where they overlap.
#[derive(Default)]
pub(super) struct Speech {
    samples: Vec<f32>,
    end_ns: u64,
    fresh: bool,
}

impl Speech {
    /// The next patch, and whether somebody speaks in it.
    pub fn hear(&mut self, start_ns: u64, patch: &[f32], voiced: bool) {
        let end_ns = start_ns + patch.len() as u64 * NS_PER_SAMPLE;
        let goes_on = !self.samples.is_empty() && start_ns <= self.end_ns && end_ns > self.end_ns;
        if !voiced || !goes_on {
            self.samples.clear();
        }
        if !voiced {
            return;
        }
        let known = if goes_on {
            (self.end_ns - start_ns) / NS_PER_SAMPLE
        } else {
            0
        };
        self.samples.extend(patch.iter().skip(known as usize));
        let beyond = self.samples.len().saturating_sub(MOST_SAMPLES);
        self.samples.drain(..beyond);
        self.end_ns = end_ns;
        self.fresh = true;
    }

    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// What the voice expresses, when enough was said and some of it since the last time.
    ///
    /// # Errors
    /// As the model's.
    pub fn read(&mut self, model: &mut dyn ReadVoice) -> Result<Option<SpeechEmotion>, String> {
        if self.samples.len() < LEAST_SAMPLES || !std::mem::take(&mut self.fresh) {
            return Ok(None);
        }
        let reading = model.read(&self.samples)?;
        Ok(Some(SpeechEmotion {
            start_ns: self.end_ns.saturating_sub(self.samples.len() as u64 * NS_PER_SAMPLE),
            end_ns: self.end_ns,
            labels: model.labels(),
            probabilities: reading.probabilities,
            affect: reading.affect,
            model: model.id(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl ReadVoice for Echo {
        fn id(&self) -> Arc<str> {
            "echo@1".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["anger".into()].into()
        }

        /// Tells how much it was given, and the first value.
        fn read(&mut self, speech: &[f32]) -> Result<VoiceReading, String> {
            Ok(VoiceReading {
                probabilities: vec![speech.len() as f32],
                affect: Affect {
                    arousal: speech[0],
                    valence: 0.0,
                },
            })
        }
    }

    const HOP_NS: u64 = 480_000_000;

    /// The patch that starts at `k` hops; every sample holds the number of its hop.
    fn patch(k: u64) -> Vec<f32> {
        (0..15_360).map(|i| (k + i / 7_680) as f32).collect()
    }

    #[test]
    fn overlapping_patches_with_a_voice_become_one_stretch_of_at_most_three_seconds() {
        let mut speech = Speech::default();
        let mut lengths = Vec::new();
        for k in 0..8 {
            speech.hear(k * HOP_NS, &patch(k), true);
            let read = speech.read(&mut Echo).unwrap();
            lengths.push(read.as_ref().map_or(0, |r| r.probabilities[0] as usize));
            if let Some(read) = read {
                assert_eq!(read.end_ns, (k + 2) * HOP_NS);
                assert_eq!(
                    read.end_ns - read.start_ns,
                    read.probabilities[0] as u64 * NS_PER_SAMPLE
                );
            }
        }
        assert_eq!(lengths, [0, 23_040, 30_720, 38_400, 46_080, 48_000, 48_000, 48_000]);
    }

    #[test]
    fn silence_or_a_hole_begins_a_new_stretch_and_nothing_is_read_twice() {
        let mut speech = Speech::default();
        speech.hear(0, &patch(0), true);
        speech.hear(HOP_NS, &patch(1), true);
        assert!(speech.read(&mut Echo).unwrap().is_some());
        assert!(speech.read(&mut Echo).unwrap().is_none());
        speech.hear(2 * HOP_NS, &patch(2), false);
        speech.hear(3 * HOP_NS, &patch(3), true);
        assert!(speech.read(&mut Echo).unwrap().is_none());
        speech.hear(4 * HOP_NS, &patch(4), true);
        assert!((speech.read(&mut Echo).unwrap().unwrap().affect.arousal - 3.0).abs() < 1e-6);
        // An hour later.
        speech.hear(7_500 * HOP_NS, &patch(0), true);
        assert!(speech.read(&mut Echo).unwrap().is_none());
    }
}
