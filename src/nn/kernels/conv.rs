//! A convolution with its bias and activation in one operation: planes with their padding, and a micro-kernel over weights
//! that were packed once, which reads each kernel position of a tile of pixels where it lies.

use std::cell::Cell;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};
use rayon::prelude::*;

use super::simd::{self, Isa};
use super::{Activation, ConvShape};

/// A packed convolution. Input and output are contiguous NCHW f32. Cheap to clone.
#[derive(Clone)]
pub(in crate::nn) struct FusedConv(Arc<Packed>);

struct Packed {
    shape: ConvShape,
    activation: Activation,
    isa: Isa,
    /// Dense: tiles of `[k][rows]`, the last one filled up with zeros. Depthwise: as it was, `[channel][kernel²]`.
    weights: Vec<f32>,
    /// Filled up with zeros to whole tiles.
    bias: Vec<f32>,
}

/// A pointer that the parallel loops share: each writes to places of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: every use below writes to ranges that no other iteration touches.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(&self) -> *mut f32 {
        self.0
    }
}

/// Where a convolution reads from: each plane with its padding, taken apart into one plane for every remainder of row and
/// column to the stride. So a kernel position reads consecutive values for consecutive output pixels, and the next row
/// of output pixels begins `width` values after this one: a tile may run over the end of a row, whose last values then
/// mean nothing.
struct Planes {
    /// Of one remainder.
    rows: usize,
    width: usize,
    stride: usize,
}

impl Planes {
    fn new(s: ConvShape, h: usize, w: usize) -> Self {
        Self {
            rows: (h + 2 * s.pad).div_ceil(s.stride),
            width: (w + 2 * s.pad).div_ceil(s.stride),
            stride: s.stride,
        }
    }

    /// Of all remainders of one plane.
    fn size(&self) -> usize {
        self.stride * self.stride * self.rows * self.width
    }

    /// Where kernel position (y, x) starts, relative to an output pixel's own place.
    fn offset(&self, y: usize, x: usize) -> usize {
        let remainder = y % self.stride * self.stride + x % self.stride;
        (remainder * self.rows + y / self.stride) * self.width + x / self.stride
    }

    /// Copies one `[h, w]` plane in.
    fn fill(&self, src: &[f32], h: usize, w: usize, pad: usize, dst: &mut [f32]) {
        for (i, out) in dst.chunks_exact_mut(self.width).enumerate() {
            let (remainder, row) = (i / self.rows, i % self.rows);
            let (remainder_y, remainder_x) = (remainder / self.stride, remainder % self.stride);
            let y = (row * self.stride + remainder_y).checked_sub(pad).filter(|y| *y < h);
            let Some(src) = y.map(|y| &src[y * w..(y + 1) * w]) else {
                out.fill(0.0);
                continue;
            };
            // The first column of the source here, and where it goes.
            let skipped = pad.saturating_sub(remainder_x).div_ceil(self.stride);
            let first = skipped * self.stride + remainder_x - pad;
            let (before, rest) = out.split_at_mut(skipped.min(self.width));
            before.fill(0.0);
            if self.stride == 1 {
                let (inside, after) = rest.split_at_mut(w);
                inside.copy_from_slice(src);
                after.fill(0.0);
                continue;
            }
            let mut columns = src.get(first..).unwrap_or_default().iter().step_by(self.stride);
            rest.fill_with(|| columns.next().map_or(0.0, |v| *v));
        }
    }
}

thread_local! {
    /// Filled planes; kept, so that a call neither asks for memory nor clears it.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl FusedConv {
    /// `isa` is one of [`Isa::available`]. `weights`: `[outs, ins, k, k]` (dense) or `[outs, 1, k, k]` (depthwise);
    /// `bias`: `[outs]`.
    pub fn pack(isa: Isa, shape: ConvShape, activation: Activation, weights: &[f32], bias: &[f32]) -> Self {
        let rows = isa.rows();
        let k = shape.kernel * shape.kernel * if shape.depthwise { 1 } else { shape.ins };
        let packed = if shape.depthwise {
            weights.to_vec()
        } else {
            let mut tiles = vec![0.0; shape.outs.div_ceil(rows) * k * rows];
            for o in 0..shape.outs {
                for j in 0..k {
                    tiles[(o / rows) * k * rows + j * rows + o % rows] = weights[o * k + j];
                }
            }
            tiles
        };
        let mut bias = bias.to_vec();
        bias.resize(shape.outs.div_ceil(rows) * rows, 0.0);
        Self(Arc::new(Packed {
            shape,
            activation,
            isa,
            weights: packed,
            bias,
        }))
    }
}

