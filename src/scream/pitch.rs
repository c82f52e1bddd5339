//! Pitches from 400 Hz to 2.2 kHz, frame by frame.

use std::f32::consts::PI;
use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

/// Samples of a frame (64 ms at 16 kHz) and from one to the next (16 ms).
pub(super) const WINDOW: usize = 1024;
pub(super) const HOP: usize = 256;

const LOWEST_HZ: f32 = 400.0;
/// Candidates: 24 an octave.
const CANDIDATES: usize = 60;
/// What is between these makes the spectrum.
const BAND_HZ: (f32, f32) = (150.0, 6000.0);
const HIGH_HZ: f32 = 1000.0;
const BIN_HZ: f32 = 16_000.0 / WINDOW as f32;

/// One frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pitch {
    pub hz: f32,
    /// Share of the magnitudes on harmonics less that half-way between them: about 1 for a pure tone, 0 for noise, and 0
    /// as well for a pitch an octave lower or more, whose harmonics fall on both (after Sun, 2002).
    pub clarity: f32,
    /// Share of the power over 1 kHz.
    pub high_share: f32,
    pub level_dbfs: f32,
}

pub(super) struct PitchTracker {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: Vec<f32>,
    /// By candidate: its pitch, and the weight of each bin.
    combs: Vec<(f32, Vec<f32>)>,
}

impl PitchTracker {
    pub fn new() -> Self {
        let candidate = |i| {
            let hz = LOWEST_HZ * 2f32.powf(i as f32 / 24.0);
            (hz, comb(hz))
        };
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(WINDOW),
            hann: (0..WINDOW)
                .map(|n| 0.5 - 0.5 * (2.0 * PI * n as f32 / WINDOW as f32).cos())
                .collect(),
            combs: (0..CANDIDATES).map(candidate).collect(),
        }
    }

    /// Every whole frame of the samples.
    pub fn track(&self, samples: &[f32]) -> Vec<Pitch> {
        let (mut time, mut bins) = (self.fft.make_input_vec(), self.fft.make_output_vec());
        let of = |frame: &[f32]| {
            for ((t, s), h) in time.iter_mut().zip(frame).zip(&self.hann) {
                *t = s * h;
            }
            // The buffers come from the plan itself, so their lengths fit.
            let _ = self.fft.process(&mut time, &mut bins);
            let magnitudes: Vec<f32> = bins.iter().map(|c| c.norm()).collect();
            self.pitch(&magnitudes, crate::loudness::level_dbfs(frame.iter()))
        };
        samples.windows(WINDOW).step_by(HOP).map(of).collect()
    }

    fn pitch(&self, magnitudes: &[f32], level_dbfs: f32) -> Pitch {
        let bin = |hz: f32| (hz / BIN_HZ) as usize;
        let band = &magnitudes[bin(BAND_HZ.0)..bin(BAND_HZ.1)];
        let total = band.iter().sum::<f32>() + 1e-3;
        let clarity = |comb: &[f32]| comb.iter().zip(magnitudes).map(|(w, m)| w * m).sum::<f32>() / total;
        let all: Vec<f32> = self.combs.iter().map(|(_, comb)| clarity(comb)).collect();
        let clearest = all.iter().copied().fold(f32::MIN, f32::max);
        // An octave below looks nearly as clear: the highest of those that are nearly the clearest.
        let best = all.iter().rposition(|c| *c >= 0.85 * clearest).unwrap_or(0);
        let power = |m: &[f32]| m.iter().map(|v| v * v).sum::<f32>();
        Pitch {
            hz: self.combs[best].0,
            clarity: all[best],
            high_share: power(&magnitudes[bin(HIGH_HZ)..bin(BAND_HZ.1)]) / (power(band) + 1e-9),
            level_dbfs,
        }
    }
}

/// Triangles on the harmonics up to 6 kHz, and negative ones half-way below each.
fn comb(hz: f32) -> Vec<f32> {
    let half_width = 0.2 * hz;
    let triangle = |bin: usize, at: f32| (1.0 - (bin as f32 * BIN_HZ - at).abs() / half_width).max(0.0);
    let harmonics = (BAND_HZ.1 / hz) as usize;
    let weight = |bin| {
        (1..=harmonics)
            .map(|k| triangle(bin, k as f32 * hz) - triangle(bin, (k as f32 - 0.5) * hz))
            .sum()
    };
    (0..=WINDOW / 2).map(weight).collect()
}
