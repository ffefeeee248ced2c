//! Mixtral's router: softmax over the k selected logits (Jiang et al. 2024, arXiv 2401.04088,
//! section 2.1, `G(x) = Softmax(TopK(x W_g))`).

use super::common;
use crate::error::check_top_k;
use crate::parts::{Normalise, Score, gather_weights, normalise_per_token, take_best};
use crate::{
    BalanceConfig, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing, TokenChoice,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`MixtralRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct MixtralRouterConfig {
    /// The number of experts a token. Default: 2
    pub top_k: usize,
}

/// Each token takes its `k` best experts, weighted by a softmax over their `k` logits.
#[derive(Module, Debug)]
pub struct MixtralRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The number of experts a token.
    pub top_k: usize,
}

impl Default for MixtralRouterConfig {
    fn default() -> Self {
        Self { top_k: 2 }
    }
}

impl Preset for MixtralRouterConfig {
    type Router = MixtralRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Jiang et al. 2024",
        arxiv: "2401.04088",
        rule: "softmax over the k selected logits",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)
    }

    /// The number of the released 8x7B configuration, 0.02. Its loss sums shares to `k` and so weighs `k`
    /// times as much as [`load_balance`](crate::balance::load_balance()).
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            load_balance: 0.02,
            ..Default::default()
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn token_choice(&self, _n_experts: usize, _group_size: usize) -> Option<TokenChoice> {
        Some(TokenChoice {
            normalise: Normalise::Sum,
            ..TokenChoice::new(self.top_k, Score::Softmax)
        })
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> MixtralRouter {
        MixtralRouter {
            gate: common::gate(shape, device),
            top_k: self.top_k,
        }
    }
}

impl Router for MixtralRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);

        let assignments = take_best(&input, &logits_te, self.top_k, None);
        // the softmax over k logits is the softmax over all, renormalised over the k
        let weights_a = gather_weights(&probs_te, &assignments);
        let weights_a = normalise_per_token(weights_a, self.top_k, 0.0);

        Routing::sparse(assignments, weights_a, logits_te.clone(), probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(logits_te)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        MixtralRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::module::Param;
    use burn::tensor::{Tensor, TensorData, Tolerance};

    fn router(device: &Device) -> MixtralRouter {
        let shape = RouterShape {
            d_model: 3,
            n_experts: 3,
            layer: 0,
        };
        let mut router = MixtralRouterConfig::default().init(&shape, device);
        router.gate.weight = Param::from_tensor(Tensor::eye(3, device));
        router
    }

    #[test]
    fn weights_are_a_softmax_over_the_selected_logits() {
        let device = Device::flex();
        let x = Tensor::from_floats([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0]], &device);
        let routing = router(&device).route(RouterInput::new(x));

        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.experts(), [0, 1, 2, 0]); // the tie 0, 1 goes to 0
        // both tokens select logits that differ by 1: 1 / (1 + e^-1) = 0.7310586
        let expected = TensorData::from([0.7310586f32, 0.2689414, 0.7310586, 0.2689414]);
        plan.weights
            .to_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn top_k_above_the_number_of_experts_is_an_error() {
        let error = MixtralRouterConfig { top_k: 9 }.validate(8).unwrap_err();
        assert_eq!(
            error.to_string(),
            "router.top_k = 9 is larger than experts.n_experts = 8: lower the one or raise the other"
        );
    }
}
