//! DeepSeek-V2's router: the best groups (devices) of experts first, then the `k` best experts within them
//! (DeepSeek-AI 2024, arXiv 2405.04434, section 2.2.2).
//!
//! ```text
//! s_te = softmax_e(x_t W)      a group's score is the largest s_te of its experts
//! g_te = scale * s_te if e is among the k largest of t's best groups, else 0
//! ```

use super::common;
use crate::error::{check_positive, check_top_k};
use crate::parts::{
    ExpertGroups, GroupScore, Normalise, Score, gather_weights, normalise_per_token, take_best,
};
use crate::{
    BalanceConfig, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing, TokenChoice,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`DeepSeekV2Router`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct DeepSeekV2RouterConfig {
    /// The number of experts a token. Default: 2 (the released models: 6)
    pub top_k: usize,
    /// The number of groups (devices) that the experts form. Default: 1, which is the greedy choice of
    /// the released Lite model (the large model: 8)
    pub n_groups: usize,
    /// The number of groups that a token may use, `M`. Default: 1 (the large model: 3)
    pub topk_groups: usize,
    /// Divide the chosen weights by their sum, if there are at least two, in place of scaling them.
    /// Default: false
    pub norm_topk_prob: bool,
    /// Factor of the weights that are not divided by their sum. Default: 1.0 (the large model: 16)
    pub routed_scaling_factor: f64,
}

/// Each token takes its `k` most probable experts within its best groups, weighted by their scaled
/// probabilities among all experts.
#[derive(Module, Debug)]
pub struct DeepSeekV2Router {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The number of experts a token.
    pub top_k: usize,
    /// The number of groups that the experts form.
    pub n_groups: usize,
    /// The number of groups that a token may use.
    pub topk_groups: usize,
    /// Divides the chosen weights by their sum in place of scaling them.
    pub norm_topk_prob: bool,
    /// Factor of the weights otherwise.
    pub routed_scaling_factor: f64,
}

impl Default for DeepSeekV2RouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            n_groups: 1,
            topk_groups: 1,
            norm_topk_prob: false,
            routed_scaling_factor: 1.0,
        }
    }
}

impl Preset for DeepSeekV2RouterConfig {
    type Router = DeepSeekV2Router;

