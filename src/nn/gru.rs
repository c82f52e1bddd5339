//! A gated recurrent unit (Cho et al., 2014), with PyTorch's names and order of gates.

use candle_core::{D, Tensor};

use super::ModelError;
use super::weights::Weights;

/// One layer, forward in time. Tensors `{name}.weight_ih_l0` `[3·hidden, ins]`, `{name}.weight_hh_l0`
/// `[3·hidden, hidden]` and their biases; gates in the order reset, update, new.
pub(super) struct Gru {
    hidden: usize,
    input_t: Tensor,
    input_bias: Tensor,
    state_t: Tensor,
    state_bias: Tensor,
}

impl Gru {
    pub fn new(w: &Weights, name: &str, ins: usize, hidden: usize) -> Result<Self, ModelError> {
        let matrix = |part: &str, ins| -> Result<Tensor, ModelError> {
            let stored = w.tensor(&format!("{name}.weight_{part}_l0"), &[3 * hidden, ins])?;
            Ok(stored.t()?.contiguous()?)
        };
        let bias = |part: &str| w.tensor(&format!("{name}.bias_{part}_l0"), &[3 * hidden]);
        Ok(Self {
            hidden,
            input_t: matrix("ih", ins)?,
            input_bias: bias("ih")?,
            state_t: matrix("hh", hidden)?,
            state_bias: bias("hh")?,
        })
    }

    /// `[N, time, ins]` → the state after each moment, `[N, time, hidden]`; it starts at zero.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (n, time, ins) = x.dims3()?;
        // What the input says is the same for every moment, so it is one product.
        let said = x
            .reshape((n * time, ins))?
            .matmul(&self.input_t)?
            .broadcast_add(&self.input_bias)?
            .reshape((n, time, 3 * self.hidden))?;
        let mut state = Tensor::zeros((n, self.hidden), x.dtype(), x.device())?;
        let mut states = Vec::with_capacity(time);
        for t in 0..time {
            let said = said.narrow(1, t, 1)?.squeeze(1)?;
            let kept = state.matmul(&self.state_t)?.broadcast_add(&self.state_bias)?;
            let gate = |of: &Tensor, k: usize| of.narrow(D::Minus1, k * self.hidden, self.hidden);
            let reset = candle_nn::ops::sigmoid(&(gate(&said, 0)? + gate(&kept, 0)?)?)?;
            let update = candle_nn::ops::sigmoid(&(gate(&said, 1)? + gate(&kept, 1)?)?)?;
            let new = (gate(&said, 2)? + (reset * gate(&kept, 2)?)?)?.tanh()?;
            state = (&new + (update * (&state - &new)?)?)?;
            states.push(state.clone());
        }
        Tensor::stack(&states, 1)
    }
}
