//! Counts and mean probabilities of each sequence, shared by the losses of single sequences.

use super::{experts_per_token, without_padding};
use crate::parts::{ExpertGroups, GroupScore};
use crate::{Plan, Routing, to_vec};
use burn::tensor::{DType, Int, Tensor, TensorData};

/// Returns `true` if token `t` is padding.
pub(super) fn is_padding(routing: &Routing, t: usize) -> bool {
    routing.padding.as_ref().is_some_and(|padding| padding[t])
}

/// The number of tokens of a sequence, padding included.
pub(super) fn group_size(routing: &Routing) -> usize {
    (routing.n_tokens() / routing.n_groups).max(1)
}

/// The number of tokens of each sequence that are not padding, `[G]`.
pub(super) fn tokens_by_sequence(routing: &Routing) -> Vec<f32> {
    let mut tokens_g = vec![0.0; routing.n_groups];
    (0..routing.n_tokens())
        .filter(|&t| !is_padding(routing, t))
        .for_each(|t| tokens_g[t / group_size(routing)] += 1.0);
    tokens_g
}

/// The sum of each sequence's probabilities, `[G, E]`.
pub(super) fn prob_sums(routing: &Routing) -> Tensor<2> {
    sums(routing.probs(), routing)
}

fn sums(x_te: Tensor<2>, routing: &Routing) -> Tensor<2> {
    let (n_groups, n_experts) = (routing.n_groups, routing.n_experts());
    without_padding(x_te, routing)
        .reshape([n_groups, group_size(routing), n_experts])
        .sum_dim(1)
        .reshape([n_groups, n_experts])
}

/// The mean of each sequence's probabilities, `[G, E]`.
pub(super) fn mean_probs(routing: &Routing) -> Tensor<2> {
    means(routing.probs(), routing)
}

/// The mean of `x_te` over each sequence's tokens that are not padding, `[G, E]`.
pub(super) fn means(x_te: Tensor<2>, routing: &Routing) -> Tensor<2> {
    let tokens_g = tokens_by_sequence(routing);
    let tokens_g1 = Tensor::<1>::from_floats(tokens_g.as_slice(), &x_te.device())
        .clamp_min(1.0)
        .unsqueeze_dim(1);
    sums(x_te, routing) / tokens_g1
}

/// Assignments that each sequence asked of each expert, dropped ones included, `[G, E]` row by row. For a
/// soft plan: the combine mass of the expert's slots.
pub(super) fn asked_by_sequence(routing: &Routing) -> Vec<f32> {
    let (n_groups, n_experts) = (routing.n_groups, routing.n_experts());
    match &routing.plan {
        Plan::Sparse(plan) => {
            let mut asked_ge = vec![0.0; n_groups * n_experts];
            let pairs = plan.assignments.tokens().iter();
            for (&t, &expert) in pairs.zip(plan.assignments.experts()) {
                let g = t as usize / group_size(routing);
                asked_ge[g * n_experts + expert as usize] += 1.0;
            }
            asked_ge
        }
        Plan::Soft(plan) => {
            let [n_groups, group_size, n_slots] = plan.combine.dims();
            let mass_gme = plan.combine.clone().detach().reshape([
                n_groups,
                group_size,
                n_experts,
                n_slots / n_experts,
            ]);
            to_vec(mass_gme.sum_dim(3).sum_dim(1))
        }
    }
}

/// `E` times the share of its sequence's assignments that each expert was asked for, `[G, E]` row by
/// row: 1 at balance. With `k` experts a token it is `E / (k M) * #{t of the sequence: t chose e}`.
pub(super) fn balanced_share(routing: &Routing) -> Vec<f32> {
    let n_experts = routing.n_experts();
    let mut share_ge = asked_by_sequence(routing);
    for row_e in share_ge.chunks_mut(n_experts) {
        let total = row_e.iter().sum::<f32>().max(1.0);
        row_e
            .iter_mut()
            .for_each(|x| *x *= n_experts as f32 / total);
    }
    share_ge
}

