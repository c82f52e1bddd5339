//! Steady noise under a voice, and the voice without it: Wiener's gain, frame by frame as sound comes in. The recipe that
//! measured it is `models/training/sound/steady.py`, and gives the same.

use std::collections::VecDeque;
use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

const FFT: usize = 512;
pub const HOP: usize = 256;
const BINS: usize = FFT / 2 + 1;
/// The noise is the least of the smoothed power over so many frames (1.5 s), a little raised (after R. Martin, Noise power
/// spectral density estimation based on optimal smoothing and minimum statistics, 2001).
const SPAN: usize = 94;
const SMOOTH: f32 = 0.85;
const BIAS: f32 = 1.6;
/// How much of the signal's estimate is the frame before's (Ephraim and Malah, 1984), and the least gain: -15 dB.
const BEFORE: f32 = 0.96;
const LEAST: f32 = 0.18;
const TINY: f32 = 1e-14;

/// What a frame held, summed over its bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FramePower {
    pub noise: f32,
    /// With the noise.
    pub all: f32,
}

/// One microphone's filter. What comes out is `HOP` samples late and begins with as many of silence.
pub struct Wiener {
    forward: Arc<dyn RealToComplex<f32>>,
    backward: Arc<dyn ComplexToReal<f32>>,
    hann: Vec<f32>,
    /// The last samples, of which the newest frame is not whole yet.
    waiting: Vec<f32>,
    /// The second half of the frame before, behind the filter.
    tail: Vec<f32>,
    smoothed: VecDeque<Vec<f32>>,
    /// The signal's power over the noise in the frame before.
    before: Vec<f32>,
}

impl Default for Wiener {
    fn default() -> Self {
        let mut planner = RealFftPlanner::new();
        let hann = (0..FFT).map(|n| (0.5 - 0.5 * (2.0 * PI * n as f64 / FFT as f64).cos()) as f32);
        Self {
            forward: planner.plan_fft_forward(FFT),
            backward: planner.plan_fft_inverse(FFT),
            hann: hann.collect(),
            waiting: vec![0.0; HOP],
            tail: vec![0.0; HOP],
            smoothed: VecDeque::new(),
            before: vec![0.0; BINS],
        }
    }
}

impl Wiener {
    /// More sound, 16 kHz mono. Calls `each` with every `HOP` samples that are done and the power of the frame that ended
    /// them.
    pub fn push(&mut self, samples: &[f32], mut each: impl FnMut(&[f32], FramePower)) {
        self.waiting.extend_from_slice(samples);
        while self.waiting.len() >= FFT {
            let mut bins = self.spectrum();
            let power = self.filter(&mut bins);
            let frame = self.samples(&mut bins);
            // As scipy's istft: both halves weighed by the window again, and by the squares of its values there.
            let done: Vec<f32> = (0..HOP)
                .map(|n| {
                    let (late, early) = (self.hann[n + HOP], self.hann[n]);
                    (self.tail[n] * late + frame[n] * early) / (late * late + early * early)
                })
                .collect();
            self.tail.copy_from_slice(&frame[HOP..]);
            self.waiting.drain(..HOP);
            each(&done, power);
        }
    }

    /// Samples that came in and are not done.
    pub fn lag(&self) -> usize {
        self.waiting.len()
    }

    /// Sound is missing: what is known of the noise is kept.
    pub fn skip(&mut self) {
        self.waiting = vec![0.0; HOP];
        self.tail.fill(0.0);
        self.before.fill(0.0);
    }

    /// Of the oldest frame that waits, scaled to the window's sum.
    fn spectrum(&self) -> Vec<Complex<f32>> {
        let scale = 1.0 / self.hann.iter().sum::<f32>();
        let mut time: Vec<f32> = self
            .waiting
            .iter()
            .zip(&self.hann)
            .map(|(s, w)| s * w * scale)
            .collect();
        let mut bins = self.forward.make_output_vec();
        // The buffers have the plan's lengths.
        let _ = self.forward.process(&mut time, &mut bins);
        bins
    }

    fn filter(&mut self, bins: &mut [Complex<f32>]) -> FramePower {
        let power: Vec<f32> = bins.iter().map(Complex::norm_sqr).collect();
        let smoothed = match self.smoothed.back() {
            Some(last) => last
                .iter()
                .zip(&power)
                .map(|(l, p)| SMOOTH * l + (1.0 - SMOOTH) * p)
                .collect(),
            None => power.clone(),
        };
        self.smoothed.push_back(smoothed);
        if self.smoothed.len() > SPAN {
            self.smoothed.pop_front();
        }
        let mut sum = FramePower { noise: 0.0, all: 0.0 };
        for (k, bin) in bins.iter_mut().enumerate() {
            let noise = BIAS * self.smoothed.iter().map(|s| s[k]).fold(f32::INFINITY, f32::min) + TINY;
            let over = power[k] / noise;
            let signal = BEFORE * self.before[k] + (1.0 - BEFORE) * (over - 1.0).max(0.0);
            let gain = (signal / (1.0 + signal)).max(LEAST);
            self.before[k] = gain * gain * over;
            *bin *= gain;
            sum.noise += noise;
            sum.all += power[k];
        }
        sum
    }

    fn samples(&self, bins: &mut [Complex<f32>]) -> Vec<f32> {
        let mut time = self.backward.make_output_vec();
        // Of a real signal; the first and last bin have no imaginary part.
        for k in [0, BINS - 1] {
            bins[k].im = 0.0;
        }
        let _ = self.backward.process(bins, &mut time);
        let scale = self.hann.iter().sum::<f32>() / FFT as f32;
        time.iter_mut().for_each(|s| *s *= scale);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is done of samples that come in pieces of so many.
    fn through(samples: &[f32], piece: usize) -> Vec<f32> {
        let (mut filter, mut out) = (Wiener::default(), Vec::new());
        for part in samples.chunks(piece) {
            filter.push(part, |done, _| out.extend_from_slice(done));
        }
        out.split_off(HOP)
    }

    fn tone_in_noise(seconds: usize) -> Vec<f32> {
        let mut state = 1u32;
        (0..seconds * 16_000)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
                let speaks = i > 32_000 && i / 4_000 % 2 == 1;
                0.1 * noise + if speaks { 0.3 * (i as f32 * 0.3).sin() } else { 0.0 }
            })
            .collect()
    }

    #[test]
    fn pieces_of_any_length_give_the_same() {
        let samples = tone_in_noise(3);
        let whole = through(&samples, samples.len());
        assert_eq!(through(&samples, 100), whole);
        assert_eq!(through(&samples, 7_680), whole);
        assert!(whole.iter().all(|s| s.is_finite()));
    }

    #[test]
    fn the_noise_becomes_fainter_and_what_stands_out_of_it_stays() {
        let samples = tone_in_noise(4);
        let out = through(&samples, 7_680);
        let power = |x: &[f32]| x.iter().map(|s| s * s).sum::<f32>() / x.len() as f32;
        let (pause, tone) = (40_500..43_500, 45_000..47_500);
        assert!(power(&out[pause.clone()]) < 0.1 * power(&samples[pause]));
        let kept = power(&out[tone.clone()]) / power(&samples[tone]);
        assert!((0.7..1.1).contains(&kept), "{kept}");
    }

    #[test]
    fn silence_stays_silence() {
        assert!(through(&vec![0.0; 16_000], 480).iter().all(|s| *s == 0.0));
    }
}
