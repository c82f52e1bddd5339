//! A rule for screams: loud over the background, suddenly there, with a high pitch, and rough. Not learned: there is no
//! recording of a scream in our data.
//!
//! What sets screams apart from other loud and high sounds is roughness, a modulation of the loudness at 30 to 150 Hz
//! (Arnal, Flinker, Kleinschmidt, Giraud, Poeppel: Human screams occupy a privileged niche in the communication
//! soundscape, Current Biology 25, 2015). The numbers below were set on made-up screams and on the sounds of
//! `models/scream/card.md` that are none.

mod pitch;
mod roughness;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::loudness::level_dbfs;
use pitch::{HOP, Pitch, PitchTracker};
use roughness::{Roughness, roughness};

/// As evidence names it.
pub const MODEL: &str = "rule:scream";
/// Its label among those of the sound model.
pub const LABEL: &str = "scream";
/// Loud high sounds that a sound model tells apart from screams: while it hears one the rule holds its tongue.
pub const NO_SCREAMS: [&str; 3] = ["siren", "baby_cry", "dog_bark"];
/// From here on a patch counts as a scream, unless the configuration says otherwise.
pub const THRESHOLD: f32 = 0.5;

/// A pitch is followed while it is as clear as this; a single frame may fail.
const CLEAR: f32 = 0.15;
/// Frames quieter than this say nothing.
const QUIET_DBFS: f32 = -50.0;
/// Frames less over the background than this belong to it.
const OVER_DB: f32 = 8.0;

/// The least of each cue in a scream.
const LEAST_SECONDS: f32 = 0.3;
const PITCH_HZ: std::ops::RangeInclusive<f32> = 550.0..=2000.0;
const LEAST_CLARITY: f32 = 0.2;
const LEAST_HIGH_SHARE: f32 = 0.6;
const LEAST_OVER_BACKGROUND_DB: f32 = 10.0;
const LEAST_RISE_DB: f32 = 10.0;
const LEAST_COMODULATION: f32 = 0.5;
const LEAST_ROUGHNESS: f32 = 0.36;
/// Beyond this it is not a modulated tone but separate clicks.
const MOST_ROUGHNESS: f32 = 1.3;

/// The background is the level that nine tenths of the last 10 s were over.
const REMEMBERED_BLOCKS: usize = 312;
const BLOCK: usize = 512;
/// Nothing is quieter than this.
const FLOOR_DBFS: f32 = -70.0;

/// What was measured on the longest stretch of high pitch in a patch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cues {
    pub seconds: f32,
    /// Median.
    pub pitch_hz: f32,
    /// Share of the spectrum on the pitch's harmonics less that between them, 0 to 1; median.
    pub clarity: f32,
    /// Share of the power over 1 kHz; median.
    pub high_share: f32,
    pub over_background_db: f32,
    /// Level of the stretch over that of the tenth of a second before it; 0 where the patch holds nothing before it.
    pub rise_db: f32,
    /// Depth of the modulation at 30 to 150 Hz in the weaker half and over all; 1 is full modulation by a sine.
    pub roughness: f32,
    pub roughness_over_all: f32,
    /// Correlation of the modulation below and above 1.7 kHz: a voice's harmonics tremble together, while those of a
    /// siren and its echo beat at a rate of their own each.
    pub comodulation: f32,
}

impl Cues {
    /// 0 when a cue is missing, else 0.5 to 1 with the roughness. Strength of the rule, not a probability.
    pub fn score(&self) -> f32 {
        let holds = self.seconds >= LEAST_SECONDS
            && PITCH_HZ.contains(&self.pitch_hz)
            && self.clarity >= LEAST_CLARITY
            && self.high_share >= LEAST_HIGH_SHARE
            && self.over_background_db >= LEAST_OVER_BACKGROUND_DB
            && self.rise_db >= LEAST_RISE_DB
            && self.comodulation >= LEAST_COMODULATION
            && self.roughness >= LEAST_ROUGHNESS
            && self.roughness_over_all <= MOST_ROUGHNESS;
        if holds {
            (THRESHOLD + 0.5 * (self.roughness - LEAST_ROUGHNESS) / 0.4).clamp(THRESHOLD, 1.0)
        } else {
            0.0
        }
    }
}

