//! MoE++: experts without a network in the pool beside the others, so that an easy token need not pay
//! for `k` networks (Jin et al. 2024, arXiv 2410.07348, section 3.1):
//! `E_zero(x) = 0`, `E_copy(x) = x`, `E_const(x) = a_1 x + a_2 v` with `[a_1, a_2] = softmax(W_c x)`.

use super::common;
use crate::error::{check_positive, check_top_k};
use crate::parts::{gather_weights, token_choice};
use crate::{
    Assignments, BalanceConfig, Bypass, Causality, Extra, Family, Preset, Router, RouterError,
    RouterInfo, RouterInput, RouterShape, Routing, VectorMix,
};
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`MoePlusPlusRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct MoePlusPlusRouterConfig {
    /// The number of experts a token, zero-computation ones included. Default: 2
    pub top_k: usize,
    /// The number of experts that return zero. Default: 1
    pub n_zero: usize,
    /// The number of experts that return the token. Default: 1
    pub n_copy: usize,
    /// The number of experts that mix the token with a vector of their own. Default: 2
    pub n_constant: usize,
    /// Weight of a zero-computation expert in the balance loss; below 1, such experts take more than the
    /// others. Default: 0.75
    pub tau: f64,
}

/// Each token takes the `k` best of all experts, weighted by their share of a softmax over all. The
/// zero-computation experts come last (zero, copy, constant), and the layer adds what they give, see
/// [`Bypass`].
///
/// Differs from the paper: no gating residual, for a router knows nothing of the layer below; and no
/// capacity, so that no token is dropped.
#[derive(Module, Debug)]
pub struct MoePlusPlusRouter {
    /// The gate, `[d_model, n_experts + Z]` with `Z` zero-computation experts.
    pub gate: Linear,
    /// The constant experts, if there are any.
    pub constants: Option<ConstantExperts>,
    /// The number of experts a token.
    pub top_k: usize,
    /// The number of experts that have a network.
    pub n_experts: usize,
    /// The number of experts that return zero.
    pub n_zero: usize,
    /// The number of experts that return the token.
    pub n_copy: usize,
    /// Weight of a zero-computation expert in the balance loss.
    pub tau: f64,
}

/// Experts that mix the token with a vector of their own.
#[derive(Module, Debug)]
pub struct ConstantExperts {
    /// The mixing weights `W_c`, `[d_model, constants * 2]`.
    pub mix: Linear,
    /// The vectors `v`, `[constants, d_model]`.
    pub values: Param<Tensor<2>>,
}

impl MoePlusPlusRouterConfig {
    fn n_free(&self) -> usize {
        self.n_zero + self.n_copy + self.n_constant
    }
}

impl Default for MoePlusPlusRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            n_zero: 1,
            n_copy: 1,
            n_constant: 2,
            tau: 0.75,
        }
    }
}

impl Preset for MoePlusPlusRouterConfig {
    type Router = MoePlusPlusRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Jin et al. 2024",
        arxiv: "2410.07348",
        rule: "top-k of experts with a network and free ones: zero, copy, constant",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_positive("tau", self.tau)?;
        check_top_k(self.top_k, n_experts + self.n_free())
    }

    /// The paper's weight of its heterogeneous loss, 0.01.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            heterogeneous: 0.01,
            ..Default::default()
        }
    }

    fn extras(&self) -> Vec<Extra> {
        vec![Extra::Gate, Extra::FreeExperts]
    }

    /// The experts with a network among the `k`, if the load is what the balance loss asks for: `k tau E /
    /// (tau E + Z)` with `Z` zero-computation experts.
    fn experts_per_token(&self, n_experts: usize) -> f64 {
        let computed = self.tau * n_experts as f64;
        self.top_k as f64 * computed / (computed + self.n_free() as f64)
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * (shape.n_experts + self.n_free() + 3 * self.n_constant)
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> MoePlusPlusRouter {
        let all = RouterShape {
            n_experts: shape.n_experts + self.n_free(),
            ..*shape
        };
        let d_model = shape.d_model;
        let constants = (self.n_constant > 0).then(|| ConstantExperts {
            mix: LinearConfig::new(d_model, 2 * self.n_constant)
                .with_bias(false)
                .init(device),
            values: Initializer::Normal {
                mean: 0.0,
                std: 1.0,
            }
            .init([self.n_constant, d_model], device),
        });
        MoePlusPlusRouter {
            gate: common::gate(&all, device),
            constants,
            top_k: self.top_k,
            n_experts: shape.n_experts,
            n_zero: self.n_zero,
            n_copy: self.n_copy,
            tau: self.tau,
        }
    }
}

