//! Speech emotion: asked only where the camera has opted in, and only of stretches in which somebody speaks.

use std::sync::Arc;

use crate::data::{Affect, NS_PER_SAMPLE, SpeechEmotion};
use crate::wiener::{FramePower, HOP, Wiener};

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

/// Steady noise this much fainter than the voice does no harm, and taking it away would (docs/preparation.md).
const FAINT_DB: f32 = 15.0;

/// One camera's speech of late: patches with a voice, joined where they overlap.
#[derive(Default)]
pub(super) struct Speech {
    samples: Vec<f32>,
    /// Of all that was heard, a voice or not.
    end_ns: u64,
    fresh: bool,
    cleaner: Cleaner,
}

/// The same sound, and what is between voices too, with its steady noise taken away.
#[derive(Default)]
struct Cleaner {
    filter: Wiener,
    samples: Vec<f32>,
    /// A frame for each `wiener::HOP` of these samples.
    frames: Vec<FramePower>,
}

impl Cleaner {
    fn hear(&mut self, samples: &[f32]) {
        let Self {
            filter,
            samples: clean,
            frames,
        } = self;
        filter.push(samples, |done, power| {
            clean.extend_from_slice(done);
            frames.push(power);
        });
        let beyond = frames.len().saturating_sub(MOST_SAMPLES / HOP);
        frames.drain(..beyond);
        clean.drain(..beyond * HOP);
    }

    /// The last so many samples heard, as far as they are done, where the noise in them is not faint.
    fn cleaned(&self, count: usize) -> Option<&[f32]> {
        let hops = count.checked_sub(self.filter.lag())? / HOP;
        let frames = &self.frames[self.frames.len().checked_sub(hops)?..];
        let sum = |of: fn(&FramePower) -> f32| frames.iter().map(of).sum::<f32>();
        let (noise, all) = (sum(|f| f.noise), sum(|f| f.all));
        let loud = all - noise < noise * 10f32.powf(FAINT_DB / 10.0);
        (loud && hops > 0).then(|| &self.samples[self.samples.len() - hops * HOP..])
    }
}

impl Speech {
    /// The next patch, and whether somebody speaks in it.
    pub fn hear(&mut self, start_ns: u64, patch: &[f32], voiced: bool) {
        let end_ns = start_ns + patch.len() as u64 * NS_PER_SAMPLE;
        let goes_on = start_ns <= self.end_ns && end_ns > self.end_ns;
        let known = if goes_on {
            ((self.end_ns - start_ns) / NS_PER_SAMPLE) as usize
        } else {
            self.cleaner.filter.skip();
            0
        };
        self.cleaner.hear(&patch[known..]);
        self.end_ns = end_ns;
        if !voiced || !goes_on {
            self.samples.clear();
        }
        if !voiced {
            return;
        }
        let new = if self.samples.is_empty() { 0 } else { known };
        self.samples.extend_from_slice(&patch[new..]);
        let beyond = self.samples.len().saturating_sub(MOST_SAMPLES);
        self.samples.drain(..beyond);
        self.fresh = true;
    }

    /// What the voice expresses, when enough was said and some of it since the last time.
    ///
    /// # Errors
    /// As the model's.
    pub fn read(&mut self, model: &mut dyn ReadVoice) -> Result<Option<SpeechEmotion>, String> {
        if self.samples.len() < LEAST_SAMPLES || !std::mem::take(&mut self.fresh) {
            return Ok(None);
        }
        let reading = model.read(self.cleaner.cleaned(self.samples.len()).unwrap_or(&self.samples))?;
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

    /// The patch that starts at `k` hops; the first sample of each hop holds its number, the others are silent.
    fn patch(k: u64) -> Vec<f32> {
        let click = |i: u64| {
            if i.is_multiple_of(7_680) {
                (k + i / 7_680) as f32
            } else {
                0.0
            }
        };
        (0..15_360).map(click).collect()
    }

    /// Tells how loud that is which it was given, and how much.
    struct Meter;

    impl ReadVoice for Meter {
        fn id(&self) -> Arc<str> {
            "meter@1".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["anger".into()].into()
        }

        fn read(&mut self, speech: &[f32]) -> Result<VoiceReading, String> {
            let power = speech.iter().map(|s| s * s).sum::<f32>() / speech.len() as f32;
            Ok(VoiceReading {
                probabilities: vec![power, speech.len() as f32],
                affect: Affect::default(),
            })
        }
    }

    #[test]
    fn steady_noise_is_taken_away_where_it_is_loud_and_only_there() {
        for (level, taken) in [(0.3, true), (0.003, false)] {
            let mut state = 1u32;
            let sound: Vec<f32> = (0..10 * 7_680)
                .map(|i| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
                    // The voice: from the sixth hop on, a tone that comes and goes.
                    let tone = if i > 38_400 && i / 8_000 % 2 == 0 {
                        (i as f32 * 0.2).sin()
                    } else {
                        0.0
                    };
                    level * noise + 0.2 * tone
                })
                .collect();
            let mut speech = Speech::default();
            for k in 0..9 {
                let patch = &sound[k * 7_680..(k + 2) * 7_680];
                speech.hear(k as u64 * HOP_NS, patch, k >= 5);
            }
            let read = speech.read(&mut Meter).unwrap().unwrap();
            let given = &sound[38_400..];
            let power = given.iter().map(|s| s * s).sum::<f32>() / given.len() as f32;
            let part = read.probabilities[0] / power;
            let whole = read.probabilities[1] as usize == given.len();
            assert_eq!((part < 0.95, !whole), (taken, taken), "{level}: {part}");
            assert!(
                part > 0.3 && given.len() - read.probabilities[1] as usize <= 2 * HOP,
                "{level}: {part}"
            );
        }
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
