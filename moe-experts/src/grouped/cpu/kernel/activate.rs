//! Activations of a row, forward and backward.

use crate::Activation;
use crate::grouped::cpu::curve::{Curve, Gelu, Relu, Silu};
use moe_router::for_every_cpu;

for_every_cpu!(
    forward_curve<C: Curve>, forward_body, (gate: Option<&[f32]>, up: &[f32], scale: f32, hidden: &mut [f32])
);
for_every_cpu!(
    backward_curve<C: Curve>, backward_body,
    (gate: Option<&mut [f32]>, up: &mut [f32], d_hidden: &[f32], scale: f32) -> f32
);

/// One row of `hidden = scale act(gate) up`, or `scale act(up)` without a gate.
pub(in super::super) fn hidden_row(
    activation: Activation,
    gate: Option<&[f32]>,
    up: &[f32],
    scale: f32,
    hidden: &mut [f32],
) {
    match activation {
        Activation::SwiGlu | Activation::Silu => forward_curve::<Silu>(gate, up, scale, hidden),
        Activation::Gelu => forward_curve::<Gelu>(gate, up, scale, hidden),
        Activation::Relu => forward_curve::<Relu>(gate, up, scale, hidden),
    }
}

/// One row backwards: pre-activations become their gradients in place.
///
/// `d_hidden` is the gradient of the unscaled hidden row before the factor `scale`; the dot product
/// of the two, which is the gradient of `scale`, is returned.
pub(in super::super) fn hidden_row_backward(
    activation: Activation,
    gate: Option<&mut [f32]>,
    up: &mut [f32],
    d_hidden: &[f32],
    scale: f32,
) -> f32 {
    match activation {
        Activation::SwiGlu | Activation::Silu => backward_curve::<Silu>(gate, up, d_hidden, scale),
        Activation::Gelu => backward_curve::<Gelu>(gate, up, d_hidden, scale),
        Activation::Relu => backward_curve::<Relu>(gate, up, d_hidden, scale),
    }
}

#[inline(always)]
fn forward_body<C: Curve>(gate: Option<&[f32]>, up: &[f32], scale: f32, hidden: &mut [f32]) {
    match gate {
        Some(gate) => {
            for ((h, &g), &u) in hidden.iter_mut().zip(gate).zip(up) {
                *h = scale * C::at(g).value * u;
            }
        }
        None => {
            for (h, &u) in hidden.iter_mut().zip(up) {
                *h = scale * C::at(u).value;
            }
        }
    }
}

/// Partial sums of a dot product, so that its order is fixed and still a vector operation.
const LANES: usize = 16;

#[inline(always)]
fn backward_body<C: Curve>(
    gate: Option<&mut [f32]>,
    up: &mut [f32],
    d_hidden: &[f32],
    scale: f32,
) -> f32 {
    let mut dot = [0.0; LANES];
    match gate {
        Some(gate) => {
            let blocks = gate
                .chunks_mut(LANES)
                .zip(up.chunks_mut(LANES))
                .zip(d_hidden.chunks(LANES));
            for ((gate, up), d_hidden) in blocks {
                let lanes = gate.iter_mut().zip(up).zip(d_hidden).zip(&mut dot);
                for (((g, u), &dh), dot) in lanes {
                    let point = C::at(*g);
                    *dot += point.value * *u * dh;
                    *g = scale * dh * *u * point.slope;
                    *u = scale * dh * point.value;
                }
            }
        }
        None => {
            for (up, d_hidden) in up.chunks_mut(LANES).zip(d_hidden.chunks(LANES)) {
                for ((u, &dh), dot) in up.iter_mut().zip(d_hidden).zip(&mut dot) {
                    let point = C::at(*u);
                    *dot += point.value * dh;
                    *u = scale * dh * point.slope;
                }
            }
        }
    }
    // lane after lane: one order on every processor
    dot.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let gate: Vec<f32> = (0..37).map(|i| i as f32 * 0.3 - 5.0).collect();
        let up: Vec<f32> = (0..37).map(|i| 1.0 - i as f32 * 0.1).collect();
        let mut fast = vec![0.0; 37];
        let mut plain = vec![0.0; 37];
        forward_curve::<Silu>(Some(&gate), &up, 0.7, &mut fast);
        forward_body::<Silu>(Some(&gate), &up, 0.7, &mut plain);
        assert_eq!(fast, plain);

        let mut fast_grads = [gate.clone(), up.clone()];
        let mut plain_grads = [gate, up];
        let [g, u] = &mut fast_grads;
        let fast_dot = backward_curve::<Gelu>(Some(g), u, &fast, 0.7);
        let [g, u] = &mut plain_grads;
        let plain_dot = backward_body::<Gelu>(Some(g), u, &fast, 0.7);
        assert_eq!(fast_dot, plain_dot);
        assert_eq!(fast_grads, plain_grads);
    }
}