impl ConstantExperts {
    /// The shares `a_1` of the token and `a_2` of the vectors, `[T, constants]` each.
    fn shares(&self, x_td: Tensor<2>) -> [Tensor<2>; 2] {
        let [n_constants, _] = self.values.dims();
        let mix = self.mix.forward(x_td).cast(DType::F32);
        let [n_tokens, _] = mix.dims();
        let mix_tz2 = softmax(mix.reshape([n_tokens, n_constants, 2]), 2);
        [0, 1].map(|i| {
            let part_tz1 = mix_tz2.clone().narrow(2, i, 1);
            part_tz1.reshape([n_tokens, n_constants])
        })
    }
}

impl MoePlusPlusRouter {
    /// Contribution of the zero-computation experts: `w_copy x + sum_z w_z (a_1z x + a_2z v_z)`.
    fn free(&self, input: &RouterInput, probs_te: &Tensor<2>, assignments: &Assignments) -> Bypass {
        let weights_te = probs_te.clone() * chosen(assignments, probs_te);
        let [n_tokens, n_experts] = probs_te.dims();
        // zero experts add nothing and have no columns here
        let first_copy = self.n_experts + self.n_zero;
        let columns = |first, n| weights_te.clone().narrow(1, first, n);
        let mut bypass = Bypass {
            n_free: n_experts - self.n_experts,
            of_token: Tensor::zeros([n_tokens, 1], &probs_te.device()),
            of_vectors: None,
            tau: self.tau,
        };
        if self.n_copy > 0 {
            bypass.of_token = columns(first_copy, self.n_copy).sum_dim(1);
        }
        if let Some(constants) = &self.constants {
            let first = first_copy + self.n_copy;
            let weights_tz = columns(first, n_experts - first);
            let [of_token_tz, of_values_tz] = constants.shares(input.x_td.clone());
            bypass.of_token = bypass.of_token + (weights_tz.clone() * of_token_tz).sum_dim(1);
            bypass.of_vectors = Some(VectorMix {
                weights: weights_tz * of_values_tz,
                vectors: constants.values.val().cast(DType::F32),
            });
        }
        bypass
    }
}

/// 1 for each pair that was chosen, else 0, `[T, E]`.
fn chosen(assignments: &Assignments, like_te: &Tensor<2>) -> Tensor<2> {
    let [n_tokens, n_experts] = like_te.dims();
    let mut mask_te = vec![0.0f32; n_tokens * n_experts];
    for (&t, &e) in assignments.tokens().iter().zip(assignments.experts()) {
        mask_te[t as usize * n_experts + e as usize] = 1.0;
    }
    Tensor::from_data(
        TensorData::new(mask_te, [n_tokens, n_experts]),
        &like_te.device(),
    )
}