/// The rule for one stream, which remembers the stream's background.
pub struct Scream {
    tracker: Arc<PitchTracker>,
    levels_dbfs: VecDeque<f32>,
}

/// Makes the rule for each stream; what is the same for all of them is made once.
pub struct ScreamRule(Arc<PitchTracker>);

impl Default for ScreamRule {
    fn default() -> Self {
        Self(Arc::new(PitchTracker::new()))
    }
}

impl ScreamRule {
    pub fn stream(&self) -> Scream {
        Scream {
            tracker: self.0.clone(),
            levels_dbfs: VecDeque::new(),
        }
    }
}

impl Scream {
    /// `patch`: mono, 16 kHz, [-1, 1], a second or so; `new`: how many samples at its end were not in the patch before.
    /// None where nothing in it has a high pitch.
    pub fn hear(&mut self, patch: &[f32], new: usize) -> Option<Cues> {
        let fresh = &patch[patch.len() - new.min(patch.len())..];
        self.levels_dbfs
            .extend(fresh.chunks_exact(BLOCK).map(|block| level_dbfs(block.iter())));
        let beyond = self.levels_dbfs.len().saturating_sub(REMEMBERED_BLOCKS);
        self.levels_dbfs.drain(..beyond);
        let background_dbfs = self.background_dbfs();
        let frames = self.tracker.track(patch);
        let (from, to) = longest(&frames, background_dbfs)?;
        let stretch = &frames[from..to];
        let level_dbfs = median(stretch.iter().map(|f| f.level_dbfs));
        let before = &frames[from.saturating_sub(8)..from.saturating_sub(2)];
        let rise_db = if before.len() < 2 {
            0.0
        } else {
            level_dbfs - median(before.iter().map(|f| f.level_dbfs))
        };
        let Roughness {
            over_all,
            weaker_half,
            comodulation,
        } = roughness(patch, from * HOP..(to - 1) * HOP + pitch::WINDOW);
        Some(Cues {
            seconds: (to - from) as f32 * HOP as f32 / 16_000.0,
            pitch_hz: median(stretch.iter().map(|f| f.hz)),
            clarity: median(stretch.iter().map(|f| f.clarity)),
            high_share: median(stretch.iter().map(|f| f.high_share)),
            over_background_db: level_dbfs - background_dbfs,
            rise_db,
            roughness: weaker_half,
            roughness_over_all: over_all,
            comodulation,
        })
    }

    fn background_dbfs(&self) -> f32 {
        let mut levels: Vec<f32> = self.levels_dbfs.iter().copied().collect();
        levels.sort_by(f32::total_cmp);
        let (Some(quiet), Some(loudest)) = (levels.get(levels.len() / 10), levels.last()) else {
            return FLOOR_DBFS;
        };
        // A sound that has been there all along leaves nothing to compare with.
        let steady = loudest - quiet < OVER_DB;
        (quiet - if steady { 20.0 } else { 0.0 }).max(FLOOR_DBFS)
    }
}

/// Frames in a row: the first, and the one after the last.
type Stretch = Option<(usize, usize)>;

/// The longest run of frames with a clear high pitch over the background; one frame in it may fail at a time.
fn longest(frames: &[Pitch], background_dbfs: f32) -> Stretch {
    let counts = |f: &Pitch| {
        f.clarity > CLEAR && f.hz >= 450.0 && f.level_dbfs > QUIET_DBFS && f.level_dbfs > background_dbfs + OVER_DB
    };
    let (mut best, mut run): (Stretch, Stretch) = (None, None);
    for (i, frame) in frames.iter().enumerate() {
        if counts(frame) {
            let from = run.filter(|(_, to)| i - to <= 1).map_or(i, |(from, _)| from);
            run = Some((from, i + 1));
            if best.is_none_or(|(a, b)| i + 1 - from > b - a) {
                best = run;
            }
        }
    }
    best.filter(|(from, to)| to - from >= 6)
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
pub(crate) mod tests;
