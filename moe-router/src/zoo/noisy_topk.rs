//! Noisy top-k gating with trainable noise (Shazeer et al. 2017, arXiv 1701.06538, equations 3 to 5).

use super::common;
use crate::error::check_top_k;
use crate::parts::{Normalise, softplus, take_best};
use crate::{
    BalanceConfig, Causality, Extra, Family, NoisyLogits, Preset, Router, RouterError, RouterInfo,
    RouterInput, RouterShape, Routing,
};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`NoisyTopKRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct NoisyTopKRouterConfig {
    /// The number of experts a token. Default: 2
    pub top_k: usize,
}

/// `H = x W_g + StandardNormal * Softplus(x W_noise)`; softmax over the `k` largest of `H`. The noise
/// acts in training alone. `W_noise` starts at zero. Differs from the paper (appendix A): `W_g` does
/// not.
#[derive(Module, Debug)]
pub struct NoisyTopKRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The scale of the noise, `[d_model, n_experts]`.
    pub noise: Param<Tensor<2>>,
    /// The number of experts a token.
    pub top_k: usize,
}

impl Default for NoisyTopKRouterConfig {
    fn default() -> Self {
        Self { top_k: 2 }
    }
}

impl Preset for NoisyTopKRouterConfig {
    type Router = NoisyTopKRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Shazeer et al. 2017",
        arxiv: "1701.06538",
        rule: "softmax over the top-k of scores with trainable noise",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)
    }

    /// The paper's `w_importance` and `w_load` of its language models, 0.1 each (appendix C.1).
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            importance: 0.1,
            load: 0.1,
            ..Default::default()
        }
    }
    fn extras(&self) -> Vec<Extra> {
        vec![Extra::Gate, Extra::Noise]
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        2 * shape.d_model * shape.n_experts
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> NoisyTopKRouter {
        let shape_de = [shape.d_model, shape.n_experts];
        NoisyTopKRouter {
            gate: common::gate(shape, device),
            noise: Param::from_tensor(Tensor::zeros(shape_de, device)),
            top_k: self.top_k,
        }
    }
}

impl Router for NoisyTopKRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let clean_te = common::logits(&self.gate, &input);
        let [_, n_experts] = clean_te.dims();
        let noisy = common::noise(&input, n_experts, 1.0).map(|noise_te| {
            let raw_te = input.x_td.clone().matmul(self.noise.val());
            let std_te = softplus(raw_te.cast(DType::F32));
            NoisyLogits {
                logits: clean_te.clone() + noise_te * std_te.clone(),
                std: std_te,
            }
        });
        let scores_te = noisy.as_ref().map_or(&clean_te, |noisy| &noisy.logits);
        let ranking_te = scores_te.clone();

        let assignments = take_best(&input, scores_te, self.top_k, None);
        // softmax(KeepTopK(H, k)): the others are at -inf, so the k kept are all that there is
        let weights_a = Normalise::Softmax.weights(scores_te, scores_te, &assignments);

        Routing::sparse(assignments, weights_a, clean_te, None)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(ranking_te)
            .gate(self.gate.weight.val())
            .noisy(noisy)
    }

    fn causality(&self) -> Causality {
        NoisyTopKRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;

    fn router(device: &Device) -> NoisyTopKRouter {
        let shape = RouterShape {
            d_model: 4,
            n_experts: 4,
            layer: 0,
        };
        let mut router = NoisyTopKRouterConfig::default().init(&shape, device);
        router.gate.weight = Param::from_tensor(Tensor::eye(4, device));
        router
    }

    #[test]
    fn noise_has_the_std_of_softplus_and_acts_in_training_alone() {
        let device = Device::flex();
        let x = Tensor::from_floats([[4.0, 3.0, 2.0, 1.0]], &device);
        let router = router(&device);

        let clean = router.route(RouterInput::new(x.clone()));
        assert!(clean.noisy.is_none());
        let Plan::Sparse(plan) = &clean.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.experts(), [0, 1]);

        let noisy = router.route(RouterInput::new(x).noise(Some(7))).noisy;
        let noisy = noisy.expect("noise in training");
        // W_noise = 0: softplus(0) = ln 2
        let std: f32 = noisy.std.max().into_scalar();
        assert!((std - std::f32::consts::LN_2).abs() < 1e-6);
    }

    #[test]
    fn the_noise_scale_is_trained() {
        let device = Device::flex().autodiff();
        let x = Tensor::from_floats([[0.4, 0.3, 0.2, 0.1], [0.1, 0.0, 0.3, 0.2]], &device);
        let router = router(&device);
        let routing = router.route(RouterInput::new(x).noise(Some(7)));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        let grads = plan.weights.clone().powi_scalar(2).sum().backward();
        let grad = router.noise.val().grad(&grads).expect("a gradient");
        let size: f32 = grad.abs().sum().into_scalar();
        assert!(size > 0.0);
    }
}
