//! The losses that image classifiers are trained with.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

/// The sum over classes of the cross entropy of each by itself, `-sum_c y log s(z) + (1 - y) log s(-z)`,
/// for images of any number of classes: what V-MoE is trained with (arXiv 2106.05974, section 3.2).
///
/// # Shapes
///
/// - logits: `[B, n_classes]`
/// - targets: `[B, n_classes]`, 1 for an image's classes and 0 for others
/// - output: `[B]`
pub fn sigmoid_cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let absent = targets.ones_like() - targets.clone();
    let log_likelihood = targets * log_sigmoid(logits.clone()) + absent * log_sigmoid(logits.neg());
    log_likelihood.sum_dim(1).reshape([batch]).neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn sigmoid_sums_over_all_classes() {
        let device = Device::flex();
        // s(ln 3) = 3/4, s(0) = 1/2: -log 3/4 - log 1/2, then -log 1/4 - log 1/2
        let logits = Tensor::<2>::from_floats([[3f32.ln(), 0.0], [3f32.ln(), 0.0]], &device);
        let targets = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
        let expected = TensorData::from([(8f32 / 3.0).ln(), 8f32.ln()]);
        sigmoid_cross_entropy(logits, targets)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }
}
