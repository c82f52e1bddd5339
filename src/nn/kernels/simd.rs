//! One vector type a width, and the two inner loops written once over both.

use std::arch::x86_64::*;

use super::Activation;

/// Rows (output channels) of a tile.
const ROWS_512: usize = 8;
const ROWS_256: usize = 6;
/// Vectors (of pixels) of a tile.
const VECTORS: usize = 2;
/// Values of the largest tile.
pub(super) const MOST_VALUES: usize = ROWS_512 * VECTORS * 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Isa {
    Avx512,
    Avx2,
}

impl Isa {
    /// What this processor has, best first; none: no fused convolution.
    pub fn available() -> impl Iterator<Item = Self> {
        let avx512 = is_x86_feature_detected!("avx512f");
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        [(Self::Avx512, avx512), (Self::Avx2, avx2)]
            .into_iter()
            .filter_map(|(isa, there)| there.then_some(isa))
    }

    pub fn rows(self) -> usize {
        match self {
            Self::Avx512 => ROWS_512,
            Self::Avx2 => ROWS_256,
        }
    }

    /// Pixels of a tile.
    pub fn pixels(self) -> usize {
        VECTORS
            * match self {
                Self::Avx512 => 16,
                Self::Avx2 => 8,
            }
    }
}

/// A vector of f32. SAFETY of every method: the processor has the instructions (`Isa::available`), and pointers are valid
/// for `LANES` values.
trait Vector: Copy {
    const LANES: usize;
    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    unsafe fn store(self, p: *mut f32);
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    unsafe fn max(self, b: Self) -> Self;
    unsafe fn min(self, b: Self) -> Self;
    unsafe fn round(self) -> Self;
    /// 2^x for whole x.
    unsafe fn exp2_whole(self) -> Self;
}

macro_rules! vector {
    ($t:ty, $lanes:expr, $set:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $mul:ident, $div:ident, $max:ident,
     $min:ident, $round:expr, $exp2:expr) => {
        // SAFETY: plain wrappers; the trait's contract holds for them.
        impl Vector for $t {
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                unsafe { $set(x) }
            }
            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self {
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut f32) {
                unsafe { $store(p, self) }
            }
            #[inline(always)]
            unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
                unsafe { $fma(a, b, c) }
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                unsafe { $add(self, b) }
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                unsafe { $mul(self, b) }
            }
            #[inline(always)]
            unsafe fn div(self, b: Self) -> Self {
                unsafe { $div(self, b) }
            }
            #[inline(always)]
            unsafe fn max(self, b: Self) -> Self {
                unsafe { $max(self, b) }
            }
            #[inline(always)]
            unsafe fn min(self, b: Self) -> Self {
                unsafe { $min(self, b) }
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                #[allow(clippy::redundant_closure_call)]
                unsafe {
                    ($round)(self)
                }
            }
            #[inline(always)]
            unsafe fn exp2_whole(self) -> Self {
                #[allow(clippy::redundant_closure_call)]
                unsafe {
                    ($exp2)(self)
                }
            }
        }
    };
}

vector!(
    __m512,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_mul_ps,
    _mm512_div_ps,
    _mm512_max_ps,
    _mm512_min_ps,
    |x| _mm512_roundscale_ps::<8>(x),
    |x| _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(
        _mm512_cvtps_epi32(x),
        _mm512_set1_epi32(127)
    )))
);
vector!(
    __m256,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_mul_ps,
    _mm256_div_ps,
    _mm256_max_ps,
    _mm256_min_ps,
    |x| _mm256_round_ps::<8>(x),
    |x| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(
        _mm256_cvtps_epi32(x),
        _mm256_set1_epi32(127)
    )))
);

/// SiLU needs e^-x: range reduction by ln 2 in two parts and a polynomial of degree 6 (Cephes' `expf`), relative error
/// below 2e-7.
#[inline(always)]
unsafe fn activate<V: Vector>(x: V, activation: Activation) -> V {
    // SAFETY: as the trait's.
    unsafe {
        match activation {
            Activation::None => x,
            Activation::Relu => x.max(V::splat(0.0)),
            Activation::Silu => {
                let z = x.mul(V::splat(-1.0)).min(V::splat(87.0)).max(V::splat(-87.0));
                let n = z.mul(V::splat(std::f32::consts::LOG2_E)).round();
                let r = V::mul_add(n, V::splat(-0.693_359_4), z);
                let r = V::mul_add(n, V::splat(2.121_944_4e-4), r);
                let mut p = V::splat(1.987_569_1e-4);
                for c in [1.398_199_9e-3f32, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
                    p = V::mul_add(p, r, V::splat(c));
                }
                let e = V::mul_add(p, r.mul(r), r.add(V::splat(1.0))).mul(n.exp2_whole());
                x.div(e.add(V::splat(1.0)))
            }
        }
    }
}

