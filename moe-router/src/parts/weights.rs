//! Weights of selected experts.

use crate::{Assignments, to_vec};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, activation::softmax};
use serde::{Deserialize, Serialize};

/// Functions from the scores of the selected experts to their weights.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// They weigh as they are.
    None,
    /// They are divided by their sum.
    #[default]
    Sum,
    /// They are replaced by a softmax over the selected logits.
    Softmax,
}

impl Normalise {
    /// Division by the sum, or none.
    pub fn by_sum(is_divided: bool) -> Self {
        if is_divided { Self::Sum } else { Self::None }
    }

    /// The weight of each assignment, of any number a token in any order.
    ///
    /// # Shapes
    ///
    /// - logits_te, scores_te: `[T, E]`
    /// - output: `[A]`
    pub fn weights(
        self,
        logits_te: &Tensor<2>,
        scores_te: &Tensor<2>,
        assignments: &Assignments,
    ) -> Tensor<1> {
        match self {
            Normalise::None => gather_weights(scores_te, assignments),
            Normalise::Sum => divide_by_sum(gather_weights(scores_te, assignments), assignments),
            Normalise::Softmax => {
                let logits_a = gather_weights(logits_te, assignments);
                if let Some(k) = same_number_a_token(assignments) {
                    let logits_tk = logits_a.reshape([assignments.len() / k, k]);
                    return softmax(logits_tk, 1).reshape([assignments.len()]);
                }
                // an exponential of a large logit would overflow; the largest of a token cancels in the
                // quotient
                let largest_a = largest_of_token(logits_a.clone(), assignments);
                divide_by_sum((logits_a - largest_a).exp(), assignments)
            }
        }
    }
}

/// Divides each weight by the sum of its token's weights (plus 1e-20, so that nothing divided by nothing
/// is nothing).
fn divide_by_sum(weights_a: Tensor<1>, assignments: &Assignments) -> Tensor<1> {
    if assignments.is_empty() {
        return weights_a;
    }
    if let Some(k) = same_number_a_token(assignments) {
        return normalise_per_token(weights_a, k, 1e-20);
    }
    let device = weights_a.device();
    let n = assignments.len();
    let token_a: Vec<i64> = assignments.tokens().iter().map(|&t| t.into()).collect();
    let token_a = Tensor::<1, Int>::from_data(TensorData::new(token_a, [n]), &device);
    let n_tokens = assignments
        .tokens()
        .iter()
        .max()
        .map_or(0, |&t| t as usize + 1);
    let sum_t = Tensor::<1>::zeros([n_tokens], &device).select_assign(
        0,
        token_a.clone(),
        weights_a.clone(),
        IndexingUpdateOp::Add,
    );
    weights_a / (sum_t.select(0, token_a) + 1e-20)
}

/// The number of assignments a token, if all tokens that have any have as many, and they come one token after
/// the other.
fn same_number_a_token(assignments: &Assignments) -> Option<usize> {
    if let Some(experts_tk) = assignments.on_device() {
        return Some(experts_tk.dims()[1]);
    }
    let tokens = assignments.tokens();
    let first = tokens.first()?;
    let k = tokens.iter().take_while(|&t| t == first).count();
    let mut of_tokens = tokens.chunks(k);
    let in_order = tokens.chunks(k).is_sorted_by(|a, b| a[0] < b[0]);
    let is_whole =
        |of_token: &[u32]| of_token.len() == k && of_token.iter().all(|&t| t == of_token[0]);
    (in_order && of_tokens.all(is_whole)).then_some(k)
}

/// Finds for each assignment the largest of its token's values, without a gradient.
fn largest_of_token(values_a: Tensor<1>, assignments: &Assignments) -> Tensor<1> {
    let device = values_a.device();
    let host_a = to_vec(values_a.detach());
    let n_tokens = assignments
        .tokens()
        .iter()
        .max()
        .map_or(0, |&t| t as usize + 1);
    let mut largest_t = vec![f32::NEG_INFINITY; n_tokens];
    for (&t, &value) in assignments.tokens().iter().zip(&host_a) {
        largest_t[t as usize] = largest_t[t as usize].max(value);
    }
    let largest_a = assignments.tokens().iter().map(|&t| largest_t[t as usize]);
    let data = TensorData::new(largest_a.collect::<Vec<f32>>(), [assignments.len()]);
    Tensor::from_data(data, &device)
}

