//! Generated routings for the laws of balance losses.

use crate::parts::{gather_weights, mix_seed, standard_normal, top_k, uniform_below};
use crate::{Assignments, Routing, to_vec};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use proptest::prelude::*;

/// One generated routing: token choice over drawn scores, some assignments dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossCase {
    pub n_groups: usize,
    pub group_size: usize,
    pub n_experts: usize,
    pub top_k: usize,
    /// Padding tokens behind each sequence.
    pub padding: usize,
    /// The scores are normal numbers times this.
    pub scale: u32,
    pub seed: u64,
}

impl LossCase {
    pub fn strategy() -> impl Strategy<Value = LossCase> {
        let sizes = (1usize..=3, 1usize..=8, 1usize..=6, 0usize..6);
        (sizes, 0usize..=2, 0u32..=8, 0u64..1000).prop_map(|(sizes, padding, scale, seed)| {
            let (n_groups, group_size, n_experts, k) = sizes;
            LossCase {
                n_groups,
                group_size,
                n_experts,
                top_k: 1 + k % n_experts,
                padding,
                scale,
                seed,
            }
        })
    }

    /// Tokens of a sequence, padding included.
    pub fn length(&self) -> usize {
        self.group_size + self.padding
    }

    pub fn is_padding(&self, t: usize) -> bool {
        t % self.length() >= self.group_size
    }

    /// The scores, `[T, E]`, row by row.
    pub fn logits(&self) -> Vec<f32> {
        let device = Device::default();
        let shape = [self.n_groups * self.length(), self.n_experts];
        let draws = to_vec(standard_normal(mix_seed(self.seed, 1), shape, &device));
        draws.iter().map(|x| x * self.scale as f32).collect()
    }

    /// Assignments by these scores, with the same drops whatever the values.
    pub fn assignments(&self, logits_te: &[f32]) -> Assignments {
        let mut assignments = Assignments::default();
        for (t, row_e) in logits_te.chunks(self.n_experts).enumerate() {
            if self.is_padding(t) {
                continue;
            }
            for expert in top_k(row_e, self.top_k) {
                assignments.push(t as u32, expert);
            }
        }
        for n in 0..assignments.len() {
            if uniform_below(5, mix_seed(self.seed, 2), n as u64) == 0 {
                assignments.drop_assignment(n);
            }
        }
        assignments
    }

    /// The routing by given scores and assignments.
    pub fn routing(&self, logits_te: Tensor<2>, assignments: Assignments) -> Routing {
        let probs_te = softmax(logits_te.clone(), 1);
        let weights_a = gather_weights(&probs_te, &assignments);
        let padding = (0..self.n_groups * self.length()).map(|t| self.is_padding(t));
        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(self.n_groups)
            .padding((self.padding > 0).then(|| padding.collect()))
    }

    /// The case's own routing.
    pub fn own_routing(&self, device: &Device) -> Routing {
        let logits = self.logits();
        let assignments = self.assignments(&logits);
        self.routing(self.tensor(&logits, device), assignments)
    }

    pub fn tensor(&self, logits_te: &[f32], device: &Device) -> Tensor<2> {
        let shape = [logits_te.len() / self.n_experts, self.n_experts];
        Tensor::<1>::from_floats(logits_te, device).reshape(shape)
    }
}
