//! The operations composed from any backend's primitives: products over blocks of rows.
//!
//! It runs inside the operation, below differentiation, so no slice of a weight stack is ever
//! differentiated. Both directions of the token-row map are gathers: scatters are slow or
//! unordered on accelerators.
//!
//! Everything between the two gathers is in the places P of [`Blocks`], some of which are empty: they hold a row of
//! zeros and a weight of zero, so they add nothing to any gradient, and no token reads them.

mod hidden;

use burn::backend::{Backend, tensor::FloatTensor};

use super::blocks::Blocks;
use super::kernels::{FfnInputs, FfnKept, FfnTracked};
use super::multiply::{multiply, outer, to_places, to_rows, transposed};
use super::places::Places;
use crate::Activation;

/// `y_n = x_n W_e` for the expert `e` of row `n`.
pub(super) fn product<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    blocks: &Blocks,
) -> FloatTensor<B> {
    let y = multiply::<B>(to_places::<B>(x, blocks), w, blocks);
    to_rows::<B>(y, blocks)
}

/// Gradients of `x` and `w` from that of the product: `y_n W_e^T`, and the sum over rows `n` of `e` of
/// `x_n^T y_n`.
pub(super) fn product_backward<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    blocks: &Blocks,
    d_y: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let d_y = to_places::<B>(d_y, blocks);
    let d_x = multiply::<B>(d_y.clone(), transposed::<B>(w), blocks);
    let d_w = outer::<B>(to_places::<B>(x, blocks), d_y, blocks);
    [to_rows::<B>(d_x, blocks), d_w]
}

/// Forward pass of the mixture feed-forward; what is kept is `[P, d_expert]`.
pub(super) fn ffn<B: Backend>(
    inputs: FfnInputs<FloatTensor<B>>,
    places: &Places<B>,
    activation: Activation,
) -> FfnTracked<FloatTensor<B>> {
    let blocks = &places.blocks;
    let x_pd = places.of_tokens(inputs.x);
    let gate = |w| multiply::<B>(x_pd.clone(), w, blocks);
    let kept = FfnKept {
        gate: inputs.gate.map(gate),
        up: multiply::<B>(x_pd, inputs.up, blocks),
    };
    let hidden = hidden::value::<B>(&kept, activation);
    let hidden = B::float_mul(hidden, places.of_assignments(inputs.gates));
    let y_pd = multiply::<B>(hidden, inputs.down, blocks);
    FfnTracked {
        out: places.sum_by_token(y_pd),
        kept,
    }
}

/// Backward pass of the mixture feed-forward.
pub(super) fn ffn_backward<B: Backend>(
    inputs: FfnInputs<FloatTensor<B>>,
    kept: FfnKept<FloatTensor<B>>,
    places: &Places<B>,
    activation: Activation,
    d_out: FloatTensor<B>,
) -> FfnInputs<FloatTensor<B>> {
    let blocks = &places.blocks;
    let x_pd = places.of_tokens(inputs.x);
    let dy_pd = places.of_tokens(d_out);
    let gates_p1 = places.of_assignments(inputs.gates);
    let hidden = hidden::Hidden::<B>::new(&kept, activation);

    let scaled = B::float_mul(hidden.value.clone(), gates_p1.clone());
    let down = outer::<B>(scaled, dy_pd.clone(), blocks);
    let d_hidden = multiply::<B>(dy_pd, transposed::<B>(inputs.down), blocks);
    let d_gates_p1 = B::float_sum_dim(B::float_mul(hidden.value, d_hidden.clone()), 1);

    let d_hidden = B::float_mul(d_hidden, gates_p1);
    let d_up = B::float_mul(d_hidden.clone(), hidden.up_slope);
    let d_gate = hidden.gate_slope.map(|slope| B::float_mul(d_hidden, slope));
    let mut dx_pd = multiply::<B>(d_up.clone(), transposed::<B>(inputs.up), blocks);
    if let (Some(d_gate), Some(w)) = (&d_gate, inputs.gate) {
        let of_gate = multiply::<B>(d_gate.clone(), transposed::<B>(w), blocks);
        dx_pd = B::float_add(dx_pd, of_gate);
    }
    FfnInputs {
        x: places.sum_by_token(dx_pd),
        gate: d_gate.map(|d_gate| outer::<B>(x_pd.clone(), d_gate, blocks)),
        up: outer::<B>(x_pd, d_up, blocks),
        down,
        gates: places.to_assignments(d_gates_p1),
    }
}

#[cfg(test)]
mod tests;
