//! How much the loudness trembles at 30 to 150 Hz.

use std::f32::consts::{PI, SQRT_2};
use std::ops::Range;

const RATE_HZ: f32 = 16_000.0;
/// Envelopes are kept at 1 kHz.
const DECIMATION: usize = 16;

pub(super) struct Roughness {
    /// Depth of modulation: 1 is a sine that goes down to silence.
    pub over_all: f32,
    pub weaker_half: f32,
    /// Correlation of the modulation below and above 1.7 kHz, -1 to 1.
    pub comodulation: f32,
}

/// Of the samples in `range` of a patch.
pub(super) fn roughness(patch: &[f32], range: Range<usize>) -> Roughness {
    let range = range.start / DECIMATION..range.end / DECIMATION;
    let middle = usize::midpoint(range.start, range.end);
    let all = Band::of(patch, 500.0, 6000.0);
    let (low, high) = (Band::of(patch, 500.0, 1700.0), Band::of(patch, 1700.0, 6000.0));
    Roughness {
        over_all: all.depth(range.clone()),
        weaker_half: all.depth(range.start..middle).min(all.depth(middle..range.end)),
        comodulation: correlation(&low.trembling[range.clone()], &high.trembling[range]),
    }
}

/// A band's envelope, and what of it lies between 30 and 150 Hz.
struct Band {
    envelope: Vec<f32>,
    trembling: Vec<f32>,
}

impl Band {
    fn of(patch: &[f32], from_hz: f32, to_hz: f32) -> Self {
        let mut band = [Biquad::high_pass(from_hz, RATE_HZ), Biquad::low_pass(to_hz, RATE_HZ)];
        let mut smooth = Biquad::low_pass(400.0, RATE_HZ);
        let follow = |(i, s): (usize, &f32)| {
            let level = smooth.step(band.iter_mut().fold(*s, |s, f| f.step(s)).abs());
            i.is_multiple_of(DECIMATION).then_some(level)
        };
        let envelope: Vec<f32> = patch.iter().enumerate().filter_map(follow).collect();
        let rate_hz = RATE_HZ / DECIMATION as f32;
        let mut tremble = [Biquad::high_pass(30.0, rate_hz), Biquad::low_pass(150.0, rate_hz)];
        let trembling = envelope
            .iter()
            .map(|e| tremble.iter_mut().fold(*e, |s, f| f.step(s)))
            .collect();
        Self { envelope, trembling }
    }

    fn depth(&self, range: Range<usize>) -> f32 {
        let n = range.len().max(1) as f32;
        let mean = self.envelope[range.clone()].iter().sum::<f32>() / n;
        let power = self.trembling[range].iter().map(|v| v * v).sum::<f32>() / n;
        SQRT_2 * power.sqrt() / (mean + 1e-6)
    }
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b) + 1e-12).sqrt()
}

/// A second-order Butterworth filter (Bristow-Johnson's cookbook), transposed direct form II.
struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
    state: [f32; 2],
}

impl Biquad {
    fn low_pass(hz: f32, rate_hz: f32) -> Self {
        Self::new(hz, rate_hz, |cos| [(1.0 - cos) / 2.0, 1.0 - cos, (1.0 - cos) / 2.0])
    }

    fn high_pass(hz: f32, rate_hz: f32) -> Self {
        Self::new(hz, rate_hz, |cos| [(1.0 + cos) / 2.0, -1.0 - cos, (1.0 + cos) / 2.0])
    }

    fn new(hz: f32, rate_hz: f32, numerator: impl Fn(f32) -> [f32; 3]) -> Self {
        let (sin, cos) = (2.0 * PI * hz / rate_hz).sin_cos();
        let alpha = sin / SQRT_2;
        let unit = 1.0 + alpha;
        Self {
            b: numerator(cos).map(|b| b / unit),
            a: [-2.0 * cos / unit, (1.0 - alpha) / unit],
            state: [0.0; 2],
        }
    }

    fn step(&mut self, x: f32) -> f32 {
        let y = self.b[0] * x + self.state[0];
        self.state = [
            self.b[1] * x - self.a[0] * y + self.state[1],
            self.b[2] * x - self.a[1] * y,
        ];
        y
    }
}
