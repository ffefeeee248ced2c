//! Sparse and soft plans.

use crate::{Assignments, to_vec};
use burn::tensor::Tensor;
use std::sync::Arc;

/// The two shapes that a plan can have.
#[derive(Debug, Clone)]
pub enum Plan {
    /// A list of assignments.
    Sparse(SparsePlan),
    /// Mixtures of tokens.
    Soft(SoftPlan),
}

/// A list of assignments (token, expert, weight), of any length.
#[derive(Debug, Clone)]
pub struct SparsePlan {
    /// Tokens, experts, and which assignments were dropped, `[A]` each.
    pub assignments: Arc<Assignments>,
    /// The weight of each assignment `[A]`, differentiable; that of a dropped one is not used.
    pub weights: Tensor<1>,
}

/// Slots owned by experts: slot `s` belongs to expert `s / (S / E)`.
#[derive(Debug, Clone)]
pub struct SoftPlan {
    /// Dispatch weights: the share of each token that a slot takes, `[G, M, S]`. Each slot's column sums to
    /// 1; padding has 0.
    pub dispatch: Tensor<3>,
    /// Combine weights: the share of each slot's output that a token gets, `[G, M, S]`. Each token's row
    /// sums to 1; padding has 0.
    pub combine: Tensor<3>,
}

impl SoftPlan {
    /// The combine mass of each expert's slots, `[E]`.
    pub(crate) fn load(&self, n_experts: usize) -> Vec<f64> {
        let [n_groups, group_size, n_slots] = self.combine.dims();
        let mass_e = self
            .combine
            .clone()
            .reshape([n_groups * group_size, n_experts, n_slots / n_experts])
            .sum_dim(2)
            .sum_dim(0)
            .reshape([n_experts]);
        to_vec(mass_e).into_iter().map(f64::from).collect()
    }
}
