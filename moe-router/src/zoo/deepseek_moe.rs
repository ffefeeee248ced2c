//! DeepSeekMoE's router: softmax over all experts, the `k` largest probabilities as they are (Dai et al.
//! 2024, arXiv 2401.06066, equations 9 to 11).
//!
//! ```text
//! s_te = softmax_e(x_t W)      g_te = s_te if e is among the k largest of t, else 0
//! ```
//!
//! The shared experts of the paper are not routed to: they belong to the expert layer.

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

/// Configuration to create a [`DeepSeekMoeRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct DeepSeekMoeRouterConfig {
    /// The number of experts a token. Default: 2 (the released model: 6 of 64)
    pub top_k: usize,
    /// Divide the chosen weights by their sum, if there are at least two. Default: false
    pub norm_topk_prob: bool,
}

/// Each token takes its `k` best experts, weighted by their probabilities among all experts, which sum
/// to less than 1 unless they are renormalised.
///
/// Differs from the released code: the scores are f32 whatever the model's type.
#[derive(Module, Debug)]
pub struct DeepSeekMoeRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The number of experts a token.
    pub top_k: usize,
    /// Divides the chosen weights by their sum.
    pub norm_topk_prob: bool,
}

impl Default for DeepSeekMoeRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            norm_topk_prob: false,
        }
    }
}

impl Preset for DeepSeekMoeRouterConfig {
    type Router = DeepSeekMoeRouter;

    /// Causal: a token's experts depend on that token alone.
    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Dai et al. 2024",
        arxiv: "2401.06066",
        rule: "the k largest probabilities, as they are",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)
    }

    /// The expert-level loss within each sequence, weight 0.001: the released 16B configuration.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            expert: 0.001,
            ..Default::default()
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn token_choice(&self, _n_experts: usize, _group_size: usize) -> Option<TokenChoice> {
        Some(TokenChoice {
            normalise: Normalise::by_sum(self.norm_topk_prob && self.top_k > 1),
            ..TokenChoice::new(self.top_k, Score::Softmax)
        })
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> DeepSeekMoeRouter {
        DeepSeekMoeRouter {
            gate: common::gate(shape, device),
            top_k: self.top_k,
            norm_topk_prob: self.norm_topk_prob,
        }
    }
}

impl Router for DeepSeekMoeRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);

        let assignments = take_best(&input, &probs_te, self.top_k, None);
        let mut weights_a = gather_weights(&probs_te, &assignments);
        if self.norm_topk_prob && self.top_k > 1 {
            weights_a = normalise_per_token(weights_a, self.top_k, 1e-20);
        }
        Routing::sparse(assignments, weights_a, logits_te, probs_te.clone())
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(probs_te)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        DeepSeekMoeRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{TensorData, Tolerance};
    use proptest::prelude::*;

    fn route(config: &DeepSeekMoeRouterConfig, logits: &[f32]) -> Routing {
        let device = Device::flex();
        let mut router = config.init(&shape(4), &device);
        router.gate = identity_gate(4, &device);
        router.route(RouterInput::new(rows(logits, 4, &device)))
    }

    /// The logarithms of 1, 2, 3 and 4: the probabilities are 0.1, 0.2, 0.3 and 0.4.
    const X: [f32; 4] = [0.0, std::f32::consts::LN_2, 1.098_612_3, 1.386_294_4];

    #[test]
    fn weights_are_the_probabilities_as_they_are() {
        let routing = route(&DeepSeekMoeRouterConfig::default(), &X);
        assert_eq!(experts(&routing), [3, 2]);
        let expected = TensorData::from([0.4f32, 0.3]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn renormalised_weights_sum_to_one_and_a_single_expert_is_left_alone() {
        let config = |top_k| DeepSeekMoeRouterConfig {
            top_k,
            norm_topk_prob: true,
        };
        // 0.4 / 0.7, 0.3 / 0.7
        let expected = TensorData::from([0.571_428_6f32, 0.428_571_4]);
        weights(&route(&config(2), &X))
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
        weights(&route(&config(1), &X))
            .assert_approx_eq::<f32>(&TensorData::from([0.4f32]), Tolerance::absolute(1e-6));
    }

    #[test]
    fn top_k_out_of_range_is_an_error_that_names_the_key() {
        let error = |top_k| {
            let config = DeepSeekMoeRouterConfig {
                top_k,
                ..Default::default()
            };
            config.validate(8).unwrap_err().to_string()
        };
        assert!(error(9).contains("router.top_k = 9"));
        assert!(error(0).contains("router.top_k = 0"));
    }

    proptest! {
        #[test]
        fn each_token_gets_k_experts_none_of_them_worse_than_one_left_out(
            logits in prop::collection::vec((-4i8..5).prop_map(f32::from), 4..40),
            top_k in 1usize..5,
        ) {
            let logits = &logits[..logits.len() / 4 * 4];
            let config = DeepSeekMoeRouterConfig { top_k, norm_topk_prob: false };
            let routing = route(&config, logits);
            for (row, chosen) in logits.chunks(4).zip(experts(&routing).chunks(top_k)) {
                let worst = chosen.iter().map(|&e| row[e as usize]).fold(f32::MAX, f32::min);
                let left_out = (0..4u32).filter(|e| !chosen.contains(e));
                for e in left_out {
                    prop_assert!(row[e as usize] <= worst);
                }
            }
            let sums: Vec<f32> = weights(&routing).try_into_vec::<f32>().unwrap()
                .chunks(top_k).map(|w| w.iter().sum()).collect();
            prop_assert!(sums.iter().all(|&sum| sum > 0.0 && sum < 1.0 + 1e-5));
        }
    }
}