    /// Causal: a token's groups and experts depend on that token alone.
    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "DeepSeek-AI 2024",
        arxiv: "2405.04434",
        rule: "the k largest probabilities within the groups of largest maximum",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)?;
        check_positive("routed_scaling_factor", self.routed_scaling_factor)?;
        groups(self.n_groups, self.topk_groups).validate(self.top_k, n_experts)
    }

    /// The paper's three losses, alpha = 0.003, 0.05 and 0.02; those of devices are constant and left
    /// out if there is one group.
    fn balance(&self) -> BalanceConfig {
        let device_weight = |alpha| if self.n_groups > 1 { alpha } else { 0.0 };
        BalanceConfig {
            expert: 0.003,
            device: device_weight(0.05),
            communication: device_weight(0.02),
            ..Default::default()
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn token_choice(&self, _n_experts: usize, _group_size: usize) -> Option<TokenChoice> {
        let is_divided = self.norm_topk_prob && self.top_k > 1;
        Some(TokenChoice {
            normalise: Normalise::by_sum(is_divided),
            scale: if is_divided {
                1.0
            } else {
                self.routed_scaling_factor
            },
            groups: (self.n_groups > 1).then(|| groups(self.n_groups, self.topk_groups)),
            ..TokenChoice::new(self.top_k, Score::Softmax)
        })
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> DeepSeekV2Router {
        DeepSeekV2Router {
            gate: common::gate(shape, device),
            top_k: self.top_k,
            n_groups: self.n_groups,
            topk_groups: self.topk_groups,
            norm_topk_prob: self.norm_topk_prob,
            routed_scaling_factor: self.routed_scaling_factor,
        }
    }
}

/// Groups by their largest probability.
fn groups(n_groups: usize, topk_groups: usize) -> ExpertGroups {
    ExpertGroups {
        n_groups,
        topk_groups,
        score: GroupScore::Max,
    }
}

impl Router for DeepSeekV2Router {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);

        let groups = groups(self.n_groups, self.topk_groups);
        let assignments = take_best(&input, &probs_te, self.top_k, Some(&groups));
        let weights_a = gather_weights(&probs_te, &assignments);
        let weights_a = if self.norm_topk_prob && self.top_k > 1 {
            normalise_per_token(weights_a, self.top_k, 1e-20)
        } else {
            weights_a * self.routed_scaling_factor
        };

        Routing::sparse(assignments, weights_a, logits_te, probs_te.clone())
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(probs_te)
            .gate(self.gate.weight.val())
            .expert_groups(groups)
    }

    fn causality(&self) -> Causality {
        DeepSeekV2RouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{TensorData, Tolerance};
    use proptest::prelude::*;

    fn route(config: &DeepSeekV2RouterConfig, probs: &[f32], n_experts: usize) -> Routing {
        let device = Device::flex();
        let mut router = config.init(&shape(n_experts), &device);
        router.gate = identity_gate(n_experts, &device);
        let x_td = rows(probs, n_experts, &device).log().clamp_min(-200.0);
        router.route(RouterInput::new(x_td))
    }

    fn grouped() -> DeepSeekV2RouterConfig {
        DeepSeekV2RouterConfig {
            top_k: 2,
            n_groups: 2,
            topk_groups: 1,
            norm_topk_prob: false,
            routed_scaling_factor: 4.0,
        }
    }

    #[test]
    fn a_group_counts_by_its_maximum_and_weights_are_scaled_probabilities() {
        // maxima 0.4 and 0.3: the first group, though the second has the larger sum
        let routing = route(&grouped(), &[0.4, 0.05, 0.3, 0.25], 4);
        assert_eq!(experts(&routing), [0, 1]);
        // 4 * 0.4, 4 * 0.05
        let expected = TensorData::from([1.6f32, 0.2]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }

    #[test]
    fn renormalised_weights_are_not_scaled_and_a_single_expert_is() {
        let config = |top_k| DeepSeekV2RouterConfig {
            top_k,
            norm_topk_prob: true,
            ..grouped()
        };
        // 0.4 / 0.45, 0.05 / 0.45
        let expected = TensorData::from([0.888_888_9f32, 0.111_111_1]);
        weights(&route(&config(2), &[0.4, 0.05, 0.3, 0.25], 4))
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        weights(&route(&config(1), &[0.4, 0.05, 0.3, 0.25], 4))
            .assert_approx_eq::<f32>(&TensorData::from([1.6f32]), Tolerance::absolute(1e-5));
    }

    #[test]
    fn one_group_is_the_greedy_choice() {
        let routing = route(&DeepSeekV2RouterConfig::default(), &[0.1, 0.4, 0.2, 0.3], 4);
        assert_eq!(experts(&routing), [1, 3]);
    }

    #[test]
    fn experts_outside_the_groups_lose_against_a_probability_of_zero() {
        // group 1 is best; its expert 2 has probability 0, as have all of group 0 but for 0.4
        let routing = route(&grouped(), &[0.4, 0.0, 0.0, 0.6], 4);
        assert_eq!(experts(&routing), [3, 2]);
    }

    #[test]
    fn values_out_of_range_are_errors_that_name_the_key() {
        let error = |config: DeepSeekV2RouterConfig| config.validate(8).unwrap_err().to_string();
        let groups = |n_groups, topk_groups| DeepSeekV2RouterConfig {
            n_groups,
            topk_groups,
            ..grouped()
        };
        assert!(error(groups(3, 1)).contains("router.n_groups = 3"));
        assert!(error(groups(2, 3)).contains("router.topk_groups = 3"));
        assert!(error(groups(8, 1)).contains("router.top_k = 2"));
        let unscaled = DeepSeekV2RouterConfig {
            routed_scaling_factor: 0.0,
            ..grouped()
        };
        assert!(error(unscaled).contains("router.routed_scaling_factor = 0"));
    }

    proptest! {
        #[test]
        fn equals_the_best_of_every_choice_of_groups(
            scores in prop::collection::vec(0u8..6, 8),
            topk_groups in 1usize..4,
        ) {
            let total: f32 = scores.iter().map(|&s| f32::from(s).exp()).sum();
            let probs: Vec<f32> = scores.iter().map(|&s| f32::from(s).exp() / total).collect();
            let config = DeepSeekV2RouterConfig { n_groups: 4, topk_groups, ..grouped() };
            let routing = route(&config, &probs, 8);
            // the rule by sorting: groups of two by their maximum, then the experts that remain
            let mut groups: Vec<usize> = (0..4).collect();
            groups.sort_by_key(|g| std::cmp::Reverse(scores[2 * g].max(scores[2 * g + 1])));
            let mut allowed: Vec<usize> = groups[..topk_groups].iter().flat_map(|g| [2 * g, 2 * g + 1]).collect();
            allowed.sort_unstable();
            allowed.sort_by_key(|&e| std::cmp::Reverse(scores[e]));
            let expected: Vec<u32> = allowed[..2].iter().map(|&e| e as u32).collect();
            prop_assert_eq!(experts(&routing), expected);
        }
    }
}