/// c[MR][VECTORS * LANES] = activation(bias + a[k][MR] · b[offsets[k]..][VECTORS * LANES])
#[expect(
    clippy::needless_range_loop,
    reason = "iterators over arrays are not always inlined here; the sums then leave their registers: six times slower"
)]
#[inline(always)]
unsafe fn tile_of<V: Vector, const MR: usize>(
    offsets: &[usize],
    mut a: *const f32,
    b: *const f32,
    c: *mut f32,
    row_stride: usize,
    bias: *const f32,
    activation: Activation,
) {
    // SAFETY: the caller's pointers hold k * MR, VECTORS * LANES from each offset on, MR rows and MR values.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; MR];
        for i in 0..MR {
            sums[i] = [V::splat(*bias.add(i)); VECTORS];
        }
        for offset in offsets {
            let at = b.add(*offset);
            let mut pixels = [V::splat(0.0); VECTORS];
            for j in 0..VECTORS {
                pixels[j] = V::load(at.add(j * V::LANES));
            }
            for i in 0..MR {
                let weight = V::splat(*a.add(i));
                for j in 0..VECTORS {
                    sums[i][j] = V::mul_add(weight, pixels[j], sums[i][j]);
                }
            }
            a = a.add(MR);
        }
        for i in 0..MR {
            for j in 0..VECTORS {
                activate(sums[i][j], activation).store(c.add(i * row_stride + j * V::LANES));
            }
        }
    }
}

/// dst[n] = activation(bias + Σ_j w[j] * src[offsets[j] + n])
#[inline(always)]
unsafe fn depthwise_row_of<V: Vector>(
    src: *const f32,
    offsets: &[usize],
    w: *const f32,
    bias: f32,
    dst: *mut f32,
    n: usize,
    activation: Activation,
) {
    // SAFETY: `src` is readable for LANES beyond the last pixel (the caller pads), `dst` holds n values.
    unsafe {
        let mut i = 0;
        while i < n {
            let mut sum = V::splat(bias);
            for (j, offset) in offsets.iter().enumerate() {
                sum = V::mul_add(V::splat(*w.add(j)), V::load(src.add(offset + i)), sum);
            }
            let y = activate(sum, activation);
            if i + V::LANES <= n {
                y.store(dst.add(i));
            } else {
                let mut rest = [0f32; 16];
                y.store(rest.as_mut_ptr());
                std::ptr::copy_nonoverlapping(rest.as_ptr(), dst.add(i), n - i);
            }
            i += V::LANES;
        }
    }
}

#[target_feature(enable = "avx512f")]
#[allow(clippy::too_many_arguments)]
unsafe fn tile_512(
    o: &[usize],
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    rs: usize,
    bias: *const f32,
    act: Activation,
) {
    // SAFETY: passed on.
    unsafe { tile_of::<__m512, ROWS_512>(o, a, b, c, rs, bias, act) }
}

#[target_feature(enable = "avx2,fma")]
#[allow(clippy::too_many_arguments)]
unsafe fn tile_256(
    o: &[usize],
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    rs: usize,
    bias: *const f32,
    act: Activation,
) {
    // SAFETY: passed on.
    unsafe { tile_of::<__m256, ROWS_256>(o, a, b, c, rs, bias, act) }
}

/// One tile of a product: `isa.rows()` output channels by `isa.pixels()` pixels.
///
/// # Safety
/// `isa` comes from `Isa::available`; `a` holds rows packed weights an offset, `b` pixels values from each offset on, `bias`
/// rows values, and `c` rows of `row_stride` with room for the pixels.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn tile(
    isa: Isa,
    offsets: &[usize],
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    row_stride: usize,
    bias: *const f32,
    activation: Activation,
) {
    // SAFETY: the caller's contract; `isa` says that the instructions exist.
    unsafe {
        match isa {
            Isa::Avx512 => tile_512(offsets, a, b, c, row_stride, bias, activation),
            Isa::Avx2 => tile_256(offsets, a, b, c, row_stride, bias, activation),
        }
    }
}

#[target_feature(enable = "avx512f")]
#[allow(clippy::too_many_arguments)]
unsafe fn row_512(src: *const f32, o: &[usize], w: *const f32, bias: f32, dst: *mut f32, n: usize, act: Activation) {
    // SAFETY: passed on.
    unsafe { depthwise_row_of::<__m512>(src, o, w, bias, dst, n, act) }
}

#[target_feature(enable = "avx2,fma")]
#[allow(clippy::too_many_arguments)]
unsafe fn row_256(src: *const f32, o: &[usize], w: *const f32, bias: f32, dst: *mut f32, n: usize, act: Activation) {
    // SAFETY: passed on.
    unsafe { depthwise_row_of::<__m256>(src, o, w, bias, dst, n, act) }
}

/// One row of one channel's output.
///
/// # Safety
/// `isa` comes from `Isa::available`; `src` is readable at every offset for n values rounded up to 16, `w` holds a weight
/// an offset, `dst` n values.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn depthwise_row(
    isa: Isa,
    src: *const f32,
    offsets: &[usize],
    w: *const f32,
    bias: f32,
    dst: *mut f32,
    n: usize,
    activation: Activation,
) {
    // SAFETY: the caller's contract; `isa` says that the instructions exist.
    unsafe {
        match isa {
            Isa::Avx512 => row_512(src, offsets, w, bias, dst, n, activation),
            Isa::Avx2 => row_256(src, offsets, w, bias, dst, n, activation),
        }
    }
}