impl CustomOp1 for FusedConv {
    fn name(&self) -> &'static str {
        "fused-conv"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let packed = &*self.0;
        let s = packed.shape;
        let (batch, ins, h, w) = layout.shape().dims4()?;
        if ins != s.ins || h + 2 * s.pad < s.kernel || w + 2 * s.pad < s.kernel {
            candle_core::bail!("fused-conv: input {:?} does not fit {s:?}", layout.shape());
        }
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("fused-conv: the input is not contiguous")
        };
        let input = &storage.as_slice::<f32>()?[from..to];
        let out_h = (h + 2 * s.pad - s.kernel) / s.stride + 1;
        let out_w = (w + 2 * s.pad - s.kernel) / s.stride + 1;
        let mut out = Vec::with_capacity(batch * s.outs * out_h * out_w);
        let job = Job {
            packed,
            input,
            batch,
            h,
            w,
            out_h,
            out_w,
        };
        let target = Shared(out.as_mut_ptr());
        if s.depthwise {
            job.depthwise(target)
        } else {
            job.dense(target)
        }
        // SAFETY: every output pixel of every channel was written.
        unsafe { out.set_len(batch * s.outs * out_h * out_w) }
        Ok((CpuStorage::F32(out), (batch, s.outs, out_h, out_w).into()))
    }
}

/// One call.
struct Job<'a> {
    packed: &'a Packed,
    input: &'a [f32],
    batch: usize,
    h: usize,
    w: usize,
    out_h: usize,
    out_w: usize,
}

/// Vectors may read so far beyond the last value that means something.
const SLACK: usize = 64;

