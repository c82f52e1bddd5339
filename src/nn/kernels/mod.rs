//! Fused CPU kernels: candle custom operations that the blocks of [`super::layers`] use where the processor has the
//! instructions (AVX-512F, or AVX2 with FMA). Everything else takes the plain candle path.

#[cfg(target_arch = "x86_64")]
mod conv;
mod planes;
#[cfg(target_arch = "x86_64")]
mod simd;

#[cfg(target_arch = "x86_64")]
pub(super) use conv::FusedConv;
pub(super) use planes::PlaneOp;
#[cfg(target_arch = "x86_64")]
pub(super) use simd::Isa;

/// What follows a convolution's bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Relu,
    Silu,
}

/// Geometry of a convolution: square kernel, the same stride and padding both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConvShape {
    pub ins: usize,
    pub outs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub pad: usize,
    /// One filter a channel instead of all channels to all.
    pub depthwise: bool,
}
