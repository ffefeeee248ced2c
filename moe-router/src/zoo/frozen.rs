//! A gate that is never trained: the control that has a router but does not learn to route.

use super::common;
use crate::error::check_top_k;
use crate::parts::{gather_weights, normalise_per_token, take_best};
use crate::{
    BalanceConfig, Causality, Extra, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{DType, Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`FrozenRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct FrozenRouterConfig {
    /// The number of experts a token. Default: 2
    pub top_k: usize,
}

/// Each token takes its `k` best experts, weighted by a softmax over their logits, as Mixtral's router
/// does; the gate keeps the values that it starts with. Tokens that are alike still share experts, and
/// tokens learn where they go through the layers below.
#[derive(Module, Debug)]
pub struct FrozenRouter {
    /// The gate, `[d_model, n_experts]`, which no gradient reaches.
    pub gate: Linear,
    /// The number of experts a token.
    pub top_k: usize,
}

impl Default for FrozenRouterConfig {
    fn default() -> Self {
        Self { top_k: 2 }
    }
}

impl Preset for FrozenRouterConfig {
    type Router = FrozenRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::Fixed,
        causality: Causality::Causal,
        paper: "control",
        arxiv: "",
        rule: "softmax over the k selected logits of a gate that is not trained",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)
    }

    /// As for Mixtral's router, whose control this is: the loss can only move the tokens.
    fn balance(&self) -> BalanceConfig {
        super::MixtralRouterConfig::default().balance()
    }
    fn extras(&self) -> Vec<Extra> {
        Vec::new()
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> FrozenRouter {
        FrozenRouter {
            gate: common::gate(shape, device),
            top_k: self.top_k,
        }
    }
}

impl Router for FrozenRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let gate_de = self.gate.weight.val().detach();
        let logits_te = input.x_td.clone().matmul(gate_de).cast(DType::F32);
        let probs_te = softmax(logits_te.clone(), 1);

        let assignments = take_best(&input, &logits_te, self.top_k, None);
        let weights_a = gather_weights(&probs_te, &assignments);
        let weights_a = normalise_per_token(weights_a, self.top_k, 0.0);

        Routing::sparse(assignments, weights_a, logits_te.clone(), probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(logits_te)
    }

    fn causality(&self) -> Causality {
        FrozenRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use crate::zoo::MixtralRouterConfig;
    use burn::tensor::{Distribution, Tensor};

    #[test]
    fn routes_as_mixtral_and_does_not_learn() {
        let device = Device::flex().autodiff();
        let shape = RouterShape {
            d_model: 4,
            n_experts: 4,
            layer: 0,
        };
        let frozen = FrozenRouterConfig::default().init(&shape, &device);
        let mut mixtral = MixtralRouterConfig::default().init(&shape, &device);
        mixtral.gate = frozen.gate.clone();
        let x = Tensor::random([6, 4], Distribution::Default, &device).require_grad();
        let input = RouterInput::new(x.clone());
        let (a, b) = (frozen.route(input.clone()).plan, mixtral.route(input).plan);
        let (Plan::Sparse(a), Plan::Sparse(b)) = (a, b) else {
            panic!("sparse plans");
        };
        assert_eq!(a.assignments, b.assignments);
        assert_eq!(a.weights.to_data(), b.weights.to_data());

        let grads = a.weights.square().sum().backward();
        assert!(frozen.gate.weight.val().grad(&grads).is_none());
        let moved: f32 = x
            .grad(&grads)
            .expect("tokens learn")
            .abs()
            .sum()
            .into_scalar();
        assert!(moved > 0.0);
    }
}
