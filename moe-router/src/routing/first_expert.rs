//! The expert that weighs most for each token.

use super::Routing;
use crate::{Plan, to_vec};

impl Routing {
    /// The expert with the largest weight for each token `[T]`; none for a token without an expert.
    pub fn first_expert(&self) -> Vec<Option<usize>> {
        let n_experts = self.n_experts();
        match &self.plan {
            Plan::Sparse(plan) => {
                let weights = to_vec(plan.weights.clone());
                let mut best = vec![(f32::NEG_INFINITY, None); self.n_tokens()];
                let assignments = &plan.assignments;
                for (n, &weight) in weights.iter().enumerate() {
                    let slot = &mut best[assignments.tokens()[n] as usize];
                    if assignments.kept()[n] && weight > slot.0 {
                        *slot = (weight, Some(assignments.experts()[n] as usize));
                    }
                }
                best.into_iter().map(|(_, expert)| expert).collect()
            }
            Plan::Soft(_) => to_vec(self.probs().reshape([-1]))
                .chunks(n_experts)
                .enumerate()
                .map(|(t, row_e)| {
                    let padded = self.padding.as_ref().is_some_and(|padding| padding[t]);
                    let best = crate::parts::top_k(row_e, 1).first().copied();
                    best.filter(|_| !padded).map(|e| e as usize)
                })
                .collect(),
        }
    }
}
