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

#[cfg(all(test, feature = "flex"))]
mod tests {
    use std::sync::Arc;

    use burn::tensor::{Device, Distribution};
    use moe_quant::{Format, dequantize, quantize};

    use super::*;
    use crate::{Activation, RowPlan, grouped_matmul, moe_ffn};

    const N_EXPERTS: usize = 5;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn bank(d_model: usize, d_expert: usize, activation: Activation) -> ExpertWeights {
        let stack = |d_in, d_out| random([N_EXPERTS, d_in, d_out]) / (d_in as f64).sqrt();
        ExpertWeights {
            gate: activation.is_gated().then(|| stack(d_model, d_expert)),
            up: stack(d_model, d_expert),
            down: stack(d_expert, d_model),
            biases: None,
        }
    }

    fn map(weights: &ExpertWeights, change: impl Fn(Tensor<3>) -> Tensor<3>) -> ExpertWeights {
        ExpertWeights {
            gate: weights.gate.clone().map(&change),
            up: change(weights.up.clone()),
            down: change(weights.down.clone()),
            biases: None,
        }
    }

    fn held(weights: &ExpertWeights, format: Format) -> ExpertWeights {
        map(weights, |w| quantize(w.clone(), format).unwrap_or(w))
    }

    fn widened(weights: &ExpertWeights) -> ExpertWeights {
        map(weights, |w| match w.dtype() {
            DType::QFloat(_) => dequantize(w),
            _ => w,
        })
    }

    /// Two experts a token, which differ from token to token.
    fn plan(n_tokens: usize) -> Arc<RowPlan> {
        let tokens: Vec<u32> = (0..2 * n_tokens as u32).map(|a| a / 2).collect();
        let experts: Vec<u32> = (tokens.iter().zip(0..))
            .map(|(t, a)| (t + t / 3 + a % 2 * 2) % N_EXPERTS as u32)
            .collect();
        let kept = vec![true; tokens.len()];
        Arc::new(RowPlan::new(&tokens, &experts, &kept, n_tokens, N_EXPERTS))
    }

    fn ffn(x: Tensor<2>, weights: &ExpertWeights, activation: Activation) -> Tensor<2> {
        let [n_tokens, _] = x.dims();
        let gates = Tensor::ones([2 * n_tokens], &x.device()) * 0.5;
        moe_ffn(x, weights.clone(), gates, plan(n_tokens), activation)
    }

    fn largest(x: Tensor<2>) -> f32 {
        x.abs().max().into_scalar()
    }

    #[test]
    fn stacks_in_blocks_are_their_numbers() {
        for (n_tokens, activation) in [
            (1, Activation::SwiGlu),
            (4, Activation::Gelu),
            (700, Activation::SwiGlu),
        ] {
            let weights = bank(64, 96, activation);
            let x = random([n_tokens, 64]);
            for format in [Format::Q8, Format::Q4] {
                let held = held(&weights, format);
                let y = ffn(x.clone(), &held, activation);
                let exact = ffn(x.clone(), &widened(&held), activation);
                // rows are rounded twice by half a step of 1/127 of the largest of a block
                let error = largest(y - exact.clone());
                assert!(
                    error < 0.03 * largest(exact),
                    "{n_tokens} tokens, {format}: {error}"
                );

                let ends = plan(n_tokens).ends().to_vec();
                let rows = random([2 * n_tokens, 64]);
                let y = grouped_matmul(rows.clone(), held.up.clone(), ends.clone());
                let exact = grouped_matmul(rows, dequantize(held.up), ends);
                assert!(largest(y - exact.clone()) < 0.02 * largest(exact));
            }
        }
    }

    #[test]
    fn a_token_is_the_same_bits_whichever_are_beside_it() {
        let weights = held(&bank(64, 96, Activation::SwiGlu), Format::Q4);
        let x = random([90, 64]);
        let all = ffn(x.clone(), &weights, Activation::SwiGlu);
        for n_tokens in [1, 4, 7, 40] {
            // the plan begins alike whatever the number of tokens
            let first = ffn(
                x.clone().narrow(0, 0, n_tokens),
                &weights,
                Activation::SwiGlu,
            );
            let of_all = all.clone().narrow(0, 0, n_tokens);
            first.into_data().assert_eq(&of_all.into_data(), true);
        }
    }

    #[test]
    fn blocks_beside_other_widths_are_widened() {
        // 20 is no whole block, so the last stack stays in f32
        let weights = held(&bank(64, 20, Activation::SwiGlu), Format::Q8);
        assert_eq!(weights.down.dtype(), DType::F32);
        assert_eq!(weights.up.dtype(), Format::Q8.dtype());
        let x = random([3, 64]);
        let y = ffn(x.clone(), &weights, Activation::SwiGlu);
        let exact = ffn(x, &widened(&weights), Activation::SwiGlu);
        y.into_data().assert_eq(&exact.into_data(), true);
    }

    #[test]
    #[should_panic(expected = "hold them in f32 to differentiate")]
    fn blocks_have_no_gradient() {
        let weights = held(&bank(32, 32, Activation::Relu), Format::Q8);
        ffn(random([1, 32]).autodiff(), &weights, Activation::Relu);
    }
}
