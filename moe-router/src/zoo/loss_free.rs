//! Loss-free balancing: a bias on the choice, moved after each step by the sign of the load's error, in
//! place of an auxiliary loss (Wang et al. 2024, arXiv 2408.15664, equation 3 and algorithm 1).
//!
//! ```text
//! g_te = s_te if s_te + b_e is among the k largest of t, else 0
//! b_e += u * sign(mean load - load_e)      after each step
//! ```

use super::common;
use crate::error::{check_not_negative, check_top_k};
use crate::parts::{
    Affinity, Normalise, Score, choice_bias, gather_weights, normalise_per_token, step_by_sign,
    take_best,
};
use crate::{
    Causality, Family, Load, Preset, Router, RouterError, RouterInfo, RouterInput, RouterShape,
    Routing, TokenChoice,
};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`LossFreeRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LossFreeRouterConfig {
    /// The number of experts a token. Default: 2 (the paper: 6 of 64)
    pub top_k: usize,
    /// The affinity: `sigmoid` or `softmax`. Default: sigmoid
    pub affinity: Affinity,
    /// Divide the chosen weights by their sum, if there are at least two. Default: false
    pub norm_topk_prob: bool,
    /// Move of the bias in a step, `u`. Default: 0.001
    pub bias_update_speed: f64,
}

/// Each token takes the `k` experts of largest biased affinity, weighted by the affinities without the
/// bias. There are no groups; with them, and with scaled weights, see
/// [`DeepSeekV3Router`](super::DeepSeekV3Router).
#[derive(Module, Debug)]
pub struct LossFreeRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The bias of the choice `[n_experts]`: not trained by gradients, see [`Router::advance`].
    pub bias: Param<Tensor<1>>,
    /// The number of experts a token.
    pub top_k: usize,
    /// The affinity.
    #[module(skip)]
    pub affinity: Affinity,
    /// Divides the chosen weights by their sum.
    pub norm_topk_prob: bool,
    /// Move of the bias in a step.
    pub bias_update_speed: f64,
}

impl Default for LossFreeRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            affinity: Affinity::Sigmoid,
            norm_topk_prob: false,
            bias_update_speed: 0.001,
        }
    }
}

impl Preset for LossFreeRouterConfig {
    type Router = LossFreeRouter;

    /// Causal: a token's experts depend on that token and on the loads of earlier steps.
    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Wang et al. 2024",
        arxiv: "2408.15664",
        rule: "top-k of biased affinities; the bias moves by the sign of the load's error",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)?;
        check_not_negative("bias_update_speed", self.bias_update_speed)
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * shape.n_experts + shape.n_experts
    }

    fn token_choice(&self, _n_experts: usize, _group_size: usize) -> Option<TokenChoice> {
        let score = match self.affinity {
            Affinity::Sigmoid => Score::Sigmoid,
            Affinity::Softmax => Score::Softmax,
        };
        Some(TokenChoice {
            normalise: Normalise::by_sum(self.norm_topk_prob && self.top_k > 1),
            ..TokenChoice::new(self.top_k, score)
        })
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> LossFreeRouter {
        LossFreeRouter {
            gate: common::gate(shape, device),
            bias: choice_bias(shape.n_experts, device),
            top_k: self.top_k,
            affinity: self.affinity,
            norm_topk_prob: self.norm_topk_prob,
            bias_update_speed: self.bias_update_speed,
        }
    }
}

impl Router for LossFreeRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let affinity_te = self.affinity.forward(logits_te.clone());

        // the bias chooses alone: weights are gathered from the affinities without it
        let ranking_te = affinity_te.clone().detach() + self.bias.val().detach().unsqueeze();
        let assignments = take_best(&input, &ranking_te, self.top_k, None);
        let mut weights_a = gather_weights(&affinity_te, &assignments);
        if self.norm_topk_prob && self.top_k > 1 {
            weights_a = normalise_per_token(weights_a, self.top_k, 1e-20);
        }
        let probs_te = self.affinity.distribution(&affinity_te);

        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(ranking_te)
            .gate(self.gate.weight.val())
            .selection_bias(self.bias.val())
    }

    fn causality(&self) -> Causality {
        LossFreeRouterConfig::INFO.causality
    }

    /// The sign rule on the step's load, [`step_by_sign`].
    fn advance(mut self, load: &Load) -> Self {
        self.bias = step_by_sign(self.bias, load, self.bias_update_speed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{TensorData, Tolerance};
    use proptest::prelude::*;

    fn router(config: &LossFreeRouterConfig, bias: [f32; 3]) -> LossFreeRouter {
        let device = Device::flex();
        let mut router = config.init(&shape(3), &device);
        router.gate = identity_gate(3, &device);
        router.bias = router
            .bias
            .map(|old| Tensor::from_floats(bias, &old.device()));
        router
    }

    fn route(router: &LossFreeRouter, logits: &[f32]) -> Routing {
        router.route(RouterInput::new(rows(logits, 3, &Device::flex())))
    }

    const LN3: f32 = 1.098_612_3;

    #[test]
    fn the_bias_chooses_and_does_not_weigh() {
        // sigmoids 3/4, 1/2, 1/4; biased 0.75, 0.5, 0.85
        let router = router(&LossFreeRouterConfig::default(), [0.0, 0.0, 0.6]);
        let routing = route(&router, &[LN3, 0.0, -LN3]);
        assert_eq!(experts(&routing), [2, 0]);
        let expected = TensorData::from([0.25f32, 0.75]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn softmax_affinities_and_renormalised_weights() {
        let config = LossFreeRouterConfig {
            affinity: Affinity::Softmax,
            norm_topk_prob: true,
            ..Default::default()
        };
        // softmax 3/5, 1/5, 1/5: the chosen two renormalise to 3/4 and 1/4
        let routing = route(&router(&config, [0.0; 3]), &[LN3, 0.0, 0.0]);
        assert_eq!(experts(&routing), [0, 1]);
        let expected = TensorData::from([0.75f32, 0.25]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn steps_bring_a_skewed_load_to_balance() {
        let config = LossFreeRouterConfig {
            top_k: 1,
            bias_update_speed: 0.01,
            ..Default::default()
        };
        // all tokens prefer expert 0, in different degrees
        let logits: Vec<f32> = (0..30)
            .flat_map(|t| [1.0, 0.03 * t as f32, 0.9 - 0.03 * t as f32])
            .collect();
        let mut router = router(&config, [0.0; 3]);
        assert_eq!(route(&router, &logits).load().kept, [30.0, 0.0, 0.0]);
        for _ in 0..60 {
            let load = route(&router, &logits).load();
            router = router.advance(&load);
        }
        let kept = route(&router, &logits).load().kept;
        assert!(kept.iter().all(|&n| (7.0..=13.0).contains(&n)), "{kept:?}");
    }

    #[test]
    fn values_out_of_range_are_errors_that_name_the_key() {
        let error = |config: LossFreeRouterConfig| config.validate(8).unwrap_err().to_string();
        let top_k = LossFreeRouterConfig {
            top_k: 9,
            ..Default::default()
        };
        assert!(error(top_k).contains("router.top_k = 9"));
        let speed = |bias_update_speed| LossFreeRouterConfig {
            bias_update_speed,
            ..Default::default()
        };
        assert!(error(speed(-5.0)).contains("router.bias_update_speed = -5"));
        assert!(error(speed(f64::NAN)).contains("router.bias_update_speed = NaN"));
        assert!(speed(0.0).validate(8).is_ok()); // a bias that stays as it is
    }

    proptest! {
        #[test]
        fn splitting_a_step_into_micro_batches_moves_the_bias_alike(
            logits in prop::collection::vec(-3.0f32..3.0, 6..60),
            split in 1usize..9,
        ) {
            let logits = &logits[..logits.len() / 3 * 3];
            let split = split.min(logits.len() / 3 - 1) * 3;
            let router = router(&LossFreeRouterConfig::default(), [0.1, 0.0, -0.1]);
            let whole = route(&router, logits).load();
            let parts = route(&router, &logits[..split]).load()
                .merge(&route(&router, &logits[split..]).load());
            let bias = |load| router.clone().advance(load).bias.val().into_data();
            prop_assert_eq!(bias(&whole), bias(&parts));
        }
    }
}