/// The score of each assignment's (token, expert) pair, differentiable.
///
/// # Shapes
///
/// - scores_te: `[T, E]`
/// - output: `[A]`
pub fn gather_weights(scores_te: &Tensor<2>, assignments: &Assignments) -> Tensor<1> {
    let [n_tokens, n_experts] = scores_te.dims();
    if let Some(experts_tk) = assignments.on_device() {
        let weights_tk = scores_te.clone().gather(1, experts_tk.clone());
        return weights_tk.reshape([assignments.len()]);
    }
    let k = same_number_a_token(assignments);
    if let Some(k) = k.filter(|k| k * n_tokens == assignments.len()) {
        let expert_a: Vec<i32> = assignments.experts().iter().map(|&e| e as i32).collect();
        let expert_tk = TensorData::new(expert_a, [n_tokens, k]);
        let expert_tk = Tensor::<2, Int>::from_data(expert_tk, &scores_te.device());
        return scores_te
            .clone()
            .gather(1, expert_tk)
            .reshape([n_tokens * k]);
    }
    let index_a: Vec<i64> = assignments
        .tokens()
        .iter()
        .zip(assignments.experts())
        .map(|(&t, &e)| i64::from(t) * n_experts as i64 + i64::from(e))
        .collect();
    let n = index_a.len();
    let index_a = Tensor::<1, Int>::from_data(TensorData::new(index_a, [n]), &scores_te.device());
    scores_te
        .clone()
        .reshape([n_tokens * n_experts])
        .select(0, index_a)
}

/// Divides the weights of each token by their sum (plus `epsilon`), for assignments that come `k`
/// a token, one token after the other.
///
/// # Shapes
///
/// - weights_a: `[A]`, `A` a multiple of `k`
/// - output: `[A]`
///
/// # Panics
///
/// Panics if `k` does not divide `A`.
pub fn normalise_per_token(weights_a: Tensor<1>, k: usize, epsilon: f64) -> Tensor<1> {
    let [n] = weights_a.dims();
    assert!(n.is_multiple_of(k), "{n} weights are not {k} a token");
    let weights_tk = weights_a.reshape([n / k, k]);
    let sum_t1 = weights_tk.clone().sum_dim(1) + epsilon;
    (weights_tk / sum_t1).reshape([n])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

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
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn any_number_a_token_is_normalised() {
        let device = Device::flex();
        let scores = Tensor::<2>::from_floats([[0.2, 0.6], [0.5, 0.5], [0.3, 0.1]], &device);
        let logits = Tensor::<2>::from_floats([[1.0, 2.0], [7.0, 7.0], [100.0, 99.0]], &device);
        let mut assignments = Assignments::default();
        // token 1 has one expert; token 2 has two, not next to each other
        for (token, expert) in [(2, 0), (0, 1), (0, 0), (1, 0), (2, 1)] {
            assignments.push(token, expert);
        }
        let weights = |normalise: Normalise| {
            normalise
                .weights(&logits, &scores, &assignments)
                .into_data()
        };
        let none = TensorData::from([0.3f32, 0.6, 0.2, 0.5, 0.1]);
        weights(Normalise::None).assert_eq(&none, true);
        // 0.3 / 0.4, 0.6 / 0.8, 0.2 / 0.8, 0.5 / 0.5, 0.1 / 0.4
        let sum = TensorData::from([0.75f32, 0.75, 0.25, 1.0, 0.25]);
        weights(Normalise::Sum).assert_approx_eq::<f32>(&sum, Tolerance::default());
        // logits that differ by 1: 1 / (1 + e^-1) = 0.7310586, also where e^100 would overflow
        let softmax = TensorData::from([0.7310586f32, 0.7310586, 0.2689414, 1.0, 0.2689414]);
        weights(Normalise::Softmax).assert_approx_eq::<f32>(&softmax, Tolerance::default());
    }

    #[test]
    fn both_ways_of_summing_give_the_same_gradient() {
        let device = Device::flex().autodiff();
        let gradient = |normalise: Normalise, tokens: [u32; 4]| {
            let scores = Tensor::<2>::from_floats([[0.2, 0.6], [0.5, 0.4]], &device).require_grad();
            let mut assignments = Assignments::default();
            for token in tokens {
                let expert = assignments.tokens().iter().filter(|&&t| t == token).count();
                assignments.push(token, expert as u32);
            }
            let weights = normalise.weights(&scores, &scores, &assignments);
            let grads = weights.powi_scalar(2).sum().backward();
            scores.grad(&grads).expect("a gradient").into_data()
        };
        // one token after the other, or in turns
        for normalise in [Normalise::Sum, Normalise::Softmax] {
            gradient(normalise, [0, 0, 1, 1])
                .assert_approx_eq::<f32>(&gradient(normalise, [0, 1, 0, 1]), Tolerance::default());
        }
    }

    #[test]
    fn no_assignment_has_no_weight() {
        let scores = Tensor::<2>::zeros([2, 2], &Device::flex());
        for normalise in [Normalise::None, Normalise::Sum, Normalise::Softmax] {
            let weights = normalise.weights(&scores, &scores, &Assignments::default());
            assert_eq!(weights.dims(), [0]);
        }
    }
}
