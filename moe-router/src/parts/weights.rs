use crate::Assignments;
use burn::tensor::{Int, Tensor, TensorData};

/// The score of each assignment's (token, expert) pair, differentiable.
///
/// # Shapes
///
/// - scores_te: `[T, E]`
/// - output: `[N]`
pub fn gather_weights(scores_te: &Tensor<2>, assignments: &Assignments) -> Tensor<1> {
    let [n_tokens, n_experts] = scores_te.dims();
    let index_n: Vec<i64> = assignments
        .tokens()
        .iter()
        .zip(assignments.experts())
        .map(|(&t, &e)| i64::from(t) * n_experts as i64 + i64::from(e))
        .collect();
    let n = index_n.len();
    let index_n = Tensor::<1, Int>::from_data(TensorData::new(index_n, [n]), &scores_te.device());
    scores_te
        .clone()
        .reshape([n_tokens * n_experts])
        .select(0, index_n)
}

/// Divides the weights of each token by their sum (plus `epsilon`), for assignments that come `k`
/// a token, one token after the other.
///
/// # Shapes
///
/// - weights_n: `[N]`, `N` a multiple of `k`
/// - output: `[N]`
///
/// # Panics
///
/// Panics if `k` does not divide `N`.
pub fn normalise_per_token(weights_n: Tensor<1>, k: usize, epsilon: f64) -> Tensor<1> {
    let [n] = weights_n.dims();
    assert!(n.is_multiple_of(k), "{n} weights are not {k} a token");
    let weights_tk = weights_n.reshape([n / k, k]);
    let sum_t1 = weights_tk.clone().sum_dim(1) + epsilon;
    (weights_tk / sum_t1).reshape([n])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn weights_are_gathered_and_normalised() {
        let device = Device::flex();
        let scores = Tensor::<2>::from_floats([[0.1, 0.3, 0.6], [0.5, 0.25, 0.25]], &device);
        let mut assignments = Assignments::default();
        for (token, expert) in [(0, 2), (0, 1), (1, 0), (1, 1)] {
            assignments.push(token, expert);
        }
        let weights = gather_weights(&scores, &assignments);
        weights
            .to_data()
            .assert_eq(&TensorData::from([0.6f32, 0.3, 0.5, 0.25]), true);
        // 0.6 / 0.9, 0.3 / 0.9, 0.5 / 0.75, 0.25 / 0.75
        let expected = TensorData::from([2.0f32 / 3.0, 1.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0]);
        normalise_per_token(weights, 2, 0.0)
            .into_data()
            .assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::default());
    }
}
