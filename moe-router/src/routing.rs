//! The routing: a plan, with the scores and statistics that losses and metrics read.

mod first_expert;

use crate::parts::ExpertGroups;
use crate::{Admission, Assignments, Bypass, Load, NoisyLogits, Plan, SoftPlan, SparsePlan, Tally};
use burn::tensor::{Tensor, activation::softmax, assert_shape};
use std::sync::Arc;

/// Assignment of tokens to experts with their weights: the output of every router.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Assignments, or mixtures of a soft router.
    pub plan: Plan,
    /// The router's raw scores, `[T, E]`.
    pub logits: Tensor<2>,
    /// The scores as a distribution over experts, `[T, E]`, if it is another than the softmax of the logits
    /// or the router needed it itself; to be read through [`probs`](Self::probs()).
    pub probs: Option<Tensor<2>>,
    /// The scores by which each token ranked the experts before any limit to groups, `[T, E]`, not tracked; `Some` if
    /// each token takes its best, and so these say by how much.
    pub ranking: Option<Tensor<2>>,
    /// The number of sequences that the tokens belong to.
    pub n_groups: usize,
    /// Mask of the padding tokens, `[T]`; they count in no loss and no metric.
    pub padding: Option<Arc<[bool]>>,
    /// The noisy scores of a router that trains its noise, present while training.
    pub noisy: Option<NoisyLogits>,
    /// The gate whose columns score the experts `[D, E]`, if there is one.
    pub gate: Option<Tensor<2>>,
    /// Bias that each expert's score has in the choice and not in the weights `[E]`, not tracked; `Some` if the router has one.
    pub selection_bias: Option<Tensor<1>>,
    /// Groups of experts; `Some` if the router limits a token to some of the groups.
    pub expert_groups: Option<ExpertGroups>,
    /// Histograms by which the router advances its state besides counts of assignments, if it does.
    pub tally: Option<Tally>,
    /// Contribution of zero-computation experts; `Some` if the router has any.
    pub bypass: Option<Bypass>,
    /// Multiplier of the loss [`l1`](crate::balance::l1()), `[1]`; `Some` if the router adapts it.
    pub l1_multiplier: Option<Tensor<1>>,
    /// Admission decisions and the predictor's scores (Mixture-of-Depths); `Some` in training only.
    pub admission: Option<Admission>,
}

impl Routing {
    /// A routing by a list of assignments, of one group without padding.
    ///
    /// A router that has no use for probabilities itself may give `None`, if they are the softmax of its
    /// logits: then they are computed where a loss or a metric reads them.
    ///
    /// # Shapes
    ///
    /// - weights: `[A]`, one for each assignment
    /// - logits, probs: `[T, E]`
    ///
    /// # Panics
    ///
    /// Panics if a shape differs, or if an assignment of the host's names a token or an expert that does not exist.
    pub fn sparse(
        assignments: Assignments,
        weights: Tensor<1>,
        logits: Tensor<2>,
        probs: impl Into<Option<Tensor<2>>>,
    ) -> Self {
        let [n_tokens, n_experts] = logits.dims();
        assert_shape!(weights, [assignments.len()]);
        if assignments.on_device().is_none() {
            assert_in_range(&assignments, n_tokens, n_experts);
        }
        let plan = Plan::Sparse(SparsePlan {
            assignments: Arc::new(assignments),
            weights,
        });
        Self::new(plan, logits, probs.into())
    }

    /// A routing by mixtures of tokens.
    ///
    /// # Shapes
    ///
    /// - dispatch, combine: `[G, M, S]`, `S` a multiple of `E`
    /// - logits, probs: `[G * M, E]`
    ///
    /// # Panics
    ///
    /// Panics if a shape differs.
    pub fn soft(plan: SoftPlan, logits: Tensor<2>, probs: Tensor<2>) -> Self {
        let [n_groups, group_size, n_slots] = plan.dispatch.dims();
        let [n_tokens, n_experts] = logits.dims();
        assert_shape!(plan.combine, [n_groups, group_size, n_slots]);
        assert!(
            n_groups * group_size == n_tokens && n_slots.is_multiple_of(n_experts),
            "soft plan of {n_groups} groups of {group_size} tokens and {n_slots} slots does not fit {n_tokens} tokens and {n_experts} experts"
        );
        Self::new(Plan::Soft(plan), logits, Some(probs)).groups(n_groups)
    }

