//! What one camera has seen and heard so far: counts that fade, and how rare something is by them.

use serde::{Deserialize, Serialize};

pub(super) const COLUMNS: usize = 16;
pub(super) const ROWS: usize = 9;
pub(super) const SIZES: usize = 8;
pub(super) const SPEEDS: usize = 8;
pub(super) const LEVELS: usize = 24;
/// Quarters of the day for sound and motion: six hours each.
pub(super) const QUARTERS: usize = 4;
/// Surprise in steps of a quarter decade.
pub(super) const PEAKS: usize = 24;
const PEAK_STEP: f32 = 0.25;
/// What has never been seen counts as this little.
const NEVER: f32 = 0.1;
/// Fewer seconds than this in a row of the picture say nothing about sizes and speeds there.
const ROW_KNOWN_S: f32 = 60.0;
/// Fewer hours than this of an hour of the day say nothing about it.
const HOUR_KNOWN_S: f32 = 2.0 * 3600.0;
/// Surprise of anything at all counts in decades from a hundredth of the time on: less than half a minute a day is over the least
/// surprise that is told. Where there is more, two weeks of it are enough to know where it goes.
const EMPTY: f32 = 2.0;
/// A camera may look away for a night or a weekend.
const PAUSE_H: i64 = 48;
/// 2026-01-01 in seconds UTC: a clock that is behind this has not been set.
const CLOCK_IS_SET_S: i64 = 1_767_225_600;
const YEAR_S: i64 = 365 * 86_400;
/// The form of what is stored. A later form must still read the earlier ones: 1 knew no motion.
const VERSION: u32 = 2;

/// Seconds by place, size, speed, hour, loudness and motion. All fade alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    version: u32,
    /// Seconds watched; they fade only while nothing is watched for longer than a pause.
    pub watched_s: f64,
    /// Seconds over which `peaks` were gathered.
    pub judged_s: f64,
    /// UTC in seconds of the last fading.
    pub faded_at_s: i64,
    place: Vec<f32>,
    size: Vec<f32>,
    speed: Vec<f32>,
    hour: Vec<f32>,
    hour_watched: Vec<f32>,
    level: Vec<f32>,
    #[serde(default = "levels")]
    motion: Vec<f32>,
    /// Tracks and sounds by the highest surprise of each.
    peaks: Vec<f32>,
}

fn levels() -> Vec<f32> {
    vec![0.0; QUARTERS * LEVELS]
}

/// What is known by level and by quarter of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    Loudness,
    Motion,
}

/// One second of a track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Second {
    pub column: usize,
    pub row: usize,
    pub size: usize,
    /// None where it is not known.
    pub speed: Option<usize>,
    pub hour: usize,
    /// The track has left the place in which it appeared.
    pub moved: bool,
}

/// In what something is rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Place,
    Size,
    Fast,
    Slow,
    Hour,
    Empty,
    Loud,
    Moving,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            version: VERSION,
            watched_s: 0.0,
            judged_s: 0.0,
            faded_at_s: 0,
            place: vec![0.0; COLUMNS * ROWS],
            size: vec![0.0; ROWS * SIZES],
            speed: vec![0.0; ROWS * SPEEDS],
            hour: vec![0.0; 24],
            hour_watched: vec![0.0; 24],
            level: levels(),
            motion: levels(),
            peaks: vec![0.0; PEAKS],
        }
    }
}

impl Memory {
    /// # Errors
    /// The text is no memory, or of a form that this version does not know.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut memory: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let fresh = Self::default();
        if !(1..=VERSION).contains(&memory.version) {
            return Err(format!("its form {} is not known", memory.version));
        }
        let is_count = |v: &f32| v.is_finite() && *v >= 0.0;
        if memory.counts().map(Vec::len) != fresh.counts().map(Vec::len)
            || !memory.counts().into_iter().flatten().all(is_count)
        {
            return Err("its counts are not as they should be".to_owned());
        }
        memory.version = VERSION;
        Ok(memory)
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Lets everything fade to 1/e in `decay_days`. Called often; fades by whole hours. Many at once are time in which
    /// nothing was watched: after a long one little is known, and the warm-up begins again to that extent.
    pub fn fade(&mut self, now_s: i64, decay_days: f32) {
        // A clock that is not set yet, or set back for a while, says nothing; put right again it must not seem that
        // all that time had passed.
        if now_s < CLOCK_IS_SET_S {
            return;
        }
        if self.faded_at_s == 0 || now_s < self.faded_at_s - YEAR_S {
            self.faded_at_s = now_s;
        }
        let hours = (now_s - self.faded_at_s) / 3600;
        if hours <= 0 {
            return;
        }
        self.faded_at_s += hours * 3600;
        let left = |hours: i64| (-(hours as f32) / (24.0 * decay_days)).exp();
        let part = left(hours);
        for counts in self.counts_mut() {
            counts.iter_mut().for_each(|v| *v *= part);
        }
        self.judged_s *= f64::from(part);
        self.watched_s *= f64::from(left((hours - PAUSE_H).max(0)));
    }

    fn counts(&self) -> [&Vec<f32>; 8] {
        let Self {
            place,
            size,
            speed,
            hour,
            hour_watched,
            level,
            motion,
            peaks,
            ..
        } = self;
        [place, size, speed, hour, hour_watched, level, motion, peaks]
    }

    fn counts_mut(&mut self) -> [&mut Vec<f32>; 8] {
        let Self {
            place,
            size,
            speed,
            hour,
            hour_watched,
            level,
            motion,
            peaks,
            ..
        } = self;
        [place, size, speed, hour, hour_watched, level, motion, peaks]
    }

    pub fn watch(&mut self, hour: usize, s: f32, judging: bool) {
        self.watched_s += f64::from(s);
        self.hour_watched[hour] += s;
        if judging {
            self.judged_s += f64::from(s);
        }
    }

