//! The few blocks that every network is made of. Each has a plain candle form for every device; where a fused kernel
//! exists the CPU takes that, and the tests hold the two together.

use candle_core::{D, DType, Device, Tensor};

use super::ModelError;
use super::kernels::{Activation, ConvShape, PlaneOp};
#[cfg(target_arch = "x86_64")]
use super::kernels::{FusedConv, Isa};
use super::weights::Weights;

/// Batch norm's epsilon in all our networks, and in YOLOX.
const NORM_EPS: f32 = 1e-3;

/// Convolution + bias + activation, NCHW.
pub(super) struct Conv {
    shape: ConvShape,
    activation: Activation,
    weight: Tensor,
    bias: Tensor,
    #[cfg(target_arch = "x86_64")]
    fused: Option<FusedConv>,
}

impl Conv {
    /// A convolution without bias, followed by a batch norm which is folded in: tensors `{conv}.weight` and
    /// `{norm}.{weight,bias,running_mean,running_var}`. Weights that were folded before carry `{conv}.bias` and no norm.
    pub fn with_norm(
        w: &Weights,
        conv: &str,
        norm: &str,
        shape: ConvShape,
        activation: Activation,
    ) -> Result<Self, ModelError> {
        if w.has(&format!("{conv}.bias")) {
            return Self::with_bias(w, conv, shape, activation);
        }
        let mut weight = w.take(&format!("{conv}.weight"), &weight_dims(shape))?;
        let name = norm;
        let norm = |part: &str| w.take(&format!("{name}.{part}"), &[shape.outs]);
        let (gamma, mut bias, mean, var) = (
            norm("weight")?,
            norm("bias")?,
            norm("running_mean")?,
            norm("running_var")?,
        );
        if let Some(o) = var.iter().position(|v| *v + NORM_EPS <= 0.0) {
            return Err(ModelError::Compute(format!(
                "{name}.running_var[{o}] is {}: no variance",
                var[o]
            )));
        }
        let per_filter = weight.len() / shape.outs.max(1);
        for (o, filter) in weight.chunks_exact_mut(per_filter).enumerate() {
            let scale = gamma[o] / (var[o] + NORM_EPS).sqrt();
            filter.iter_mut().for_each(|v| *v *= scale);
            bias[o] -= mean[o] * scale;
        }
        Self::new(weight, bias, shape, activation, w.device())
    }

    /// Tensors `{name}.weight` and `{name}.bias`.
    pub fn with_bias(w: &Weights, name: &str, shape: ConvShape, activation: Activation) -> Result<Self, ModelError> {
        let weight = w.take(&format!("{name}.weight"), &weight_dims(shape))?;
        let bias = w.take(&format!("{name}.bias"), &[shape.outs])?;
        Self::new(weight, bias, shape, activation, w.device())
    }

    fn new(
        weight: Vec<f32>,
        bias: Vec<f32>,
        shape: ConvShape,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            #[cfg(target_arch = "x86_64")]
            fused: Isa::available()
                .next()
                .filter(|_| device.is_cpu())
                .map(|isa| FusedConv::pack(isa, shape, activation, &weight, &bias)),
            weight: Tensor::from_vec(weight, &weight_dims(shape)[..], device)?,
            bias: Tensor::from_vec(bias, (1, shape.outs, 1, 1), device)?,
            shape,
            activation,
        })
    }

    /// `[N, ins, H, W]` → `[N, outs, H', W']`
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        #[cfg(target_arch = "x86_64")]
        if let Some(fused) = &self.fused {
            return x.contiguous()?.apply_op1_no_bwd(fused);
        }
        self.plain(x)
    }

    fn plain(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let groups = if self.shape.depthwise { self.shape.ins } else { 1 };
        let y = x
            .conv2d(&self.weight, self.shape.pad, self.shape.stride, 1, groups)?
            .broadcast_add(&self.bias)?;
        match self.activation {
            Activation::None => Ok(y),
            Activation::Relu => y.relu(),
            Activation::Silu => y.silu(),
        }
    }
}

fn weight_dims(s: ConvShape) -> [usize; 4] {
    [s.outs, if s.depthwise { 1 } else { s.ins }, s.kernel, s.kernel]
}

/// Max pooling that keeps the size: an odd kernel, stride 1, and padding that never wins.
pub(super) fn max_pool_same(x: &Tensor, kernel: usize) -> candle_core::Result<Tensor> {
    plane_op(x, PlaneOp::MaxSame(kernel))
}

/// Max pooling of 2×2, which halves the size.
pub(super) fn max_pool_half(x: &Tensor) -> candle_core::Result<Tensor> {
    plane_op(x, PlaneOp::MaxHalf)
}

/// Doubles the size; each pixel is repeated.
pub(super) fn twice(x: &Tensor) -> candle_core::Result<Tensor> {
    plane_op(x, PlaneOp::Twice)
}

/// Each 2×2 of pixels becomes one of four times the channels: top left, bottom left, top right, bottom right.
pub(super) fn focus(x: &Tensor) -> candle_core::Result<Tensor> {
    plane_op(x, PlaneOp::Focus)
}

fn plane_op(x: &Tensor, op: PlaneOp) -> candle_core::Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        return x.contiguous()?.apply_op1_no_bwd(&op);
    }
    plain_plane_op(x, op)
}

