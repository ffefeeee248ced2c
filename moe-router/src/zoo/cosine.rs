//! X-MoE's router: the cosine between a projected token and an expert's embedding, over a learned
//! temperature (Chi et al. 2022, arXiv 2204.09179): `s_e = cos(x P, v_e) / tau`.

use super::common;
use crate::error::{check_positive, check_top_k};
use crate::parts::{gather_weights, take_best};
use crate::{
    BalanceConfig, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`CosineRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CosineRouterConfig {
    /// The number of experts a token. Default: 1
    pub top_k: usize,
    /// The width that tokens are projected to; 0 means half the number of experts, at least 2.
    /// Default: 0
    pub d_routing: usize,
    /// Divisor of the cosines before training. Default: 0.3
    pub temperature: f64,
}

/// Each token takes the `k` experts of smallest angle in a narrow space, weighted by their share of a
/// softmax over all experts. Lengths do not count, so tokens are not drawn to the experts' embeddings.
///
/// The temperature is trained by its logarithm, so that it stays above zero.
#[derive(Module, Debug)]
pub struct CosineRouter {
    /// The projection of tokens, `[d_model, d_routing]`.
    pub projection: Linear,
    /// The embeddings of the experts, `[d_routing, n_experts]`.
    pub experts: Linear,
    /// The logarithm of the temperature, `[1]`.
    pub log_temperature: Param<Tensor<1>>,
    /// The number of experts a token.
    pub top_k: usize,
}

impl CosineRouterConfig {
    fn resolved_d_routing(&self, n_experts: usize) -> usize {
        match self.d_routing {
            0 => (n_experts / 2).max(2),
            given => given,
        }
    }
}

impl Default for CosineRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 1,
            d_routing: 0,
            temperature: 0.3,
        }
    }
}

impl Preset for CosineRouterConfig {
    type Router = CosineRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Chi et al. 2022",
        arxiv: "2204.09179",
        rule: "the k smallest angles in a narrow space; a learned temperature",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_positive("temperature", self.temperature)?;
        check_top_k(self.top_k, n_experts)
    }

    /// The weight of the Switch loss in the paper's training, 0.01.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            load_balance: 0.01,
            ..Default::default()
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        self.resolved_d_routing(shape.n_experts) * (shape.d_model + shape.n_experts) + 1
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> CosineRouter {
        let d_routing = self.resolved_d_routing(shape.n_experts);
        let linear = |from, to| LinearConfig::new(from, to).with_bias(false).init(device);
        CosineRouter {
            projection: linear(shape.d_model, d_routing),
            experts: linear(d_routing, shape.n_experts),
            log_temperature: Param::from_data([self.temperature.ln() as f32], device),
            top_k: self.top_k,
        }
    }
}

impl Router for CosineRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let projected_tp = self.projection.forward(input.x_td.clone());
        let cosine_te = common::cosine(projected_tp, self.experts.weight.val());
        let temperature = self.log_temperature.val().cast(DType::F32).exp();
        let logits_te = cosine_te / temperature.unsqueeze();
        let probs_te = softmax(logits_te.clone(), 1);

        let assignments = take_best(&input, &logits_te, self.top_k, None);
        let weights_a = gather_weights(&probs_te, &assignments);

        Routing::sparse(assignments, weights_a, logits_te.clone(), probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(logits_te)
            .gate(self.experts.weight.val())
    }

    fn causality(&self) -> Causality {
        CosineRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::tensor::{TensorData, Tolerance};
    use proptest::prelude::*;

    fn router(device: &Device) -> CosineRouter {
        let shape = RouterShape {
            d_model: 2,
            n_experts: 2,
            layer: 0,
        };
        let config = CosineRouterConfig {
            temperature: 0.2,
            ..Default::default()
        };
        let mut router = config.init(&shape, device);
        router.projection.weight = Param::from_tensor(Tensor::eye(2, device));
        router.experts.weight = Param::from_data([[9.0, 0.0], [0.0, 1.0]], device);
        router
    }

    #[test]
    fn lengths_do_not_count() {
        let device = Device::flex();
        let x = Tensor::from_floats([[3.0, 4.0], [30.0, 40.0]], &device);
        let routing = router(&device).route(RouterInput::new(x));
        // 3/5 and 4/5 of either token, over 0.2
        let expected = TensorData::from([[3.0f32, 4.0], [3.0, 4.0]]);
        let logits = routing.logits.to_data();
        logits.assert_approx_eq::<f32>(&expected, Tolerance::default());
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.experts(), [1, 1]);
        // the share of a softmax over both: 1 / (1 + e^-1)
        let expected = TensorData::from([0.731_058_6f32; 2]);
        let weights = plan.weights.to_data();
        weights.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn the_temperature_is_trained_and_a_zero_token_does_no_harm() {
        let device = Device::flex().autodiff();
        let router = router(&device);
        let x = Tensor::from_floats([[3.0, 4.0], [0.0, 0.0]], &device);
        let routing = router.route(RouterInput::new(x));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        let grads = plan.weights.clone().sum().backward();
        let grad = router.log_temperature.val().grad(&grads).expect("trained");
        // p = sigmoid(u / tau), u = 0.2: dp / dlog(tau) = -p (1 - p) u / tau = -0.1966119; the zero
        // token has equal scores whatever the temperature
        grad.into_data()
            .assert_approx_eq::<f32>(&TensorData::from([-0.196_611_9f32]), Tolerance::default());
        let grad = router.projection.weight.val().grad(&grads).expect("one");
        let size: f32 = grad.abs().sum().into_scalar();
        assert!(size.is_finite() && size > 0.0);
    }

    #[test]
    fn a_temperature_of_zero_is_an_error() {
        let config = CosineRouterConfig {
            temperature: 0.0,
            ..Default::default()
        };
        let error = config.validate(4).unwrap_err().to_string();
        assert!(error.contains("router.temperature = 0"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn scaling_a_token_changes_nothing(
            values in prop::collection::vec(0.1f32..2.0, 6),
            scale in 0.5f32..20.0,
        ) {
            let device = Device::flex();
            let x = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([3, 2]);
            let router = router(&device);
            let scaled = router.route(RouterInput::new(x.clone() * scale)).logits;
            let difference = router.route(RouterInput::new(x)).logits - scaled;
            let worst: f32 = difference.abs().max().into_scalar();
            prop_assert!(worst < 1e-4, "{}", worst);
        }
    }
}
