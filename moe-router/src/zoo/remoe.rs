//! ReMoE: the weights are `ReLU(x W)`, and whoever is above zero computes (Wang et al. 2024,
//! arXiv 2412.14711, sections 3.1 and 3.2). An L1 loss keeps the weights sparse, and its multiplier adapts:
//! `lambda *= alpha^sign((1 - k / E) - S)`, where `S` is the share of weights that are zero.

use super::common;
use crate::error::{check_positive, check_top_k};
use crate::parts::{above, gather_weights};
use crate::{
    BalanceConfig, Causality, Family, Load, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation::relu};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`ReMoeRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ReMoeRouterConfig {
    /// The number of experts that the multiplier steers an average token to. Default: 2
    pub top_k: usize,
    /// The multiplier before training, `lambda_0`. From the default it takes some 90 steps until the loss
    /// matters (`1.2^90 = 1.3e7`): a run of a few hundred steps wants more. Default: 1e-8
    pub lambda: f64,
    /// Factor by which the multiplier rises or falls in a step, `alpha`. Default: 1.2
    pub alpha: f64,
}

/// Each token takes every expert whose logit is positive, weighted by that logit; a token without one
/// passes unchanged. Nothing jumps: an expert comes and goes with weight zero.
///
/// The multiplier is part of the router's state and is advanced after each step, see
/// [`Router::advance`]. Differs from the paper: each layer has a multiplier of its own and holds the
/// target by itself; the paper's is common to all layers and holds it on average.
#[derive(Module, Debug)]
pub struct ReMoeRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The multiplier of the L1 loss, `[1]`: not trained by gradients.
    pub lambda: Param<Tensor<1>>,
    /// The number of experts that the multiplier steers an average token to.
    pub top_k: usize,
    /// Factor by which the multiplier rises or falls in a step.
    pub alpha: f64,
}

impl Default for ReMoeRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            lambda: 1e-8,
            alpha: 1.2,
        }
    }
}

impl Preset for ReMoeRouterConfig {
    type Router = ReMoeRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Wang et al. 2024",
        arxiv: "2412.14711",
        rule: "ReLU of the logits; an adaptive L1 loss keeps k experts on average",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)?;
        check_positive("lambda", self.lambda)?;
        if self.alpha > 1.0 && self.alpha.is_finite() {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "alpha",
            value: self.alpha,
            range: "a finite number above 1",
        })
    }

    /// The L1 loss by its own multiplier alone. Without it the multiplier grows and steers nothing.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            l1: 1.0,
            ..Default::default()
        }
    }

    /// The target. Before the multiplier has grown to matter, tokens take about half of all experts.
    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * shape.n_experts + 1
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> ReMoeRouter {
        ReMoeRouter {
            gate: common::gate(shape, device),
            lambda: Param::from_tensor(Tensor::from_floats([self.lambda as f32], device))
                .set_require_grad(false),
            top_k: self.top_k,
            alpha: self.alpha,
        }
    }
}

impl Router for ReMoeRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let weights_te = relu(logits_te.clone());

        let assignments = above(&input, &common::host(&weights_te), |_| 0.0);
        let weights_a = gather_weights(&weights_te, &assignments);
        let probs_te = weights_te.clone() / (weights_te.sum_dim(1) + 1e-9);

        // the paper's share `f` is divided by `k`, which the loss leaves to its multiplier
        let multiplier = self.lambda.val().detach() / self.top_k as f64;
        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
            .l1_multiplier(multiplier)
    }

    fn causality(&self) -> Causality {
        ReMoeRouterConfig::INFO.causality
    }

    /// `lambda *= alpha^sign((1 - k / E) - S)`: up if more than `k` experts a token were active, down
    /// if fewer.
    fn advance(mut self, load: &Load) -> Self {
        let active = load.kept.iter().sum::<f64>() / load.n_tokens.max(1.0);
        let excess = active - self.top_k as f64;
        // `signum` of zero is one: a target that is met would move the multiplier
        let sign = if excess == 0.0 { 0.0 } else { excess.signum() };
        self.lambda = self
            .lambda
            .map(|lambda| (lambda * self.alpha.powf(sign)).set_require_grad(false));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, to_vec};
    use burn::tensor::TensorData;
    use proptest::prelude::*;

    fn router(device: &Device) -> ReMoeRouter {
        let shape = RouterShape {
            d_model: 4,
            n_experts: 4,
            layer: 0,
        };
        let config = ReMoeRouterConfig {
            lambda: 0.5,
            ..Default::default()
        };
        let mut router = config.init(&shape, device);
        router.gate.weight = Param::from_tensor(Tensor::eye(4, device));
        router
    }

    #[test]
    fn positive_logits_are_chosen_and_are_the_weights() {
        let device = Device::flex();
        let x = [[-1.0, 0.5, 0.0, 2.0], [-1.0, -2.0, -3.0, 0.0]];
        let routing = router(&device).route(RouterInput::new(Tensor::from_floats(x, &device)));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.tokens(), [0, 0]); // the second token has no expert
        assert_eq!(plan.assignments.experts(), [3, 1]);
        let weights = plan.weights.to_data();
        weights.assert_eq(&TensorData::from([2.0f32, 0.5]), true);
        // 0.5 / 2
        let multiplier = routing.l1_multiplier.expect("a multiplier").into_data();
        multiplier.assert_eq(&TensorData::from([0.25f32]), true);
    }

    #[test]
    fn the_multiplier_follows_the_load() {
        let device = Device::flex();
        let after = |kept: [f64; 4]| {
            let load = Load {
                kept: kept.to_vec(),
                asked: kept.to_vec(),
                n_tokens: 2.0,
                ..Default::default()
            };
            to_vec(router(&device).advance(&load).lambda.val())[0]
        };
        let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(close(after([2.0, 2.0, 1.0, 0.0]), 0.6)); // 2.5 a token: 0.5 * 1.2
        assert!(close(after([1.0, 1.0, 0.0, 0.0]), 0.5 / 1.2)); // 1 a token
        assert!(close(after([1.0, 1.0, 1.0, 1.0]), 0.5)); // 2 a token
    }

    #[test]
    fn the_multiplier_is_not_trained_and_the_loss_reaches_the_gate() {
        let device = Device::flex().autodiff();
        let router = router(&device);
        let x = Tensor::from_floats([[1.0, 0.5, -1.0, -1.0]], &device);
        let routing = router.route(RouterInput::new(x));
        let grads = crate::balance::l1(&routing).backward();
        assert!(router.lambda.val().grad(&grads).is_none());
        let grad = router.gate.weight.val().grad(&grads).expect("a gradient");
        // lambda / k * f_e / T * x_d = 0.25 * 4 * x_d for the two active experts, 0 for the others
        let expected = [1.0f32, 0.5, -1.0, -1.0].map(|x| [x, x, 0.0, 0.0]);
        grad.into_data()
            .assert_eq(&TensorData::from(expected), true);
    }

    #[test]
    fn an_alpha_that_cannot_steer_is_an_error() {
        let config = ReMoeRouterConfig {
            alpha: 1.0,
            ..Default::default()
        };
        let error = config.validate(4).unwrap_err().to_string();
        assert!(error.contains("router.alpha = 1"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn selected_exactly_if_the_weight_is_positive(
            values in prop::collection::vec((-4i32..4).prop_map(|x| x as f32 * 0.5), 24),
        ) {
            let device = Device::flex();
            let x = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([6, 4]);
            let routing = router(&device).route(RouterInput::new(x));
            let Plan::Sparse(plan) = &routing.plan else {
                panic!("a sparse plan");
            };
            prop_assert!(to_vec(plan.weights.clone()).iter().all(|&w| w > 0.0));
            let positive = values.iter().filter(|&&x| x > 0.0).count();
            prop_assert_eq!(plan.assignments.len(), positive);
        }
    }
}