    fn new(plan: Plan, logits: Tensor<2>, probs: Option<Tensor<2>>) -> Self {
        if let Some(probs) = &probs {
            let [n_tokens, n_experts] = logits.dims();
            assert_shape!(probs, [n_tokens, n_experts]);
        }
        Self {
            plan,
            logits,
            probs,
            ranking: None,
            n_groups: 1,
            padding: None,
            noisy: None,
            gate: None,
            selection_bias: None,
            expert_groups: None,
            tally: None,
            bypass: None,
            l1_multiplier: None,
            admission: None,
        }
    }

    /// Sets the number of sequences that the tokens belong to.
    pub fn groups(mut self, n_groups: usize) -> Self {
        self.n_groups = n_groups;
        self
    }

    /// Marks padding tokens.
    pub fn padding(mut self, padding: Option<Arc<[bool]>>) -> Self {
        self.padding = padding;
        self
    }

    /// Sets the scores by which each token took its best experts, `[T, E]`.
    ///
    /// # Panics
    ///
    /// Panics if the shape is not that of the logits.
    pub fn ranking(mut self, ranking_te: impl Into<Option<Tensor<2>>>) -> Self {
        let (n_tokens, n_experts) = (self.n_tokens(), self.n_experts());
        self.ranking = ranking_te.into().map(|ranking_te| {
            assert_shape!(ranking_te, [n_tokens, n_experts]);
            ranking_te.detach()
        });
        self
    }

    /// Sets the bias of the choice, `[E]`.
    ///
    /// # Panics
    ///
    /// Panics if there is not one for each expert.
    pub fn selection_bias(mut self, bias_e: Tensor<1>) -> Self {
        let n_experts = self.n_experts();
        assert_shape!(bias_e, [n_experts]);
        self.selection_bias = Some(bias_e.detach());
        self
    }

    /// Sets the noisy scores of a training step.
    pub fn noisy(mut self, noisy: Option<NoisyLogits>) -> Self {
        self.noisy = noisy;
        self
    }

    /// Sets the gate whose columns score the experts, `[D, E]`.
    pub fn gate(mut self, gate_de: Tensor<2>) -> Self {
        self.gate = Some(gate_de);
        self
    }

    /// Sets how the experts are grouped.
    pub fn expert_groups(mut self, groups: ExpertGroups) -> Self {
        self.expert_groups = Some(groups);
        self
    }

    /// Sets what the router advances its state by besides counts of assignments.
    pub fn tally(mut self, tally: Tally) -> Self {
        self.tally = Some(tally);
        self
    }

    /// Sets what the last experts add, which have no network.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer experts, or not one row for each token.
    pub fn bypass(mut self, bypass: Bypass) -> Self {
        let (n_experts, n_tokens) = (self.n_experts(), self.n_tokens());
        assert!(
            bypass.n_free <= n_experts,
            "{} free of {n_experts} experts",
            bypass.n_free
        );
        assert_shape!(bypass.of_token, [n_tokens, 1]);
        if let Some(mix) = &bypass.of_vectors {
            let [n_vectors, _] = mix.vectors.dims();
            assert_shape!(mix.weights, [n_tokens, n_vectors]);
        }
        self.bypass = Some(bypass);
        self
    }

    /// Sets what the loss [`l1`](crate::balance::l1()) is multiplied by, `[1]`.
    pub fn l1_multiplier(mut self, multiplier: Tensor<1>) -> Self {
        self.l1_multiplier = Some(multiplier);
        self
    }

    /// Sets who was let in and who was predicted to be.
    pub fn admission(mut self, admission: Option<Admission>) -> Self {
        self.admission = admission;
        self
    }

    /// The scores as a distribution over experts, `[T, E]`: as the router gave them, where a token that no expert
    /// was weighed for has zeros, or the softmax of the logits, computed by each call.
    pub fn probs(&self) -> Tensor<2> {
        let softmax_te = || softmax(self.logits.clone(), 1);
        self.probs.clone().unwrap_or_else(softmax_te)
    }

    /// The number of tokens `T`, padding included.
    pub fn n_tokens(&self) -> usize {
        self.logits.dims()[0]
    }

    /// The number of experts `E`, those without a network included.
    pub fn n_experts(&self) -> usize {
        self.logits.dims()[1]
    }