impl Job<'_> {
    /// Where each kernel position of each input channel starts.
    fn offsets(&self, planes: &Planes) -> Vec<usize> {
        let (kernel, channels) = (
            self.packed.shape.kernel,
            if self.packed.shape.depthwise {
                1
            } else {
                self.packed.shape.ins
            },
        );
        (0..channels * kernel * kernel)
            .map(|i| {
                let tap = i % (kernel * kernel);
                i / (kernel * kernel) * planes.size() + planes.offset(tap / kernel, tap % kernel)
            })
            .collect()
    }

    fn depthwise(&self, out: Shared) {
        let Packed {
            shape: s,
            isa,
            weights,
            bias,
            activation,
        } = self.packed;
        let planes = Planes::new(*s, self.h, self.w);
        let offsets = self.offsets(&planes);
        let taps = offsets.len();
        let (in_plane, out_plane) = (self.h * self.w, self.out_h * self.out_w);
        (0..self.batch * s.ins)
            .into_par_iter()
            .with_min_len((16_384 / (out_plane * taps)).max(1))
            .for_each_init(
                || vec![0f32; planes.size() + SLACK],
                |buffer, i| {
                    let channel = i % s.ins;
                    let source = &self.input[i * in_plane..(i + 1) * in_plane];
                    planes.fill(source, self.h, self.w, s.pad, &mut buffer[..planes.size()]);
                    for y in 0..self.out_h {
                        // SAFETY: the largest offset plus the row, rounded up to a vector, ends within plane + SLACK;
                        // the row is this channel's own; `isa` was detected when packing.
                        unsafe {
                            simd::depthwise_row(
                                *isa,
                                buffer.as_ptr().add(y * planes.width),
                                &offsets,
                                weights[channel * taps..].as_ptr(),
                                bias[channel],
                                out.get().add(i * out_plane + y * self.out_w),
                                self.out_w,
                                *activation,
                            );
                        }
                    }
                },
            );
    }

    fn dense(&self, out: Shared) {
        let Packed { shape: s, isa, .. } = self.packed;
        // Such a convolution reads every pixel once, in place.
        let point = s.kernel == 1 && s.stride == 1 && s.pad == 0;
        let planes = Planes::new(*s, self.h, self.w);
        let mut scratch = SCRATCH.take();
        if !point {
            let filled = self.batch * s.ins * planes.size();
            if scratch.len() < filled + SLACK {
                scratch.resize(filled + SLACK, 0.0);
            }
            let (h, w) = (self.h, self.w);
            scratch[..filled]
                .par_chunks_exact_mut(planes.size())
                .enumerate()
                .with_min_len((16_384 / planes.size()).max(1))
                .for_each(|(i, plane)| planes.fill(&self.input[i * h * w..(i + 1) * h * w], h, w, s.pad, plane));
        }
        let source: &[f32] = if point { self.input } else { &scratch };
        let offsets = self.offsets(&planes);
        let reach = offsets.iter().max().map_or(0, |o| o + isa.pixels());
        let in_place: Vec<usize> = (0..offsets.len()).map(|i| i * isa.pixels()).collect();
        let pixels = isa.pixels();
        // Pixels of one image as they lie in the source, up to its last one.
        let span = (self.out_h - 1) * planes.width + self.out_w;
        let tiles = span.div_ceil(pixels);
        (0..self.batch * tiles)
            .into_par_iter()
            .with_min_len((262_144 / (offsets.len() * pixels * s.outs)).max(1))
            .for_each_init(
                || (Vec::new(), Vec::new()),
                |(copy, runs), i| {
                    let (image, first) = (i / tiles, i % tiles * pixels);
                    let count = pixels.min(span - first);
                    let base = image * s.ins * planes.size() + first;
                    self.runs(planes.width, first, count, runs);
                    if base + reach <= source.len() {
                        self.multiply(&source[base..], &offsets, image, runs, out);
                    } else {
                        // The input's very end, which has no slack.
                        copy.clear();
                        copy.resize(in_place.len() * pixels, 0.0);
                        for (row, offset) in copy.chunks_exact_mut(pixels).zip(&offsets) {
                            row[..count].copy_from_slice(&source[base + offset..][..count]);
                        }
                        self.multiply(copy, &in_place, image, runs, out);
                    }
                },
            );
        SCRATCH.set(scratch);
    }

    /// The tile's pixels that mean something, as runs: (place in the tile, output pixel, length).
    fn runs(&self, width: usize, first: usize, count: usize, runs: &mut Vec<(usize, usize, usize)>) {
        runs.clear();
        let mut place = 0;
        while place < count {
            let (y, x) = ((first + place) / width, (first + place) % width);
            let length = self.out_w.saturating_sub(x).min(count - place);
            match runs.last_mut() {
                _ if length == 0 => {}
                // Without padding a row follows the one before.
                Some(run) if run.0 + run.2 == place => run.2 += length,
                _ => runs.push((place, y * self.out_w + x, length)),
            }
            place += width - x;
        }
    }

    /// One tile of pixels of every output channel. `source` reaches `isa.pixels()` beyond the largest offset.
    fn multiply(&self, source: &[f32], offsets: &[usize], image: usize, runs: &[(usize, usize, usize)], out: Shared) {
        let Packed {
            shape: s,
            isa,
            weights,
            bias,
            activation,
        } = self.packed;
        let (rows, pixels, out_plane) = (isa.rows(), isa.pixels(), self.out_h * self.out_w);
        let k = offsets.len();
        let mut spill = [0f32; simd::MOST_VALUES];
        for m in 0..s.outs.div_ceil(rows) {
            let used = rows.min(s.outs - m * rows);
            let (a, b) = (weights[m * k * rows..].as_ptr(), bias[m * rows..].as_ptr());
            let first = (image * s.outs + m * rows) * out_plane;
            // SAFETY: weights and bias are packed to whole tiles, `source` is long enough, `spill` holds rows × pixels;
            // runs lie within the image's plane, and no other tile has the same pixels.
            unsafe {
                let c = out.get().add(first);
                if let [(0, pixel, length)] = runs
                    && *length == pixels
                    && used == rows
                {
                    simd::tile(
                        *isa,
                        offsets,
                        a,
                        source.as_ptr(),
                        c.add(*pixel),
                        out_plane,
                        b,
                        *activation,
                    );
                    continue;
                }
                simd::tile(
                    *isa,
                    offsets,
                    a,
                    source.as_ptr(),
                    spill.as_mut_ptr(),
                    pixels,
                    b,
                    *activation,
                );
                for (i, row) in spill.chunks_exact(pixels).take(used).enumerate() {
                    for (place, pixel, length) in runs {
                        let from = row[*place..place + length].as_ptr();
                        std::ptr::copy_nonoverlapping(from, c.add(i * out_plane + pixel), *length);
                    }
                }
            }
        }
    }
}
