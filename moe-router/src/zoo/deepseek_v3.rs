//! DeepSeek-V3's router: sigmoid affinities, a bias that takes part in the choice only, groups of
//! experts, renormalised weights (DeepSeek-AI 2024, arXiv 2412.19437, equations 12 to 16; the bias
//! rule of Wang et al. 2024, arXiv 2408.15664, algorithm 1).

use super::common;
use crate::error::{check_not_negative, check_positive, check_top_k};
use crate::parts::{
    ExpertGroups, GroupScore, Normalise, Score, choice_bias, gather_weights, normalise_per_token,
    step_by_sign, take_best,
};
use crate::{
    BalanceConfig, Causality, Family, Load, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing, TokenChoice,
};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation::sigmoid};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`DeepSeekV3Router`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct DeepSeekV3RouterConfig {
    /// The number of experts a token. Default: 2 (the released model: 8 of 256)
    pub top_k: usize,
    /// The number of groups that the experts form. Default: 1 (the released model: 8)
    pub n_groups: usize,
    /// The number of groups that a token may use. Default: 1 (the released model: 4)
    pub topk_groups: usize,
    /// Divide the chosen weights by their sum. Default: true
    pub norm_topk_prob: bool,
    /// Factor of the weights, applied last. Default: 1.0 (the released model: 2.5)
    pub routed_scaling_factor: f64,
    /// Move of the bias in a step, gamma. Default: 0.001
    pub bias_update_speed: f64,
}

/// Each token takes the `k` experts of largest biased affinity within its best groups, weighted by
/// the affinities without the bias.
#[derive(Module, Debug)]
pub struct DeepSeekV3Router {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The bias of the choice `[n_experts]`: not trained by gradients, see [`Router::advance`].
    pub bias: Param<Tensor<1>>,
    /// The number of experts a token.
    pub top_k: usize,
    /// The number of groups that the experts form.
    pub n_groups: usize,
    /// The number of groups that a token may use.
    pub topk_groups: usize,
    /// Divides the chosen weights by their sum.
    pub norm_topk_prob: bool,
    /// Factor of the weights, applied last.
    pub routed_scaling_factor: f64,
    /// Move of the bias in a step.
    pub bias_update_speed: f64,
}

impl Default for DeepSeekV3RouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            n_groups: 1,
            topk_groups: 1,
            norm_topk_prob: true,
            routed_scaling_factor: 1.0,
            bias_update_speed: 0.001,
        }
    }
}

impl Preset for DeepSeekV3RouterConfig {
    type Router = DeepSeekV3Router;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "DeepSeek-AI 2024",
        arxiv: "2412.19437",
        rule: "sigmoid; a bias for the choice only; groups; renormalised",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)?;
        check_positive("routed_scaling_factor", self.routed_scaling_factor)?;
        check_not_negative("bias_update_speed", self.bias_update_speed)?;
        groups(self.n_groups, self.topk_groups).validate(self.top_k, n_experts)
    }

    /// The paper's sequence-wise loss, alpha = 1e-4.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            sequence: 1e-4,
            ..Default::default()
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * shape.n_experts + shape.n_experts
    }

    fn token_choice(&self, _n_experts: usize, _group_size: usize) -> Option<TokenChoice> {
        Some(TokenChoice {
            normalise: Normalise::by_sum(self.norm_topk_prob),
            scale: self.routed_scaling_factor,
            groups: (self.n_groups > 1).then(|| groups(self.n_groups, self.topk_groups)),
            ..TokenChoice::new(self.top_k, Score::Sigmoid)
        })
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> DeepSeekV3Router {
        DeepSeekV3Router {
            gate: common::gate(shape, device),
            bias: choice_bias(shape.n_experts, device),
            top_k: self.top_k,
            n_groups: self.n_groups,
            topk_groups: self.topk_groups,
            norm_topk_prob: self.norm_topk_prob,
            routed_scaling_factor: self.routed_scaling_factor,
            bias_update_speed: self.bias_update_speed,
        }
    }
}

/// Groups by the sum of their two largest biased affinities.
fn groups(n_groups: usize, topk_groups: usize) -> ExpertGroups {
    ExpertGroups {
        n_groups,
        topk_groups,
        score: GroupScore::TopTwoSum,
    }
}

impl Router for DeepSeekV3Router {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let affinity_te = sigmoid(logits_te.clone());

        // the bias chooses alone: weights are gathered from the affinities without it
        let bias_e = self.bias.val().detach().unsqueeze();
        let ranking_te = affinity_te.clone().detach() + bias_e;
        let groups = groups(self.n_groups, self.topk_groups);
        let assignments = take_best(&input, &ranking_te, self.top_k, Some(&groups));

