//! A dense mixture: every expert computes every token (Jacobs et al. 1991, Adaptive mixtures of local
//! experts): `y = sum_e softmax(x W)_e E_e(x)`.

use super::common;
use crate::parts::gather_weights;
use crate::{
    Assignments, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`DenseRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct DenseRouterConfig {}

/// Each token takes every expert, weighted by a softmax over all: what sparse routing saves, and the
/// control that it is measured against.
#[derive(Module, Debug)]
pub struct DenseRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
}

impl Preset for DenseRouterConfig {
    type Router = DenseRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::Soft,
        causality: Causality::Causal,
        paper: "Jacobs et al. 1991",
        arxiv: "",
        rule: "every expert, by its softmax probability",
    };

    fn validate(&self, _n_experts: usize) -> Result<(), RouterError> {
        Ok(())
    }

    fn experts_per_token(&self, n_experts: usize) -> f64 {
        n_experts as f64
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> DenseRouter {
        DenseRouter {
            gate: common::gate(shape, device),
        }
    }
}

impl Router for DenseRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);
        let [n_tokens, n_experts] = logits_te.dims();

        let mut assignments = Assignments::with_capacity(n_tokens * n_experts);
        for t in (0..n_tokens).filter(|&t| !input.is_padding(t)) {
            (0..n_experts as u32).for_each(|expert| assignments.push(t as u32, expert));
        }
        let weights_a = gather_weights(&probs_te, &assignments);

        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        DenseRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::module::Param;
    use burn::tensor::{Tensor, TensorData, Tolerance};

    #[test]
    fn every_expert_by_its_probability_and_padding_none() {
        let device = Device::flex();
        let shape = RouterShape {
            d_model: 2,
            n_experts: 2,
            layer: 0,
        };
        let mut router = DenseRouterConfig {}.init(&shape, &device);
        router.gate.weight = Param::from_tensor(Tensor::eye(2, &device));
        let x = Tensor::<2>::from_floats([[1.0, 3.0], [1.0, 1.0]], &device).log();
        let routing = router.route(RouterInput::new(x).padding([false, true].into()));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.tokens(), [0, 0]);
        assert_eq!(plan.assignments.experts(), [0, 1]);
        let expected = TensorData::from([0.25f32, 0.75]); // 1 / 4, 3 / 4
        let weights = plan.weights.to_data();
        weights.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }
}