/// `sum_x f_gx P_gx`, averaged over the sequences that have tokens.
///
/// # Shapes
///
/// - f_gx: `[G, X]`, row by row
/// - prob_gx: `[G, X]`
/// - output: `[1]`
pub(super) fn mean_product(f_gx: Vec<f32>, prob_gx: Tensor<2>, routing: &Routing) -> Tensor<1> {
    let f_gx = Tensor::from_data(TensorData::new(f_gx, prob_gx.dims()), &prob_gx.device());
    mean_product_there(f_gx, prob_gx, routing)
}

/// The same of shares that were counted on a device.
pub(super) fn mean_product_there(
    f_gx: Tensor<2>,
    prob_gx: Tensor<2>,
    routing: &Routing,
) -> Tensor<1> {
    (f_gx * prob_gx).sum() / n_sequences(routing)
}

/// The experts of each token `[T, K]`, if they were chosen on a device: then they are counted there too.
pub(super) fn chosen_there(routing: &Routing) -> Option<Tensor<2, Int>> {
    match &routing.plan {
        Plan::Sparse(plan) => plan.assignments.on_device().cloned(),
        Plan::Soft(_) => None,
    }
}

/// The number of times that a sequence's tokens have each of the values below `n`, `[G, n]`.
///
/// # Shapes
///
/// - values_tk: `[T, K]`
pub(super) fn counts_there(values_tk: Tensor<2, Int>, n: usize, routing: &Routing) -> Tensor<2> {
    let n_groups = routing.n_groups;
    let [n_tokens, k] = values_tk.dims();
    let shape = [n_groups, n_tokens / n_groups * k, n];
    let value_n = Tensor::<1, Int>::arange(0..n as i64, &values_tk.device());
    let is_value = values_tk
        .reshape([n_groups, shape[1], 1])
        .expand(shape)
        .equal(value_n.reshape([1, 1, n]).expand(shape));
    let counts = is_value.float().cast(DType::F32).sum_dim(1);
    counts.reshape([n_groups, n])
}

/// The squared coefficient of variation of each sequence's row, averaged over the sequences that have
/// tokens: population variance over squared mean.
///
/// # Shapes
///
/// - x_ge: `[G, E]`, zero for a sequence without tokens
/// - output: `[1]`
pub(super) fn mean_cv_squared(x_ge: Tensor<2>, routing: &Routing) -> Tensor<1> {
    let mean_g1 = x_ge.clone().mean_dim(1);
    let variance_g1 = (x_ge - mean_g1.clone()).square().mean_dim(1);
    let cv_squared_g1 = variance_g1 / (mean_g1.square() + 1e-10);
    cv_squared_g1.sum() / n_sequences(routing)
}

/// The number of sequences that have tokens, at least 1.
fn n_sequences(routing: &Routing) -> f64 {
    let tokens_g = tokens_by_sequence(routing);
    tokens_g.iter().filter(|&&n| n > 0.0).count().max(1) as f64
}

/// The router's groups of experts; one that has none counts as one expert a group.
pub(super) fn expert_groups(routing: &Routing) -> ExpertGroups {
    routing.expert_groups.unwrap_or_else(|| ExpertGroups {
        n_groups: routing.n_experts(),
        topk_groups: experts_per_token(routing),
        score: GroupScore::Max,
    })
}

/// The sum of each sequence's mean probabilities over the experts of a group, `[G, D]`.
pub(super) fn group_probs(routing: &Routing) -> Tensor<2> {
    let (n_groups, n_experts) = (routing.n_groups, routing.n_experts());
    let groups = expert_groups(routing);
    let shape = [n_groups, groups.n_groups, groups.group_len(n_experts)];
    mean_probs(routing)
        .reshape(shape)
        .sum_dim(2)
        .reshape([n_groups, groups.n_groups])
}
