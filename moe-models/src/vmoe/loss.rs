//! The losses that image classifiers are trained with.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Int, Tensor};

/// The negative log-likelihood of each image's class in nats, `-log p(label)`.
///
/// # Shapes
///
/// - logits: `[B, n_classes]`
/// - labels: `[B]`
/// - output: `[B]`
pub fn softmax_cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let log_probs = log_softmax(logits, 1);
    let of_labels = log_probs.gather(1, labels.reshape([batch, 1]));
    of_labels.reshape([batch]).neg()
}

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
    fn softmax_costs_the_negative_logarithm_of_the_probability() {
        let device = Device::flex();
        // probabilities 1/4 and 3/4, then 1/2 and 1/2
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [7.0, 7.0]], &device);
        let losses = softmax_cross_entropy(logits, Tensor::from_data([1, 0], &device));
        let expected = TensorData::from([(4f32 / 3.0).ln(), 2f32.ln()]);
        losses
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

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