impl Router for MoePlusPlusRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);

        let assignments = token_choice(&input, &common::host(&logits_te), self.top_k);
        let weights_a = gather_weights(&probs_te, &assignments);
        let free = self.free(&input, &probs_te, &assignments);

        Routing::sparse(assignments, weights_a, logits_te.clone(), probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(logits_te)
            .gate(self.gate.weight.val())
            .bypass(free)
    }

    fn causality(&self) -> Causality {
        MoePlusPlusRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_vec;
    use burn::tensor::Tolerance;
    use proptest::prelude::*;

    /// Two experts with a network, then zero, copy, and one constant; width 2.
    fn router(config: MoePlusPlusRouterConfig, device: &Device) -> MoePlusPlusRouter {
        let shape = RouterShape {
            d_model: 2,
            n_experts: 2,
            layer: 0,
        };
        config.init(&shape, device)
    }

    fn five() -> MoePlusPlusRouterConfig {
        MoePlusPlusRouterConfig {
            n_constant: 1,
            ..Default::default()
        }
    }

    #[test]
    fn free_experts_add_their_share() {
        let device = Device::flex();
        let mut router = router(five(), &device);
        // the token (1, 0) reads the gate's first row: logits ln 1, ln 1, ln 1, ln 3, ln 4 of sum 10
        let row = [0.0, 0.0, 0.0, 3.0f32.ln(), 4.0f32.ln()];
        router.gate.weight = Param::from_data([row, [0.0; 5]], &device);
        let constants = router.constants.as_mut().expect("one");
        // a = softmax(ln 3, 0) = (3/4, 1/4)
        constants.mix.weight = Param::from_data([[3.0f32.ln(), 0.0], [0.0, 0.0]], &device);
        constants.values = Param::from_data([[8.0, 4.0]], &device);

        let x = Tensor::from_floats([[1.0, 0.0]], &device);
        let routing = router.route(RouterInput::new(x.clone()));
        assert_eq!(routing.n_experts(), 5);
        assert_eq!(routing.n_computed_experts(), 2);
        assert_eq!(routing.load().kept, [0.0, 0.0, 0.0, 1.0, 1.0]);
        // copy 0.3 (1, 0); constant 0.4 (3/4 (1, 0) + 1/4 (8, 4)) = 0.4 (2.75, 1)
        let expected = TensorData::from([[1.4f32, 0.4]]);
        let bypass = routing.bypass.expect("free experts");
        bypass
            .output(x)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn gradients_reach_everything() {
        let device = Device::flex().autodiff();
        let config = MoePlusPlusRouterConfig { top_k: 5, ..five() };
        let router = router(config, &device);
        let x = Tensor::from_floats([[1.0, -0.5], [0.3, 0.7]], &device).require_grad();
        let routing = router.route(RouterInput::new(x.clone()));
        let output = routing.bypass.expect("free experts").output(x.clone());
        let grads = (output * Tensor::from_floats([[1.0, 2.0], [3.0, 5.0]], &device))
            .sum()
            .backward();
        let constants = router.constants.as_ref().expect("one");
        for tensor in [
            router.gate.weight.val(),
            constants.mix.weight.val(),
            constants.values.val(),
            x,
        ] {
            let grad = tensor.grad(&grads).expect("a gradient");
            let size: f32 = grad.abs().sum().into_scalar();
            assert!(size > 0.0);
        }
    }

    #[test]
    fn without_free_experts_nothing_is_added() {
        let device = Device::flex();
        let config = MoePlusPlusRouterConfig {
            n_zero: 0,
            n_copy: 0,
            n_constant: 0,
            ..Default::default()
        };
        assert_eq!(config.experts_per_token(8), 2.0);
        let x = Tensor::ones([3, 2], &device);
        let routing = router(config, &device).route(RouterInput::new(x.clone()));
        assert_eq!(routing.n_computed_experts(), 2);
        let output = to_vec(routing.bypass.expect("none, but there").output(x));
        assert_eq!(output, [0.0; 6]);
    }

    #[test]
    fn the_expected_number_of_networks() {
        // 2 * 0.75 * 8 / (0.75 * 8 + 4) = 1.2
        assert_eq!(MoePlusPlusRouterConfig::default().experts_per_token(8), 1.2);
        let config = MoePlusPlusRouterConfig {
            tau: -1.0,
            ..Default::default()
        };
        let error = config.validate(8).unwrap_err().to_string();
        assert!(error.contains("router.tau = -1"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn padding_gets_nothing_and_every_other_token_k(
            values in prop::collection::vec(-2.0f32..2.0, 8),
            padded in 0usize..4,
        ) {
            let device = Device::flex();
            let x = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([4, 2]);
            let padding: Vec<bool> = (0..4).map(|t| t == padded).collect();
            let input = RouterInput::new(x.clone()).padding(padding.into());
            let routing = router(five(), &device).route(input);
            prop_assert_eq!(routing.load().kept.iter().sum::<f64>(), 6.0);
            let output = to_vec(routing.bypass.expect("free experts").output(x));
            prop_assert_eq!(&output[2 * padded..2 * padded + 2], &[0.0, 0.0]);
        }
    }
}