fn plain_plane_op(x: &Tensor, op: PlaneOp) -> candle_core::Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    match op {
        PlaneOp::MaxHalf => x.max_pool2d(2),
        PlaneOp::MaxSame(kernel) => {
            let pad = kernel / 2;
            // A square's maximum is separable, and edges repeat themselves: the nearest value is in the square anyway.
            let x = x
                .pad_with_same(D::Minus1, pad, pad)?
                .max_pool2d_with_stride((1, kernel), (1, 1))?;
            x.pad_with_same(D::Minus2, pad, pad)?
                .max_pool2d_with_stride((kernel, 1), (1, 1))
        }
        PlaneOp::Twice => x.upsample_nearest2d(2 * h, 2 * w),
        PlaneOp::Focus => {
            let x = x.reshape((n, c, h / 2, 2, w / 2, 2))?;
            let part = |dy: usize, dx: usize| x.narrow(3, dy, 1)?.narrow(5, dx, 1)?.reshape((n, c, h / 2, w / 2));
            Tensor::cat(&[part(0, 0)?, part(1, 0)?, part(0, 1)?, part(1, 1)?], 1)
        }
    }
}

/// `x · weightᵀ + bias`, tensors `{name}.weight` `[outs, ins]` and `{name}.bias`.
pub(super) struct Linear {
    weight_t: Tensor,
    bias: Tensor,
}

impl Linear {
    pub fn new(w: &Weights, name: &str, ins: usize, outs: usize) -> Result<Self, ModelError> {
        Ok(Self {
            weight_t: w.tensor(&format!("{name}.weight"), &[outs, ins])?.t()?.contiguous()?,
            bias: w.tensor(&format!("{name}.bias"), &[outs])?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        x.matmul(&self.weight_t)?.broadcast_add(&self.bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic values in [-1, 1].
    fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32) / ((1u64 << 23) as f32) - 1.0
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn fused_and_plain_convolutions_agree_over_shapes_strides_and_batches() {
        let mut checked = 0;
        for (ins, outs, depthwise) in [
            (1, 1, false),
            (3, 16, false),
            (12, 7, false),
            (33, 40, false),
            (17, 17, true),
        ] {
            for (kernel, stride, pad) in [(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (5, 2, 2)] {
                for (batch, h, w) in [(1, 1, 1), (1, 5, 3), (2, 13, 13), (1, 20, 33), (3, 7, 40)] {
                    for activation in [Activation::None, Activation::Relu, Activation::Silu] {
                        let shape = ConvShape {
                            ins,
                            outs,
                            kernel,
                            stride,
                            pad,
                            depthwise,
                        };
                        let n = weight_dims(shape).iter().product();
                        let mut conv =
                            Conv::new(values(n, 1), values(outs, 2), shape, activation, &Device::Cpu).unwrap();
                        let x =
                            Tensor::from_vec(values(batch * ins * h * w, 3), (batch, ins, h, w), &Device::Cpu).unwrap();
                        let plain = conv.plain(&x).unwrap();
                        let largest = |t: Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                        let size = largest(plain.clone()).max(1.0);
                        for isa in Isa::available() {
                            conv.fused = Some(FusedConv::pack(isa, shape, activation, &values(n, 1), &values(outs, 2)));
                            let fused = conv.forward(&x).unwrap();
                            assert_eq!(fused.dims(), plain.dims());
                            let off = largest((fused - &plain).unwrap());
                            assert!(
                                off / size < 2e-5,
                                "{isa:?} {shape:?} {activation:?} {batch}x{h}x{w}: off by {off} of {size}"
                            );
                        }
                        checked += 1;
                    }
                }
            }
        }
        assert_eq!(checked, 375);
    }

    #[test]
    fn fused_and_plain_plane_operations_agree() {
        let ops = [
            PlaneOp::MaxHalf,
            PlaneOp::MaxSame(3),
            PlaneOp::MaxSame(5),
            PlaneOp::Twice,
            PlaneOp::Focus,
        ];
        for op in ops {
            for (n, c, h, w) in [
                (1, 1, 2, 2),
                (2, 3, 4, 6),
                (1, 5, 13, 9),
                (3, 2, 8, 40),
                (1, 70, 26, 17),
            ] {
                if op == PlaneOp::Focus && (h % 2 == 1 || w % 2 == 1) {
                    continue;
                }
                let x = Tensor::from_vec(values(n * c * h * w, 9), (n, c, h, w), &Device::Cpu).unwrap();
                let (a, b) = (plane_op(&x, op).unwrap(), plain_plane_op(&x, op).unwrap());
                assert_eq!(a.dims(), b.dims(), "{op:?}");
                let flat = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(flat(a), flat(b), "{op:?} of {n}x{c}x{h}x{w}");
            }
        }
    }

    #[test]
    fn a_pool_of_the_same_size_takes_the_maximum_around() {
        let x = Tensor::from_vec(
            vec![1f32, -2., 3., -4., 5., -6., -7., 8., -9.],
            (1, 1, 3, 3),
            &Device::Cpu,
        )
        .unwrap();
        let y: Vec<f32> = max_pool_same(&x, 3).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(y, [5., 5., 5., 8., 8., 8., 8., 8., 8.]);
    }
}
