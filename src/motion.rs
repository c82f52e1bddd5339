//! Whether something moves in a picture. Cheap beside any network: it sees cells, not pixels.
//!
//! A cell's mean colour (`cells`) is compared with a background that follows slowly, so that what creeps shows as much as
//! what runs, and with the frame before. A change of light that is the same everywhere is taken away first (the median
//! over the cells), and what counts lies above the camera's own noise, as the cells show it from frame to frame.

use std::f32::consts::SQRT_2;

use crate::cells::{Cells, Colour, follow, median, without_shift};
use crate::picture_stats::LUMA;

/// The background follows within so many seconds: half a minute after it has stopped, an object is a part of it.
const FOLLOW_S: f32 = 10.0;
/// Levels of 255 by which a cell must differ, and how often the noise, at least. The noise is the median over the cells;
/// a codec leaves some of them far noisier than that. More noise than the greatest is taken for motion: better awake than
/// blind.
const LEAST: f32 = 4.5;
const TIMES_NOISE: f32 = 12.0;
const GREATEST_NOISE: f32 = 1.25;
const NOISE_FOLLOWS_S: f32 = 5.0;
/// Part of a difference in one colour that counts: codecs are rougher in colour than in brightness. Where one sends a whole
/// picture after many differences, saturated places jump by up to six levels in one colour.
const COLOUR_COUNTS: f32 = 0.6;
/// One part in so many of all cells must change from one frame to the next for what moves in clips of actions.
const ACTION_PART: usize = 450;

/// What the newest frame shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moved {
    /// Two cells side by side differ from the background: something is there, or creeps.
    pub differs: bool,
    /// A part of the picture that a person near enough to be judged fills has changed since the frame before.
    pub acts: bool,
    /// Part of the picture that has changed since the frame before, 0 to 1.
    pub part: f32,
}

/// The last frames of one camera.
#[derive(Default)]
pub struct Motion {
    size_px: (u32, u32),
    background: Vec<Colour>,
    last: Vec<Colour>,
    last_ns: u64,
    noise: f32,
    /// Frames since the first: so many are averaged until the background and the noise are known.
    frames: u32,
}

impl Motion {
    /// One frame, in the order of time. None: there is nothing to compare it with, since it is the first or of another size.
    pub fn look(&mut self, picture: &Cells, pts_ns: u64) -> Option<Moved> {
        let cells = &picture.colours;
        if self.size_px != picture.size_px
            || self.last.len() != cells.len()
            || cells.is_empty()
            || pts_ns < self.last_ns
        {
            *self = Self {
                size_px: picture.size_px,
                background: cells.clone(),
                last: cells.clone(),
                last_ns: pts_ns,
                noise: 0.0,
                frames: 1,
            };
            return None;
        }
        let dt_s = (pts_ns - self.last_ns) as f32 / 1e9;
        let changed = differences(cells, &self.last);
        let differs = differences(cells, &self.background);
        let threshold = LEAST.max(TIMES_NOISE * self.noise);
        // The difference of two frames is √2 times as noisy as one of them.
        let acts = threshold * SQRT_2;
        let count = changed.iter().filter(|d| **d > acts).count();
        let moved = Moved {
            differs: neighbours(&differs, picture.columns, threshold),
            acts: count >= (cells.len() / ACTION_PART).max(2),
            part: count as f32 / cells.len() as f32,
        };
        let mean_of = 1.0 / self.frames as f32;
        let noise = (median(changed) / SQRT_2).min(GREATEST_NOISE);
        self.noise += (noise - self.noise) * (dt_s / NOISE_FOLLOWS_S).max(mean_of).min(1.0);
        self.frames = self.frames.saturating_add(1);
        let part = (dt_s / FOLLOW_S).max(1.0 / self.frames as f32).min(1.0);
        let background = self.background.iter_mut().zip(cells);
        background.for_each(|(mean, new)| follow(mean, new, part));
        self.last.clone_from(cells);
        self.last_ns = pts_ns;
        Some(moved)
    }
}

/// Part of the cells that another picture of the same size shows otherwise, 0 to 1, whatever the noise; 0 of another size.
pub fn part_changed(now: &Cells, was: &Cells) -> f32 {
    if now.size_px != was.size_px || now.colours.is_empty() {
        return 0.0;
    }
    let changed = differences(&now.colours, &was.colours);
    changed.iter().filter(|d| **d > LEAST * SQRT_2).count() as f32 / changed.len() as f32
}

/// How far each cell is from what it was, beyond what the whole picture has changed.
fn differences(now: &[Colour], was: &[Colour]) -> Vec<f32> {
    let now = without_shift(now, was);
    now.iter().zip(was).map(|(n, w)| apart(n, w)).collect()
}

/// Levels of 255: in brightness, or by a part in the colour that differs most.
fn apart(a: &Colour, b: &Colour) -> f32 {
    let by = [0, 1, 2].map(|k| a[k] - b[k]);
    let brightness: f32 = by.iter().zip(LUMA).map(|(d, part)| d * part).sum();
    by.iter()
        .map(|d| COLOUR_COUNTS * d.abs())
        .fold(brightness.abs(), f32::max)
}

