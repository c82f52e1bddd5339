//! A picture as a network's input.

use super::ModelError;
use super::manifest::Input;
use crate::data::Picture;

/// The grey beside a picture.
const PAD: f32 = 114.0;

/// A picture has at least one pixel, and as many as it says.
pub(super) fn whole(picture: &Picture) -> Result<(), ModelError> {
    let (w, h, bytes) = (picture.width, picture.height, picture.rgb.len());
    let needed = (w as usize).checked_mul(h as usize).and_then(|n| n.checked_mul(3));
    if bytes > 0 && needed == Some(bytes) {
        return Ok(());
    }
    Err(ModelError::Compute(format!(
        "a picture of {w}×{h} pixels has {bytes} bytes"
    )))
}

/// How a picture fits into an input: the input's size, and the factor by which the picture is scaled into its top left.
pub(super) struct Fit {
    pub width: usize,
    pub height: usize,
    pub scale: f32,
}

impl Fit {
    /// Fills the manifest's size. Rows and columns that would be padding only are left away: the sides are multiples
    /// of `grain`.
    pub fn fill(picture: &Picture, input: &Input, grain: usize) -> Self {
        let scale = (input.width as f32 / picture.width as f32).min(input.height as f32 / picture.height as f32);
        Self::at(picture, input, grain, scale)
    }

    /// As [`Fit::fill`], but a picture that is smaller stays as it is.
    pub fn shrink(picture: &Picture, input: &Input, grain: usize) -> Self {
        let fill = Self::fill(picture, input, grain);
        Self::at(picture, input, grain, fill.scale.min(1.0))
    }

    fn at(picture: &Picture, input: &Input, grain: usize, scale: f32) -> Self {
        let needed = |side: u32, limit: usize| {
            let px = (side as f32 * scale).ceil() as usize;
            (px.div_ceil(grain) * grain).clamp(grain, limit.div_ceil(grain) * grain)
        };
        Self {
            width: needed(picture.width, input.width),
            height: needed(picture.height, input.height),
            scale,
        }
    }
}

/// Planar `[3, height, width]` in the model's colours: the picture scaled bilinearly into the top left corner, grey
/// beside it.
pub(super) fn letterbox(picture: &Picture, fit: &Fit, input: &Input) -> Vec<f32> {
    let (w, h) = (fit.width, fit.height);
    let grey = (PAD - input.mean) * input.scale;
    let mut out = vec![grey; 3 * h * w];
    let (pw, ph) = (picture.width as usize, picture.height as usize);
    let (sw, sh) = (
        ((pw as f32 * fit.scale) as usize).clamp(1, w),
        ((ph as f32 * fit.scale) as usize).clamp(1, h),
    );
    let taps = |to: usize, from: usize| -> Vec<(usize, usize, f32)> {
        let step = from as f32 / to as f32;
        (0..to)
            .map(|i| {
                let at = ((i as f32 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f32);
                (at as usize, (at as usize + 1).min(from - 1), at.fract())
            })
            .collect()
    };
    let (xs, ys) = (taps(sw, pw), taps(sh, ph));
    let order = if input.colour == "rgb" { [0, 1, 2] } else { [2, 1, 0] };
    for (y, (y0, y1, fy)) in ys.iter().enumerate() {
        let (top, bottom) = (&picture.rgb[y0 * pw * 3..], &picture.rgb[y1 * pw * 3..]);
        for (plane, colour) in order.into_iter().enumerate() {
            let row = &mut out[(plane * h + y) * w..][..sw];
            for (value, (x0, x1, fx)) in row.iter_mut().zip(&xs) {
                let mix = |line: &[u8]| {
                    let (a, b) = (f32::from(line[x0 * 3 + colour]), f32::from(line[x1 * 3 + colour]));
                    a + (b - a) * fx
                };
                let (a, b) = (mix(top), mix(bottom));
                *value = (a + (b - a) * fy - input.mean) * input.scale;
            }
        }
    }
    out
}