    /// The number of experts that have a network: the first of all.
    pub fn n_computed_experts(&self) -> usize {
        let n_free = self.bypass.as_ref().map_or(0, |bypass| bypass.n_free);
        self.n_experts() - n_free
    }

    /// The number of tokens that are not padding.
    pub fn n_routed_tokens(&self) -> usize {
        let padded = self
            .padding
            .as_ref()
            .map_or(0, |padding| padding.iter().filter(|&&p| p).count());
        self.n_tokens() - padded
    }

    /// Assignments that each expert received.
    pub fn load(&self) -> Load {
        let n_tokens = self.n_routed_tokens() as f64;
        let statistic = self.tally.as_ref().map_or_else(Vec::new, Tally::counts);
        match &self.plan {
            Plan::Sparse(plan) => {
                let counts = plan.assignments.count_by_expert(self.n_experts());
                Load {
                    kept: counts.kept,
                    asked: counts.asked,
                    n_tokens,
                    statistic,
                }
            }
            Plan::Soft(plan) => {
                let mass = plan.load(self.n_experts());
                Load {
                    kept: mass.clone(),
                    asked: mass,
                    n_tokens,
                    statistic,
                }
            }
        }
    }
}

fn assert_in_range(assignments: &Assignments, n_tokens: usize, n_experts: usize) {
    for (&token, &expert) in assignments.tokens().iter().zip(assignments.experts()) {
        assert!(
            (token as usize) < n_tokens && (expert as usize) < n_experts,
            "assignment of token {token} to expert {expert}: there are {n_tokens} tokens and {n_experts} experts"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_vec;
    use burn::tensor::Device;

    fn tensor<const D: usize, const N: usize>(values: [f32; N], shape: [usize; D]) -> Tensor<D> {
        Tensor::<1>::from_floats(values, &Device::flex()).reshape(shape)
    }

    #[test]
    fn probabilities_that_no_router_gave_are_the_softmax_of_the_logits() {
        let assignments = Assignments::of_each_token(vec![1], 1);
        let logits = tensor([0.0, 3.0f32.ln()], [1, 2]);
        let routing = Routing::sparse(assignments, tensor([1.0], [1]), logits, None);
        // e^0 = 1 and e^(ln 3) = 3
        let probs = to_vec(routing.probs());
        assert!((probs[0] - 0.25).abs() < 1e-6 && (probs[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn load_and_first_expert_of_a_sparse_plan() {
        // token 0 -> experts 1 (0.3) and 0 (0.7); token 1 -> expert 1 (1.0, dropped)
        let mut assignments = Assignments::with_capacity(3);
        assignments.push(0, 1);
        assignments.push(0, 0);
        assignments.push(1, 1);
        assignments.drop_assignment(2);
        let scores = tensor([0.0; 4], [2, 2]);
        let routing = Routing::sparse(
            assignments,
            tensor([0.3, 0.7, 1.0], [3]),
            scores.clone(),
            scores,
        );

        assert_eq!(routing.load().kept, [1.0, 1.0]);
        assert_eq!(routing.load().asked, [1.0, 2.0]);
        assert_eq!(routing.first_expert(), [Some(0), None]);
    }

    #[test]
    fn load_of_a_soft_plan_is_its_combine_mass() {
        // one group of two tokens, two experts with one slot each
        let map = tensor([0.25, 0.75, 0.5, 0.5], [1, 2, 2]);
        let scores = tensor([0.25, 0.75, 0.5, 0.5], [2, 2]);
        let plan = SoftPlan {
            dispatch: map.clone(),
            combine: map,
        };
        let routing = Routing::soft(plan, scores.clone(), scores);

        assert_eq!(routing.load().kept, [0.75, 1.25]); // 0.25 + 0.5, 0.75 + 0.5
        assert_eq!(routing.first_expert(), [Some(1), Some(0)]); // a tie goes to the lowest
    }

    #[test]
    #[should_panic(expected = "assignment of token 0 to expert 2")]
    fn an_expert_that_does_not_exist_panics() {
        let mut assignments = Assignments::default();
        assignments.push(0, 2);
        let scores = tensor([0.0; 2], [1, 2]);
        let _ = Routing::sparse(assignments, tensor([1.0], [1]), scores.clone(), scores);
    }
}
