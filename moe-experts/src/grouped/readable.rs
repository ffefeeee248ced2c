//! Stacks in types that a product reads.

use burn::tensor::{DType, Tensor};

use super::ExpertWeights;
use super::devices::reads_bf16;

/// The stacks in types that products with `x` read.
pub(super) fn all_readable(weights: ExpertWeights, x: &Tensor<2>) -> ExpertWeights {
    #[cfg(feature = "flex")]
    let weights = of_one_type(weights);
    ExpertWeights {
        gate: weights.gate.map(|gate| readable(gate, x)),
        up: readable(weights.up, x),
        down: readable(weights.down, x),
        biases: weights.biases,
    }
}

/// The stack in a type that products with `x` read: that of `x`, or bf16 or blocks where a backend reads them as
/// they are and nothing is differentiated.
pub(super) fn readable(stack: Tensor<3>, x: &Tensor<2>) -> Tensor<3> {
    let dtype = x.dtype();
    if let DType::QFloat(_) = stack.dtype() {
        assert!(
            dtype == DType::F32 && !x.is_autodiff(),
            "weights in blocks of few bits are for rows in f32 without gradients; hold them in f32 to differentiate"
        );
        return stack;
    }
    if stack.dtype() == dtype || (dtype == DType::F32 && reads_bf16(&stack)) {
        stack
    } else {
        stack.cast(dtype)
    }
}

/// Stacks of one type: those in blocks are widened beside others, whose widths are no whole blocks.
#[cfg(feature = "flex")]
fn of_one_type(weights: ExpertWeights) -> ExpertWeights {
    let dtype = weights.up.dtype();
    let is_alike = |stack: &Tensor<3>| stack.dtype() == dtype;
    if is_alike(&weights.down) && weights.gate.as_ref().is_none_or(is_alike) {
        return weights;
    }
    let widened = |stack: Tensor<3>| match stack.dtype() {
        DType::QFloat(_) => moe_quant::dequantize(stack),
        _ => stack,
    };
    ExpertWeights {
        gate: weights.gate.map(widened),
        up: widened(weights.up),
        down: widened(weights.down),
        biases: weights.biases,
    }
}
