//! Log-mel features of a patch of sound. The training recipe computes the same (`models/training/sound/mel.py`).

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

/// 0.96 s at 16 kHz.
pub const PATCH_SAMPLES: usize = 15_360;
pub const FRAMES: usize = 96;
pub const BANDS: usize = 64;
const HOP: usize = 160;
const WINDOW: usize = 400;
const FFT: usize = 512;
/// Samples that frame 0 reaches before the patch.
const LEAD: usize = 120;

/// The samples given are not one patch long.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a patch is {PATCH_SAMPLES} samples long, not {0}")]
pub struct WrongLength(pub usize);

/// Log-mel spectrograms: frames of 25 ms every 10 ms, periodic Hann window, magnitudes of an FFT of 512, triangles of
/// peak 1 evenly spaced on Slaney's mel scale (Auditory Toolbox, 1998) from 125 Hz to 7.5 kHz.
pub struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: Vec<f32>,
    /// Per band: first bin and the weights from there on.
    bands: Vec<(usize, Vec<f32>)>,
}

impl Default for LogMel {
    fn default() -> Self {
        Self::new()
    }
}

impl LogMel {
    pub fn new() -> Self {
        let hann = (0..WINDOW)
            .map(|n| (0.5 - 0.5 * (2.0 * PI * n as f64 / WINDOW as f64).cos()) as f32)
            .collect();
        let (low, high) = (slaney_mel(125.0), slaney_mel(7500.0));
        let edges: Vec<f64> = (0..BANDS + 2)
            .map(|i| slaney_hz(low + (high - low) * i as f64 / (BANDS + 1) as f64))
            .collect();
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(FFT),
            hann,
            bands: edges.windows(3).map(band).collect(),
        }
    }

    /// `samples`: mono, 16 kHz, [-1, 1], 15,360 of them. Returns `[96, 64]` (frames × bands) of ln(mel + 1e-3), row by
    /// row.
    ///
    /// # Errors
    /// [`WrongLength`] when `samples` is not one patch long.
    pub fn patch(&self, samples: &[f32]) -> Result<Vec<f32>, WrongLength> {
        if samples.len() != PATCH_SAMPLES {
            return Err(WrongLength(samples.len()));
        }
        Ok(self.frames(samples))
    }

    /// The same of samples of any length: `[samples / 160, 64]`, frame by frame. A frame stands around its 10 ms; what
    /// lies outside of the samples is silence.
    pub fn frames(&self, samples: &[f32]) -> Vec<f32> {
        let frames = samples.len() / HOP;
        let (mut time, mut bins) = (self.fft.make_input_vec(), self.fft.make_output_vec());
        let mut out = Vec::with_capacity(frames * BANDS);
        for frame in 0..frames {
            time.fill(0.0);
            for (n, (at, hann)) in time.iter_mut().zip(&self.hann).enumerate() {
                if let Some(s) = (frame * HOP + n).checked_sub(LEAD).and_then(|i| samples.get(i)) {
                    *at = s * hann;
                }
            }
            // The buffers come from the plan itself, so their lengths fit.
            let _ = self.fft.process(&mut time, &mut bins);
            let magnitude: Vec<f32> = bins.iter().map(|c| c.norm()).collect();
            for (first, weights) in &self.bands {
                let sum: f32 = weights.iter().zip(&magnitude[*first..]).map(|(w, m)| w * m).sum();
                out.push((sum + 1e-3).ln());
            }
        }
        out
    }
}

fn band(edges: &[f64]) -> (usize, Vec<f32>) {
    let weight = |bin: usize| {
        let hz = bin as f64 * 16_000.0 / FFT as f64;
        ((hz - edges[0]) / (edges[1] - edges[0]))
            .min((edges[2] - hz) / (edges[2] - edges[1]))
            .max(0.0) as f32
    };
    let used: Vec<usize> = (0..=FFT / 2).filter(|b| weight(*b) > 0.0).collect();
    let first = used.first().copied().unwrap_or(0);
    (first, used.iter().map(|b| weight(*b)).collect())
}

/// Linear below 1 kHz, logarithmic above.
fn slaney_mel(hz: f64) -> f64 {
    if hz < 1000.0 {
        hz * 3.0 / 200.0
    } else {
        15.0 + (hz / 1000.0).ln() / (6.4f64.ln() / 27.0)
    }
}

fn slaney_hz(mel: f64) -> f64 {
    if mel < 15.0 {
        mel * 200.0 / 3.0
    } else {
        1000.0 * ((mel - 15.0) * 6.4f64.ln() / 27.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_stands_in_its_band_and_silence_at_the_floor() {
        let tone: Vec<f32> = (0..PATCH_SAMPLES)
            .map(|n| (2.0 * PI * 1000.0 * n as f64 / 16_000.0).sin() as f32)
            .collect();
        let mel = LogMel::new();
        let row = &mel.patch(&tone).unwrap()[40 * BANDS..41 * BANDS];
        let loudest = (0..BANDS).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        let expected = (slaney_mel(1000.0) - slaney_mel(125.0)) / (slaney_mel(7500.0) - slaney_mel(125.0)) * 65.0 - 1.0;
        assert!((loudest as f64 - expected).abs() <= 1.0, "{loudest} {expected}");
        assert!(
            mel.patch(&[0.0; PATCH_SAMPLES])
                .unwrap()
                .iter()
                .all(|v| (v - 1e-3f32.ln()).abs() < 1e-6)
        );
    }

    #[test]
    fn a_patch_of_another_length_is_refused() {
        assert_eq!(LogMel::new().patch(&[0.0; 10]), Err(WrongLength(10)));
    }
}
