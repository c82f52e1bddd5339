//! A convolution with its bias and activation in one operation: padding, implicit im2col into tiles that stay in cache,
//! and a micro-kernel over weights that were packed once.

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

/// Where a convolution reads from: planes with padding, columns sorted by their remainder to the stride, so that each
/// kernel position reads consecutive values.
struct Planes {
    height: usize,
    /// Columns of one remainder.
    width: usize,
    stride: usize,
}

impl Planes {
    fn size(&self) -> usize {
        self.height * self.stride * self.width
    }

    /// Where kernel position (y, x) starts, relative to an output pixel's own place.
    fn offset(&self, y: usize, x: usize) -> usize {
        (y * self.stride + x % self.stride) * self.width + x / self.stride
    }

    /// Copies one `[h, w]` plane in.
    fn fill(&self, src: &[f32], h: usize, w: usize, pad: usize, dst: &mut [f32]) {
        let row = self.stride * self.width;
        for (y, out) in dst.chunks_exact_mut(row).take(self.height).enumerate() {
            let Some(src_row) = y.checked_sub(pad).filter(|y| *y < h).map(|y| &src[y * w..(y + 1) * w]) else {
                out.fill(0.0);
                continue;
            };
            if self.stride == 1 {
                out[..pad].fill(0.0);
                out[pad..pad + w].copy_from_slice(src_row);
                out[pad + w..].fill(0.0);
                continue;
            }
            for (remainder, columns) in out.chunks_exact_mut(self.width).enumerate() {
                for (i, value) in columns.iter_mut().enumerate() {
                    *value = (i * self.stride + remainder)
                        .checked_sub(pad)
                        .and_then(|x| src_row.get(x))
                        .map_or(0.0, |v| *v);
                }
            }
        }
    }
}

