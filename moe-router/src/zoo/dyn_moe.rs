//! DynMoE's top-any gating: an expert fires if a token's score exceeds the expert's own threshold
//! (Guo et al. 2024, arXiv 2405.14297, section 3.1): `g_e = sign(sigmoid(cos(x, w_e)) -
//! sigmoid(theta_e))`, `y = 1 / k sum over the fired of E_e(x)` with `k` of them.

use super::common;
use crate::parts::{gather_weights, top_k};
use crate::{
    Assignments, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, activation::sigmoid};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`DynMoeRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct DynMoeRouterConfig {
    /// The thresholds `theta` before training: a cosine, which a token must exceed. Default: 0.0
    pub threshold: f64,
}

/// Each token takes the experts whose threshold its score exceeds, all with the same weight `1 / k`; a
/// token that fires none takes its best expert.
///
/// The sign has no gradient, so the weight passes its own straight to the margin `sigmoid(cos) -
/// sigmoid(theta)` (the paper's straight-through estimator); `k` is held constant. Thus a threshold falls
/// while its expert helps those that fire it. Differs from the paper: the number of experts is fixed, so
/// the best expert stands in while training too, where the paper adds experts for such tokens; and its
/// loss on the likeness and the size of the `w_e` is left out (`balance.orthogonality` comes close).
#[derive(Module, Debug)]
pub struct DynMoeRouter {
    /// The directions of the experts, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The thresholds `theta`, `[n_experts]`.
    pub threshold: Param<Tensor<1>>,
}

impl Default for DynMoeRouterConfig {
    fn default() -> Self {
        Self { threshold: 0.0 }
    }
}

impl Preset for DynMoeRouterConfig {
    type Router = DynMoeRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Guo et al. 2024",
        arxiv: "2405.14297",
        rule: "every expert whose trained threshold the cosine exceeds",
    };

    fn validate(&self, _n_experts: usize) -> Result<(), RouterError> {
        if (-1.0..=1.0).contains(&self.threshold) {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "threshold",
            value: self.threshold,
            range: "a cosine, from -1 to 1",
        })
    }

    /// Half of the experts: so many are within a right angle of a token, where the thresholds start by
    /// default. Training moves it.
    fn experts_per_token(&self, n_experts: usize) -> f64 {
        (n_experts as f64 / 2.0).max(1.0)
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        (shape.d_model + 1) * shape.n_experts
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> DynMoeRouter {
        let threshold = Tensor::<1>::full([shape.n_experts], self.threshold, device);
        DynMoeRouter {
            gate: common::gate(shape, device),
            threshold: Param::from_tensor(threshold),
        }
    }
}

/// Experts that fire for each token, and their number for the token of each assignment.
struct Fired {
    assignments: Assignments,
    k_a: Vec<f32>,
}

fn fire(input: &RouterInput, margin_te: &[f32], n_experts: usize) -> Fired {
    let mut fired = Fired {
        assignments: Assignments::default(),
        k_a: Vec::new(),
    };
    for (t, margin_e) in margin_te.chunks(n_experts).enumerate() {
        if input.is_padding(t) {
            continue;
        }
        let mut experts: Vec<u32> = (0..n_experts as u32)
            .filter(|&e| margin_e[e as usize] > 0.0)
            .collect();
        if experts.is_empty() {
            experts = top_k(margin_e, 1);
        }
        for &expert in &experts {
            fired.assignments.push(t as u32, expert);
            fired.k_a.push(experts.len() as f32);
        }
    }
    fired
}

impl Router for DynMoeRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::cosine(input.x_td.clone(), self.gate.weight.val());
        let affinity_te = sigmoid(logits_te.clone());
        let threshold_e = sigmoid(self.threshold.val().cast(DType::F32));
        let margin_te = affinity_te.clone() - threshold_e.unsqueeze();
        let n_experts = logits_te.dims()[1];

        let fired = fire(&input, &common::host(&margin_te), n_experts);
        let margin_a = gather_weights(&margin_te, &fired.assignments);
        let k_a = Tensor::<1>::from_floats(fired.k_a.as_slice(), &margin_a.device());
        // 1 in value, the margin in gradient
        let weights_a = (margin_a.clone() - margin_a.detach() + 1.0) / k_a;
        let probs_te = affinity_te.clone() / affinity_te.sum_dim(1);

        Routing::sparse(fired.assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        DynMoeRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, to_vec};
    use burn::tensor::{TensorData, Tolerance};
    use proptest::prelude::*;

    fn router(device: &Device) -> DynMoeRouter {
        let shape = RouterShape {
            d_model: 2,
            n_experts: 3,
            layer: 0,
        };
        let mut router = DynMoeRouterConfig::default().init(&shape, device);
        // directions at 0, 90 and 180 degrees
        router.gate.weight = Param::from_data([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]], device);
        router.threshold = Param::from_data([0.5, 0.5, 0.9], device);
        router
    }

    #[test]
    fn all_that_exceed_their_threshold_share_a_token_and_the_best_stands_in() {
        let device = Device::flex();
        // cosines 0.6, 0.8, -0.6; then -0.6, -0.8, 0.6, whose best margin is the third's
        let x = Tensor::from_floats([[3.0, 4.0], [-3.0, -4.0]], &device);
        let routing = router(&device).route(RouterInput::new(x));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.tokens(), [0, 0, 1]);
        assert_eq!(plan.assignments.experts(), [0, 1, 2]);
        let weights = plan.weights.to_data();
        weights.assert_eq(&TensorData::from([0.5f32, 0.5, 1.0]), true);
    }

    #[test]
    fn the_thresholds_are_trained_straight_through() {
        let device = Device::flex().autodiff();
        let router = router(&device);
        let x = Tensor::from_floats([[3.0, 4.0]], &device);
        let routing = router.route(RouterInput::new(x));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        let grads = plan.weights.clone().sum().backward();
        let grad = router.threshold.val().grad(&grads).expect("trained");
        // -sigmoid'(0.5) / k = -0.2350037 / 2 for the two that fired, nothing for the third
        let expected = TensorData::from([-0.117_501_86f32, -0.117_501_86, 0.0]);
        grad.into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn a_threshold_that_no_cosine_reaches_is_an_error() {
        let error = DynMoeRouterConfig { threshold: 2.0 }
            .validate(4)
            .unwrap_err();
        assert!(
            error.to_string().contains("router.threshold = 2"),
            "{error}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_token_has_an_expert_and_its_weights_sum_to_one(
            values in prop::collection::vec(-2.0f32..2.0, 10),
        ) {
            let device = Device::flex();
            let x = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([5, 2]);
            let routing = router(&device).route(RouterInput::new(x));
            let Plan::Sparse(plan) = &routing.plan else {
                panic!("a sparse plan");
            };
            let mut sums = [0.0f32; 5];
            for (&t, w) in plan.assignments.tokens().iter().zip(to_vec(plan.weights.clone())) {
                sums[t as usize] += w;
            }
            prop_assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-6), "{:?}", sums);
        }
    }
}
