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
    match sigmoid_of::<B>(&x, activation) {
        Some(s) => B::float_mul(x, s),
        None => B::relu(x),
    }
}

/// Value and slope of the activation: of `x s`, where `s = sigmoid(z)`, the slope is `s + (x s - x s s) dz/dx`.
fn curve<B: Backend>(x: FloatTensor<B>, activation: Activation) -> [FloatTensor<B>; 2] {
    let Some(s) = sigmoid_of::<B>(&x, activation) else {
        let ones = B::float_ones(x.shape(), &x.device(), x.dtype().into());
        let value = B::relu(x);
        return [value.clone(), B::relu_backward(value, ones)];
    };
    let value = B::float_mul(x.clone(), s.clone());
    let rest = B::float_sub(value.clone(), B::float_mul(value.clone(), s.clone()));
    let rest = if activation == Activation::Gelu {
        B::float_mul(rest, polynomial::<B>(x, 3.0))
    } else {
        rest
    };
    [value, B::float_add(s, rest)]
}

/// The factor that makes the activation of `x`; none of ReLU.
fn sigmoid_of<B: Backend>(x: &FloatTensor<B>, activation: Activation) -> Option<FloatTensor<B>> {
    match activation {
        Activation::SwiGlu | Activation::Silu => Some(B::sigmoid(x.clone())),
        Activation::Gelu => {
            let z = B::float_mul(x.clone(), polynomial::<B>(x.clone(), 1.0));
            Some(B::sigmoid(z))
        }
        Activation::Relu => None,
    }
}

/// `sqrt(8 / pi) (1 + factor 0.044715 x^2)`.
fn polynomial<B: Backend>(x: FloatTensor<B>, factor: f64) -> FloatTensor<B> {
    let square = B::float_mul(x.clone(), x);
    let poly = B::float_mul_scalar(square, (factor * CUBIC * SQRT_8_OVER_PI).into());
    B::float_add_scalar(poly, SQRT_8_OVER_PI.into())
}