impl FusedConv {
    /// `weights`: `[outs, ins, k, k]` (dense) or `[outs, 1, k, k]` (depthwise); `bias`: `[outs]`. None where the
    /// processor lacks the instructions.
    pub fn pack(shape: ConvShape, activation: Activation, weights: &[f32], bias: &[f32]) -> Option<Self> {
        let isa = Isa::detect()?;
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
        Some(Self(Arc::new(Packed {
            shape,
            activation,
            isa,
            weights: packed,
            bias,
        })))
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
        let mut out = vec![0f32; batch * s.outs * out_h * out_w];
        let job = Job {
            packed,
            input,
            batch,
            h,
            w,
            out_h,
            out_w,
        };
        if s.depthwise {
            job.depthwise(&mut out)
        } else {
            job.dense(&mut out)
        }
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

/// Vectors may read so far beyond the last pixel of a row.
const SLACK: usize = 64;

impl Job<'_> {
    fn planes(&self) -> Planes {
        let s = self.packed.shape;
        Planes {
            height: self.h + 2 * s.pad,
            width: (self.w + 2 * s.pad).div_ceil(s.stride),
            stride: s.stride,
        }
    }

    fn depthwise(&self, out: &mut [f32]) {
        let Packed {
            shape: s,
            isa,
            weights,
            bias,
            activation,
        } = self.packed;
        let planes = self.planes();
        let taps = s.kernel * s.kernel;
        let offsets: Vec<usize> = (0..taps).map(|i| planes.offset(i / s.kernel, i % s.kernel)).collect();
        let out_plane = self.out_h * self.out_w;
        out.par_chunks_exact_mut(out_plane)
            .enumerate()
            .with_min_len((16_384 / (out_plane * taps)).max(1))
            .for_each_init(
                || vec![0f32; planes.size() + SLACK],
                |buffer, (i, out)| {
                    let channel = i % s.ins;
                    planes.fill(
                        &self.input[i * self.h * self.w..(i + 1) * self.h * self.w],
                        self.h,
                        self.w,
                        s.pad,
                        buffer,
                    );
                    for (y, row) in out.chunks_exact_mut(self.out_w).enumerate() {
                        let src = &buffer[y * s.stride * s.stride * planes.width..];
                        // SAFETY: the largest offset plus the row, rounded up to a vector, ends within plane + SLACK;
                        // `row` holds out_w values; `isa` was detected when packing.
                        unsafe {
                            simd::depthwise_row(
                                *isa,
                                src.as_ptr(),
                                &offsets,
                                weights[channel * taps..].as_ptr(),
                                bias[channel],
                                row.as_mut_ptr(),
                                self.out_w,
                                *activation,
                            );
                        }
                    }
                },
            );
    }

    fn dense(&self, out: &mut [f32]) {
        let Packed { shape: s, isa, .. } = self.packed;
        let point = s.kernel == 1 && s.stride == 1 && s.pad == 0;
        let planes = if point {
            Planes {
                height: self.h,
                width: self.w,
                stride: 1,
            }
        } else {
            self.planes()
        };
        let padded;
        let source: &[f32] = if point {
            self.input
        } else {
            let mut filled = vec![0f32; self.batch * s.ins * planes.size() + SLACK];
            let (h, w) = (self.h, self.w);
            filled[..self.batch * s.ins * planes.size()]
                .par_chunks_exact_mut(planes.size())
                .enumerate()
                .with_min_len((16_384 / planes.size()).max(1))
                .for_each(|(i, plane)| planes.fill(&self.input[i * h * w..(i + 1) * h * w], h, w, s.pad, plane));
            padded = filled;
            &padded
        };
        let taps = s.kernel * s.kernel;
        let offsets: Vec<usize> = (0..s.ins * taps)
            .map(|i| (i / taps) * planes.size() + planes.offset(i % taps / s.kernel, i % s.kernel))
            .collect();
        let k = offsets.len();
        let pixels = isa.pixels();
        let all = self.batch * self.out_h * self.out_w;
        let target = Shared(out.as_mut_ptr());
        (0..all.div_ceil(pixels))
            .into_par_iter()
            .with_min_len((262_144 / (k * pixels * s.outs)).max(1))
            .for_each_init(
                || (vec![0f32; k * pixels], vec![0f32; simd::ROWS_512 * pixels], Vec::new()),
                |(columns, spill, runs), tile| {
                    let first = tile * pixels;
                    let count = pixels.min(all - first);
                    self.runs(&planes, first, count, runs);
                    gather(source, &offsets, runs, count, pixels, columns);
                    self.multiply(columns, spill, first, count, target);
                },
            );
    }

    /// The tile's pixels as runs of consecutive source values: (source index, place in the tile, length).
    fn runs(&self, planes: &Planes, first: usize, count: usize, runs: &mut Vec<(usize, usize, usize)>) {
        let s = self.packed.shape;
        let out_plane = self.out_h * self.out_w;
        runs.clear();
        let mut pixel = first;
        while pixel < first + count {
            let (image, p) = (pixel / out_plane, pixel % out_plane);
            let (y, x) = (p / self.out_w, p % self.out_w);
            let length = (self.out_w - x).min(first + count - pixel);
            let base = image * s.ins * planes.size() + y * s.stride * s.stride * planes.width + x;
            runs.push((base, pixel - first, length));
            pixel += length;
        }
    }

    fn multiply(&self, columns: &[f32], spill: &mut [f32], first: usize, count: usize, out: Shared) {
        let Packed {
            shape: s,
            isa,
            weights,
            bias,
            activation,
        } = self.packed;
        let (rows, pixels, out_plane) = (isa.rows(), isa.pixels(), self.out_h * self.out_w);
        let k = columns.len() / pixels;
        let one_image = first / out_plane == (first + count - 1) / out_plane;
        for m in 0..s.outs.div_ceil(rows) {
            let used = rows.min(s.outs - m * rows);
            let (a, b) = (weights[m * k * rows..].as_ptr(), bias[m * rows..].as_ptr());
            // SAFETY: weights and bias are packed to whole tiles, `columns` is k × pixels, `spill` holds rows × pixels;
            // a whole tile within one image is written in place, and no other tile has the same pixels.
            unsafe {
                if one_image && count == pixels && used == rows {
                    let c = out
                        .get()
                        .add((first / out_plane * s.outs + m * rows) * out_plane + first % out_plane);
                    simd::tile(*isa, k, a, columns.as_ptr(), c, out_plane, b, *activation);
                    continue;
                }
                simd::tile(*isa, k, a, columns.as_ptr(), spill.as_mut_ptr(), pixels, b, *activation);
                for (i, row) in spill.chunks_exact(pixels).take(used).enumerate() {
                    let mut j = 0;
                    while j < count {
                        let (image, p) = ((first + j) / out_plane, (first + j) % out_plane);
                        let length = (out_plane - p).min(count - j);
                        let c = out.get().add((image * s.outs + m * rows + i) * out_plane + p);
                        std::ptr::copy_nonoverlapping(row[j..].as_ptr(), c, length);
                        j += length;
                    }
                }
            }
        }
    }
}

/// Fills `columns` (`[k][pixels]`) from the source; missing pixels become zero.
fn gather(
    source: &[f32],
    offsets: &[usize],
    runs: &[(usize, usize, usize)],
    count: usize,
    pixels: usize,
    columns: &mut [f32],
) {
    for (offset, row) in offsets.iter().zip(columns.chunks_exact_mut(pixels)) {
        for (base, place, length) in runs {
            row[*place..place + length].copy_from_slice(&source[base + offset..base + offset + length]);
        }
        row[count..].fill(0.0);
    }
}
