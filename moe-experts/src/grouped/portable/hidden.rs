//! Hidden rows from pre-activations, and their slopes.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};

use crate::Activation;
use crate::grouped::kernels::FfnKept;

/// `sqrt(8 / pi)`: the tanh approximation of GELU is `x sigmoid(sqrt(8 / pi) (x + 0.044715 x^3))`.
const SQRT_8_OVER_PI: f64 = 1.595_769_121_605_730_7;
const CUBIC: f64 = 0.044_715;

/// Hidden rows and their slopes in the pre-activations, all `[P, d_expert]`.
pub(super) struct Hidden<B: Backend> {
    pub(super) value: FloatTensor<B>,
    pub(super) gate_slope: Option<FloatTensor<B>>,
    pub(super) up_slope: FloatTensor<B>,
}

impl<B: Backend> Hidden<B> {
    pub(super) fn new(kept: &FfnKept<FloatTensor<B>>, activation: Activation) -> Self {
        match &kept.gate {
            Some(gate) => {
                let [act, slope] = curve::<B>(gate.clone(), activation);
                Self {
                    value: B::float_mul(act.clone(), kept.up.clone()),
                    gate_slope: Some(B::float_mul(slope, kept.up.clone())),
                    up_slope: act,
                }
            }
            None => {
                let [value, up_slope] = curve::<B>(kept.up.clone(), activation);
                Self {
                    value,
                    gate_slope: None,
                    up_slope,
                }
            }
        }
    }
}

/// Hidden rows alone, `[P, d_expert]`.
pub(super) fn value<B: Backend>(
    kept: &FfnKept<FloatTensor<B>>,
    activation: Activation,
) -> FloatTensor<B> {
    match &kept.gate {
        Some(gate) => B::float_mul(act::<B>(gate.clone(), activation), kept.up.clone()),
        None => act::<B>(kept.up.clone(), activation),
    }
}

/// The activation.
fn act<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::SwiGlu | Activation::Silu => {
            let s = B::sigmoid(x.clone());
            B::float_mul(x, s)
        }
        Activation::Gelu => {
            let square = B::float_mul(x.clone(), x.clone());
            let z = B::float_mul(x.clone(), polynomial::<B>(square, 1.0));
            B::float_mul(x, B::sigmoid(z))
        }
        Activation::Relu => B::relu(x),
    }
}

/// Value and slope of the activation.
fn curve<B: Backend>(x: FloatTensor<B>, activation: Activation) -> [FloatTensor<B>; 2] {
    match activation {
        Activation::SwiGlu | Activation::Silu => times_sigmoid::<B>(x.clone(), x, None),
        Activation::Gelu => {
            let square = B::float_mul(x.clone(), x.clone());
            let z = B::float_mul(x.clone(), polynomial::<B>(square.clone(), 1.0));
            times_sigmoid::<B>(x, z, Some(polynomial::<B>(square, 3.0)))
        }
        Activation::Relu => {
            let ones = B::float_ones(x.shape(), &x.device(), x.dtype().into());
            let value = B::relu(x);
            [value.clone(), B::relu_backward(value, ones)]
        }
    }
}

/// `sqrt(8 / pi) (1 + factor 0.044715 x^2)`.
fn polynomial<B: Backend>(square: FloatTensor<B>, factor: f64) -> FloatTensor<B> {
    let poly = B::float_mul_scalar(square, (factor * CUBIC * SQRT_8_OVER_PI).into());
    B::float_add_scalar(poly, SQRT_8_OVER_PI.into())
}

/// `x s` and its slope `s + (x s - x s s) dz`, where `s = sigmoid(z)`; `dz` is 1 if it is left out.
fn times_sigmoid<B: Backend>(
    x: FloatTensor<B>,
    z: FloatTensor<B>,
    dz: Option<FloatTensor<B>>,
) -> [FloatTensor<B>; 2] {
    let s = B::sigmoid(z);
    let value = B::float_mul(x, s.clone());
    let rest = B::float_sub(value.clone(), B::float_mul(value.clone(), s.clone()));
    let rest = match dz {
        Some(dz) => B::float_mul(rest, dz),
        None => rest,
    };
    [value, B::float_add(s, rest)]
}
