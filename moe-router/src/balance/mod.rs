//! Balance losses, one a file: plain functions of a [`Routing`].
//!
//! Each is computed for one layer; the model's loss is the mean over its MoE layers. Shares of
//! assignments are counts and carry no gradient; probabilities carry it.

use crate::{Plan, Routing};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Writes the table of weights and the loop over the losses from one visible list.
macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        $(
            mod $name;
            pub use $name::$name;
        )+

        /// The weight of each balance loss; 0 leaves it out.
        #[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
        #[serde(default, deny_unknown_fields)]
        pub struct BalanceConfig {
            $($(#[$doc])* pub $name: f64,)+
        }

        impl BalanceConfig {
            /// The names of all losses, in the order of the list.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Every loss's name and weight, in the order of the list.
            pub fn weights(&self) -> Vec<(&'static str, f64)> {
                vec![$((stringify!($name), self.$name)),+]
            }

            /// The losses of weight above 0 for the routing of one layer, not yet weighted.
            pub fn terms(&self, routing: &Routing) -> Vec<LossTerm> {
                let mut terms = Vec::new();
                $(
                    if self.$name > 0.0 {
                        terms.push(LossTerm {
                            name: stringify!($name),
                            weight: self.$name,
                            value: $name(routing),
                        });
                    }
                )+
                terms
            }
        }
    };
}

losses! {
    /// Weight of the Switch loss [`load_balance()`]. Default: the router's own
    load_balance,
    /// Weight of the router z-loss [`z()`]. Default: the router's own
    z,
    /// Weight of the importance loss [`importance()`]. Default: the router's own
    importance,
    /// Weight of the smooth load loss [`load()`]. Default: the router's own
    load,
    /// Weight of the sequence-wise loss [`sequence()`]. Default: the router's own
    sequence,
    /// Weight of the expert-level loss [`expert()`]. Default: the router's own
    expert,
    /// Weight of the device-level loss [`device()`]. Default: the router's own
    device,
    /// Weight of the communication loss [`communication()`]. Default: the router's own
    communication,
    /// Weight of the divergence from balance [`kl()`]. Default: the router's own
    kl,
    /// Weight of the entropy of the router's choice [`entropy()`]. Default: the router's own
    entropy,
    /// Weight of the orthogonality of the gate [`orthogonality()`]. Default: the router's own
    orthogonality,
    /// Weight of the loss over experts with and without a network [`heterogeneous()`]. Default: the
    /// router's own
    heterogeneous,
    /// Weight of the L1 regularisation of the weights [`l1()`]. Default: the router's own
    l1,
    /// Weight of the loss of the predictor of who is let in [`admission()`]. Default: the router's own
    admission,
    /// Weight of the balance loss of first choices [`first_choice()`]. Default: the router's own
    first_choice,
    /// Weight of V-MoE's importance loss [`vmoe_importance()`]. Default: the router's own
    vmoe_importance,
    /// Weight of V-MoE's load loss [`vmoe_load()`]. Default: the router's own
    vmoe_load,
}

mod pooled;
mod sequences;
mod validate;

pub use pooled::{load_balance_pooled, load_balance_pooled_by_sequence};

/// One balance loss of one layer.
#[derive(Debug, Clone)]
pub struct LossTerm {
    /// The loss's name.
    pub name: &'static str,
    /// Its weight in the sum.
    pub weight: f64,
    /// Its value, `[1]`, not weighted.
    pub value: Tensor<1>,
}

/// The squared coefficient of variation of a positive vector: population variance over squared mean.
///
/// # Shapes
///
/// - x_e: `[E]`
/// - output: `[1]`
fn cv_squared(x_e: Tensor<1>) -> Tensor<1> {
    let mean = x_e.clone().mean();
    let variance = (x_e - mean.clone()).square().mean();
    variance / (mean.square() + 1e-10)
}

/// The number of experts that an average token asked for, from 1 to `E`.
fn experts_per_token(routing: &Routing) -> usize {
    let Plan::Sparse(plan) = &routing.plan else {
        return routing.n_experts();
    };
    // dropped assignments count: a token asked for them
    let mean = plan.assignments.len() as f64 / routing.n_routed_tokens().max(1) as f64;
    (mean.round() as usize).clamp(1, routing.n_experts())
}

/// The rows of `x_te` of tokens that are not padding, others zero.
fn without_padding(x_te: Tensor<2>, routing: &Routing) -> Tensor<2> {
    let Some(padding) = &routing.padding else {
        return x_te;
    };
    let mask: Vec<f32> = padding
        .iter()
        .map(|&pad| if pad { 0.0 } else { 1.0 })
        .collect();
    let mask_t1 = Tensor::<1>::from_floats(mask.as_slice(), &x_te.device()).unsqueeze_dim(1);
    x_te * mask_t1
}

/// The mean of `x_te` over the tokens that are not padding, `[E]`.
fn mean_over_tokens(x_te: Tensor<2>, routing: &Routing) -> Tensor<1> {
    let n_experts = routing.n_experts();
    let n_tokens = routing.n_routed_tokens().max(1) as f64;
    without_padding(x_te, routing)
        .sum_dim(0)
        .reshape([n_experts])
        / n_tokens
}

/// `E * sum_e f_e P_e` of the shares `f` of the experts and their mean probabilities `P`, `[1]`.
fn share_times_prob(share_e: Tensor<1>, routing: &Routing) -> Tensor<1> {
    let prob_e = mean_over_tokens(routing.probs(), routing);
    (share_e * prob_e).sum() * routing.n_experts() as f64
}

#[cfg(test)]
mod testing {
    use crate::{Assignments, Routing};
    use burn::tensor::{Device, Tensor};

    /// A routing by the given (token, expert) pairs over the given probabilities (row by row), with
    /// the probabilities' logarithms as logits and their values as weights.
    pub fn routing(
        pairs: &[(u32, u32)],
        probs: &[f32],
        n_experts: usize,
        device: &Device,
    ) -> Routing {
        let mut assignments = Assignments::default();
        pairs.iter().for_each(|&(t, e)| assignments.push(t, e));
        let n_tokens = probs.len() / n_experts;
        let probs_te = Tensor::<1>::from_floats(probs, device).reshape([n_tokens, n_experts]);
        let weights = crate::parts::gather_weights(&probs_te, &assignments);
        Routing::sparse(assignments, weights, probs_te.clone().log(), probs_te)
    }

    pub fn scalar(x: Tensor<1>) -> f32 {
        x.into_scalar()
    }
}