        let mut weights_a = gather_weights(&affinity_te, &assignments);
        if self.norm_topk_prob {
            weights_a = normalise_per_token(weights_a, self.top_k, 1e-20);
        }
        let weights_a = weights_a * self.routed_scaling_factor;
        let probs_te = affinity_te.clone() / (affinity_te.sum_dim(1) + 1e-20);

        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(ranking_te)
            .gate(self.gate.weight.val())
            .selection_bias(self.bias.val())
            .expert_groups(groups)
    }

    fn causality(&self) -> Causality {
        DeepSeekV3RouterConfig::INFO.causality
    }

    fn advance(mut self, load: &Load) -> Self {
        self.bias = step_by_sign(self.bias, load, self.bias_update_speed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::tensor::{TensorData, Tolerance};

    fn router(config: DeepSeekV3RouterConfig, bias: [f32; 4], device: &Device) -> DeepSeekV3Router {
        let shape = RouterShape {
            d_model: 4,
            n_experts: 4,
            layer: 0,
        };
        let mut router = config.init(&shape, device);
        router.gate.weight = Param::from_tensor(Tensor::eye(4, device));
        router.bias = Param::from_tensor(Tensor::from_floats(bias, device)).set_require_grad(false);
        router
    }

    fn sparse(routing: &Routing) -> (Vec<u32>, TensorData) {
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        (plan.assignments.experts().to_vec(), plan.weights.to_data())
    }

    #[test]
    fn the_bias_chooses_and_does_not_weigh() {
        let device = Device::flex();
        let config = DeepSeekV3RouterConfig {
            top_k: 2,
            ..Default::default()
        };
        let x = Tensor::from_floats([[0.0, 0.0, 0.0, 1.0]], &device);
        // affinities 0.5, 0.5, 0.5, 0.7310586; the bias lifts expert 1 and sinks expert 3
        let routing = router(config, [0.0, 0.3, 0.0, -0.1], &device).route(RouterInput::new(x));
        let (experts, weights) = sparse(&routing);
        assert_eq!(experts, [1, 3]);
        // 0.5 / 1.2310586, 0.7310586 / 1.2310586
        let expected = TensorData::from([0.40615f32, 0.59385]);
        weights.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }

    #[test]
    fn groups_are_chosen_by_their_two_best_even_if_all_scores_are_negative() {
        let device = Device::flex();
        let config = DeepSeekV3RouterConfig {
            top_k: 2,
            n_groups: 2,
            topk_groups: 1,
            ..Default::default()
        };
        let x = Tensor::from_floats([[0.0; 4]], &device);
        // biased: (-0.1, -0.9), (-0.4, -0.4); sums -1.0 and -0.8: the second group is chosen, and a
        // fill with zero would choose the masked experts 0 and 1
        let bias = [-0.6, -1.4, -0.9, -0.9];
        let routing = router(config, bias, &device).route(RouterInput::new(x));
        assert_eq!(sparse(&routing).0, [2, 3]);
    }

    #[test]
    fn the_bias_moves_by_the_sign_of_the_load_error() {
        let device = Device::flex();
        let router = router(DeepSeekV3RouterConfig::default(), [0.0; 4], &device);
        let load = Load {
            kept: vec![4.0, 2.0, 1.0, 1.0], // mean 2
            asked: vec![4.0, 2.0, 1.0, 1.0],
            n_tokens: 4.0,
            statistic: Vec::new(),
        };
        let router = router.advance(&load);
        let expected = TensorData::from([-0.001f32, 0.0, 0.001, 0.001]);
        router.bias.val().into_data().assert_eq(&expected, true);
    }

    #[test]
    fn the_speed_of_the_bias_is_finite_and_not_negative() {
        let check = |bias_update_speed| {
            let config = DeepSeekV3RouterConfig {
                bias_update_speed,
                ..Default::default()
            };
            config.validate(8)
        };
        for speed in [-5.0, f64::NAN, f64::INFINITY] {
            let error = check(speed).unwrap_err().to_string();
            assert!(error.contains("router.bias_update_speed = "), "{error}");
        }
        assert!(check(0.0).is_ok()); // a bias that stays as it is
    }

    #[test]
    fn groups_that_do_not_fit_are_errors() {
        let config = DeepSeekV3RouterConfig {
            top_k: 4,
            n_groups: 4,
            topk_groups: 1,
            ..Default::default()
        };
        let error = config.validate(8).unwrap_err().to_string();
        assert!(
            error.contains("more than the 2 experts of 1 groups"),
            "{error}"
        );
        assert!(config.validate(6).is_err()); // 4 groups do not divide 6 experts
    }
}
