//! What is done plane by plane: pools, doubling, and the regrouping of 2×2 pixels. Plain loops that the compiler
//! vectorises; candle's own walk every element through its strides.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};
use rayon::prelude::*;

/// An operation on contiguous NCHW f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum PlaneOp {
    /// Maximum of each 2×2; an odd last row or column is left out.
    MaxHalf,
    /// Maximum over a square of an odd side around each pixel; beyond the edge nothing counts.
    MaxSame(usize),
    /// Each pixel four times.
    Twice,
    /// Each 2×2 becomes one pixel of four times the channels: top left, bottom left, top right, bottom right.
    Focus,
}

impl CustomOp1 for PlaneOp {
    fn name(&self) -> &'static str {
        "plane-op"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("plane-op: the input is not contiguous")
        };
        let input = &storage.as_slice::<f32>()?[from..to];
        let (channels, out_h, out_w) = match self {
            Self::MaxHalf => (c, h / 2, w / 2),
            Self::MaxSame(_) => (c, h, w),
            Self::Twice => (c, 2 * h, 2 * w),
            Self::Focus => (4 * c, h / 2, w / 2),
        };
        let mut out = vec![0f32; n * channels * out_h * out_w];
        if !out.is_empty() {
            let plane = out_h * out_w;
            out.par_chunks_exact_mut(plane)
                .enumerate()
                .with_min_len((16_384 / plane).max(1))
                .for_each_init(Vec::new, |row, (i, out)| {
                    let source = |plane: usize| &input[plane * h * w..(plane + 1) * h * w];
                    match *self {
                        Self::MaxHalf => max_half(source(i), w, out, out_w),
                        Self::MaxSame(kernel) => max_same(source(i), w, kernel, row, out),
                        Self::Twice => twice(source(i), w, out),
                        Self::Focus => {
                            let (image, corner, channel) = (i / channels, i % channels / c, i % c);
                            focus(source(image * c + channel), w, (corner % 2, corner / 2), out, out_w);
                        }
                    }
                });
        }
        Ok((CpuStorage::F32(out), (n, channels, out_h, out_w).into()))
    }
}

/// `f32::max` would look for NaN at every step; what a model answers is checked where it leaves the network.
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn max_half(source: &[f32], w: usize, out: &mut [f32], out_w: usize) {
    for (rows, out) in source.chunks_exact(2 * w).zip(out.chunks_exact_mut(out_w)) {
        let (top, bottom) = rows.split_at(w);
        let pairs = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
        for (out, ([a, b], [c, d])) in out.iter_mut().zip(pairs) {
            *out = greater(greater(*a, *b), greater(*c, *d));
        }
    }
}

/// A square's maximum is the maximum over rows of the maxima over columns.
fn max_same(source: &[f32], w: usize, kernel: usize, across: &mut Vec<f32>, out: &mut [f32]) {
    let (pad, h) = (kernel / 2, source.len() / w);
    across.clear();
    across.resize(source.len(), f32::NEG_INFINITY);
    let widest = |to: &mut [f32], from: &[f32]| {
        for (to, from) in to.iter_mut().zip(from) {
            *to = greater(*from, *to);
        }
    };
    for (to, from) in across.chunks_exact_mut(w).zip(source.chunks_exact(w)) {
        for by in 0..=pad.min(w - 1) {
            widest(to, &from[by..]);
            widest(&mut to[by..], from);
        }
    }
    out.fill(f32::NEG_INFINITY);
    for by in 0..=pad.min(h - 1) {
        widest(out, &across[by * w..]);
        widest(&mut out[by * w..], across);
    }
}

fn twice(source: &[f32], w: usize, out: &mut [f32]) {
    for (row, out) in source.chunks_exact(w).zip(out.chunks_exact_mut(4 * w)) {
        let (first, second) = out.split_at_mut(2 * w);
        for (pair, value) in first.as_chunks_mut::<2>().0.iter_mut().zip(row) {
            *pair = [*value; 2];
        }
        second.copy_from_slice(first);
    }
}

/// `corner`: (rows down, columns right) within each 2×2.
fn focus(source: &[f32], w: usize, corner: (usize, usize), out: &mut [f32], out_w: usize) {
    for (rows, out) in source.chunks_exact(2 * w).zip(out.chunks_exact_mut(out_w)) {
        for (out, pair) in out.iter_mut().zip(rows[corner.0 * w..].as_chunks::<2>().0) {
            *out = pair[corner.1];
        }
    }
}
