//! Output heads of decoders, tied to the embedding or not.

use burn::nn::{Embedding, Linear};
#[cfg(feature = "flex")]
use burn::tensor::DType;
use burn::tensor::Tensor;
use burn::tensor::module::linear;
use moe_experts::grouped_matmul;

/// Up to this many rows the scores are bound by reading the head's weights.
const FEW_ROWS: usize = 4;

/// The scores of the next token, by the head or, without one, by the embedding, transposed.
///
/// # Shapes
///
/// - x: `[B, L, D]`
/// - output: `[B, L, V]`
pub(crate) fn scores(x: Tensor<3>, head: Option<&Linear>, embedding: &Embedding) -> Tensor<3> {
    let [batch, length, d_model] = x.dims();
    match head {
        #[cfg(feature = "flex")]
        Some(head)
            if head.bias.is_none() && matches!(head.weight.val().dtype(), DType::QFloat(_)) =>
        {
            let [_, vocab_size] = head.weight.dims();
            let rows = x.reshape([batch * length, d_model]);
            let scores = moe_quant::matmul(rows, head.weight.val());
            scores.reshape([batch, length, vocab_size])
        }
        // the grouped product reads a matrix with all threads however few the rows are, and one in bf16
        Some(head)
            if head.bias.is_none()
                && (batch * length <= FEW_ROWS || head.weight.val().dtype() != x.dtype()) =>
        {
            let [_, vocab_size] = head.weight.dims();
            let rows = x.reshape([batch * length, d_model]);
            let weight = head.weight.val().unsqueeze_dim(0);
            grouped_matmul(rows, weight, [(batch * length) as u32])
                .reshape([batch, length, vocab_size])
        }
        Some(head) => head.forward(x),
        None => linear(x, embedding.weight.val().transpose(), None),
    }
}

/// The last position of `[B, L, D]`, if no other is wanted.
pub(crate) fn wanted(x: Tensor<3>, last_only: bool) -> Tensor<3> {
    let [_, length, _] = x.dims();
    if last_only {
        x.narrow(1, length - 1, 1)
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{EmbeddingConfig, LinearConfig};
    use burn::tensor::{Device, Distribution, Tolerance};

    #[test]
    fn few_rows_score_as_many_do() {
        let device = Device::flex();
        let embedding = EmbeddingConfig::new(11, 6).init(&device);
        let head = LinearConfig::new(6, 11).with_bias(false).init(&device);
        let x = Tensor::random([1, FEW_ROWS + 1, 6], Distribution::Default, &device);
        let many = scores(x.clone(), Some(&head), &embedding);
        let few = scores(x.narrow(1, 1, FEW_ROWS), Some(&head), &embedding);
        few.into_data().assert_approx_eq::<f32>(
            &many.narrow(1, 1, FEW_ROWS).into_data(),
            Tolerance::absolute(1e-6),
        );
    }

    #[test]
    fn the_last_position_alone() {
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &Device::flex()).reshape([2, 2, 1]);
        assert_eq!(wanted(x.clone(), true).dims(), [2, 1, 1]);
        let last: Vec<f32> = wanted(x, true).into_data().try_into_vec().unwrap();
        assert_eq!(last, [2.0, 4.0]);
    }
}