    pub fn learn(&mut self, second: &Second) {
        self.place[second.row * COLUMNS + second.column] += 1.0;
        self.size[second.row * SIZES + second.size] += 1.0;
        if let Some(speed) = second.speed {
            self.speed[second.row * SPEEDS + speed] += 1.0;
        }
        self.hour[second.hour] += 1.0;
    }

    /// How many decades rarer this is than if everything were equally common, and in what. 0: not rare at all.
    pub fn surprise(&self, second: &Second) -> (f32, Why) {
        let place = rarity(
            self.around(second.column, second.row),
            self.place.iter().sum(),
            COLUMNS * ROWS,
        );
        let mut most = (place, Why::Place);
        let mut offer = |surprise: f32, why| {
            if surprise > most.0 {
                most = (surprise, why);
            }
        };
        let row = &self.size[second.row * SIZES..][..SIZES];
        if row.iter().sum::<f32>() >= ROW_KNOWN_S {
            offer(rarity(beside(row, second.size), row.iter().sum(), SIZES), Why::Size);
        }
        let row = &self.speed[second.row * SPEEDS..][..SPEEDS];
        if let Some(speed) = second.speed
            && row.iter().sum::<f32>() >= ROW_KNOWN_S
        {
            let slower: f32 = row[..speed].iter().sum();
            let why = if slower * 2.0 > row.iter().sum() {
                Why::Fast
            } else {
                Why::Slow
            };
            offer(rarity(beside(row, speed), row.iter().sum(), SPEEDS), why);
        }
        if self.hour_watched[second.hour] >= HOUR_KNOWN_S {
            // Seconds of tracks in an hour's watch, against those of the average hour.
            let rate = (self.hour[second.hour] + NEVER) / self.hour_watched[second.hour];
            let usual = self.hour.iter().sum::<f32>() / self.hour_watched.iter().sum::<f32>().max(1.0);
            offer((usual / rate.max(1e-9)).max(1.0).log10(), Why::Hour);
        }
        // What only stands there may always have: a car whose track is lost and found, a coat that looks like somebody.
        if second.moved {
            offer(self.emptiness(second.hour), Why::Empty);
        }
        most
    }

    /// How many decades rarer it is that anything is seen here than [`EMPTY`]: all day, or about this hour where that says
    /// less. A round that somebody makes at the same time every day is usual after the first.
    fn emptiness(&self, hour: usize) -> f32 {
        let rare = |seen: f32, watched: f32| -((seen + NEVER) / (watched + NEVER)).log10() - EMPTY;
        let about = |of: &[f32]| of[(hour + 23) % 24] + of[hour] + of[(hour + 1) % 24];
        let all_day = rare(self.hour.iter().sum(), self.hour_watched.iter().sum());
        all_day.min(rare(about(&self.hour), about(&self.hour_watched))).max(0.0)
    }

    pub fn learn_level(&mut self, sense: Sense, quarter: usize, level: usize) {
        let levels = match sense {
            Sense::Loudness => &mut self.level,
            Sense::Motion => &mut self.motion,
        };
        levels[quarter * LEVELS + level] += 1.0;
    }

    /// How many decades rarer a window of so much or more is than one in a hundred.
    pub fn level_surprise(&self, sense: Sense, quarter: usize, level: usize) -> f32 {
        let levels = match sense {
            Sense::Loudness => &self.level,
            Sense::Motion => &self.motion,
        };
        let row = &levels[quarter * LEVELS..][..LEVELS];
        let all: f32 = row.iter().sum();
        let more: f32 = row[level..].iter().sum();
        if all < HOUR_KNOWN_S / 2.0 {
            return 0.0;
        }
        (-((more + NEVER) / (all + NEVER)).log10() - 2.0).max(0.0)
    }

    pub fn learn_peak(&mut self, surprise: f32) {
        self.peaks[peak_bin(surprise)] += 1.0;
    }

    /// The least surprise that comes at most `per_day` times a day, and never less than `floor`. Less than a day counts
    /// as one: nothing is known yet of a whole day.
    pub fn threshold(&self, per_day: f32, floor: f32) -> f32 {
        let days = (self.judged_s / 86_400.0).max(1.0) as f32;
        let mut beyond = 0.0;
        for bin in (0..PEAKS).rev() {
            beyond += self.peaks[bin];
            if beyond / days > per_day {
                return floor.max((bin + 1) as f32 * PEAK_STEP);
            }
        }
        floor
    }

    /// Seconds in a cell and, by half, in those beside it: nobody walks by cells.
    fn around(&self, column: usize, row: usize) -> f32 {
        let mut sum = 0.0;
        for r in row.saturating_sub(1)..(row + 2).min(ROWS) {
            for c in column.saturating_sub(1)..(column + 2).min(COLUMNS) {
                let weight = if (r, c) == (row, column) { 1.0 } else { 0.25 };
                sum += weight * self.place[r * COLUMNS + c];
            }
        }
        sum
    }
}

/// A bin and half of its neighbours.
fn beside(row: &[f32], bin: usize) -> f32 {
    let at = |i: Option<usize>| i.and_then(|i| row.get(i)).copied().unwrap_or(0.0);
    row[bin] + 0.5 * (at(bin.checked_sub(1)) + at(Some(bin + 1)))
}

fn rarity(seen: f32, all: f32, bins: usize) -> f32 {
    let bins = bins as f32;
    let p = (seen + NEVER) / (all + NEVER * bins);
    (-(p * bins).log10()).max(0.0)
}

fn peak_bin(surprise: f32) -> usize {
    ((surprise / PEAK_STEP) as usize).min(PEAKS - 1)
}

#[cfg(test)]
mod tests;