/// Whether two cells side by side or one above the other are over the threshold.
fn neighbours(cells: &[f32], columns: usize, threshold: f32) -> bool {
    let over = |i: usize| cells.get(i).is_some_and(|d| *d > threshold);
    let beside = |i: usize| !(i + 1).is_multiple_of(columns) && over(i + 1);
    (0..cells.len()).any(|i| over(i) && (beside(i) || over(i + columns)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::cells;
    use crate::data::Picture;

    const FRAME_NS: u64 = 200_000_000;
    const WIDTH: usize = 640;
    const HEIGHT: usize = 360;

    /// The same numbers every time (SplitMix64), as noise of about a normal distribution with the given spread.
    struct Noise(u64, f32);

    impl Noise {
        fn next(&mut self) -> f32 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            // Four bytes add up to a bell of mean 510 and spread 148.
            let sum: u64 = z.to_le_bytes()[..4].iter().map(|b| u64::from(*b)).sum();
            (sum as f32 - 510.0) / 148.0 * self.1
        }
    }

    /// A street with blocks of light and shade; in it a person of 24×60 pixels whose left edge is at `x`.
    fn street(noise: &mut Noise, light: f32, person: Option<(f32, f32)>) -> Picture {
        let mut rgb = Vec::with_capacity(WIDTH * HEIGHT * 3);
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let ground = 70.0 + 15.0 * (((x / 37) * 7 + (y / 23) * 13) % 5) as f32;
                let part = person.map_or(0.0, |(left, _)| {
                    let inside = (150..210).contains(&y) as u8 as f32;
                    (x as f32 + 1.0 - left).clamp(0.0, 1.0) * (left + 24.0 - x as f32).clamp(0.0, 1.0) * inside
                });
                let contrast = person.map_or(0.0, |(_, c)| c);
                let value = ((ground + part * contrast) * light + noise.next()).clamp(0.0, 255.0) as u8;
                rgb.extend([value; 3]);
            }
        }
        Picture {
            width: WIDTH as u32,
            height: HEIGHT as u32,
            rgb,
        }
    }

    /// Plays frames; tells in how many of the last ones something differs, and in how many something acts.
    fn play(spread: f32, frames: u64, count_from: u64, at: impl Fn(f32) -> (f32, Option<(f32, f32)>)) -> (u64, u64) {
        let (mut motion, mut noise) = (Motion::default(), Noise(7, spread));
        let (mut differs, mut acts) = (0, 0);
        for i in 0..frames {
            let (light, person) = at(i as f32 * 0.2);
            let moved = motion.look(&cells(&street(&mut noise, light, person)), i * FRAME_NS);
            if let Some(moved) = moved.filter(|_| i >= count_from) {
                differs += u64::from(moved.differs);
                acts += u64::from(moved.acts);
            }
        }
        (differs, acts)
    }

    #[test]
    fn a_first_frame_one_of_another_size_and_none_at_all_are_compared_with_nothing() {
        let picture = |width: u32, height: u32| Picture {
            width,
            height,
            rgb: vec![90; (width * height * 3) as usize],
        };
        let mut motion = Motion::default();
        assert_eq!(motion.look(&cells(&picture(16, 8)), 0), None);
        assert_eq!(motion.look(&cells(&picture(16, 8)), FRAME_NS), Some(Moved::default()));
        assert_eq!(motion.look(&cells(&picture(8, 16)), 2 * FRAME_NS), None);
        assert_eq!(motion.look(&cells(&picture(0, 0)), 3 * FRAME_NS), None);
        assert_eq!(motion.look(&cells(&picture(0, 0)), 4 * FRAME_NS), None);
    }

    #[test]
    fn a_noisy_night_is_quiet_and_somebody_in_it_is_not() {
        // The noise is known after a few seconds.
        assert_eq!(play(10.0, 100, 25, |_| (0.4, None)), (0, 0));
        let walks = |t: f32| (0.4, (t >= 10.0).then_some((100.0 + 20.0 * (t - 10.0), 60.0)));
        let (differs, _) = play(10.0, 100, 50, walks);
        assert_eq!(differs, 50, "from the first frame on");
    }

    #[test]
    fn more_noise_than_a_night_has_is_taken_for_motion() {
        assert_eq!(play(80.0, 100, 25, |_| (1.0, None)), (75, 75));
    }

    #[test]
    fn who_walks_acts_and_who_creeps_is_noticed_all_the_same() {
        let walker = |t: f32| (1.0, Some((100.0 + 40.0 * t, 40.0)));
        assert_eq!(play(2.0, 50, 1, walker), (49, 49));
        // Half a pixel a second.
        let creeper = |t: f32| (1.0, Some((100.0 + 0.5 * t, 40.0)));
        let (differs, acts) = play(2.0, 150, 100, creeper);
        assert_eq!((differs, acts), (50, 0));
    }

    #[test]
    fn dusk_is_no_motion_and_what_has_stopped_becomes_the_background() {
        assert_eq!(play(2.0, 150, 1, |t| (1.0 - 0.005 * t, None)).0, 0);
        let arrives = |t: f32| (1.0, (t >= 20.0).then_some((200.0, 40.0)));
        let (differs, _) = play(2.0, 350, 100, arrives);
        assert!((100..180).contains(&differs), "awake for {differs} frames");
    }
}
