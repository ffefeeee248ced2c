//! GShard's router: the two best experts, the second one at random (Lepikhin et al. 2020, arXiv
//! 2006.16668, section 2.2 and algorithm 1).
//!
//! ```text
//! g = softmax(x W)      w1 = g1 / (g1 + g2)      w2 = g2 / (g1 + g2)
//! the second expert is taken with probability min(1, 2 w2)      C = 2 M f / E
//! ```

use super::common;
use crate::error::{check_pair, check_positive};
use crate::parts::{Capacity, CapacityRule, Pair, best_pair, uniform_unit};
use crate::{
    BalanceConfig, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`GShardRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct GShardRouterConfig {
    /// The capacity of an expert relative to a balanced load of two experts a token. Default: 1.0
    pub capacity_factor: f64,
}

/// Each token takes its best expert, and its second best with a probability of twice its weight. All
/// first choices of a group are served before any second choice.
///
/// Differs from the paper: in evaluation, where nothing is drawn, the second expert is always taken.
#[derive(Module, Debug)]
pub struct GShardRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The capacity of an expert relative to a balanced load.
    pub capacity_factor: f64,
}

impl Default for GShardRouterConfig {
    fn default() -> Self {
        Self {
            capacity_factor: 1.0,
        }
    }
}

impl Preset for GShardRouterConfig {
    type Router = GShardRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Leaks(
            "buffers are filled choice by choice, so a later token's first choice comes before an earlier one's second",
        ),
        paper: "Lepikhin et al. 2020",
        arxiv: "2006.16668",
        rule: "the best expert, the second at random; dropped at capacity",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_pair(n_experts)?;
        check_positive("capacity_factor", self.capacity_factor)
    }

    /// The paper's loss, which counts first choices alone, of weight 0.01, as in Mesh TensorFlow; the paper
    /// gives none.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            first_choice: 0.01,
            ..Default::default()
        }
    }

    fn capacity_factor(&self) -> Option<f64> {
        Some(self.capacity_factor)
    }

    fn with_capacity_factor(self, capacity_factor: f64) -> Self {
        Self { capacity_factor }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        2.0
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> GShardRouter {
        GShardRouter {
            gate: common::gate(shape, device),
            capacity_factor: self.capacity_factor,
        }
    }
}

impl Router for GShardRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);
        let n_experts = logits_te.dims()[1];

        let take = |token: usize, weight: f32| match input.noise {
            Some(seed) => uniform_unit(seed, token as u64) < 2.0 * f64::from(weight),
            None => true,
        };
        let Pair {
            assignments: asked,
            weights,
        } = best_pair(&input, &probs_te, take);
        let capacity = Capacity::new(CapacityRule::Gshard, self.capacity_factor, 2);
        let capacity_g = capacity.of_groups(&input, n_experts);
        let assignments =
            common::fill_by_choice(&input, &asked, &common::host(&probs_te), &capacity_g);

        Routing::sparse(assignments, weights, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        GShardRouterConfig::INFO.causality
    }

    fn competes(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{TensorData, Tolerance};

    fn router(n: usize, device: &Device) -> GShardRouter {
        let mut router = GShardRouterConfig::default().init(&shape(n), device);
        router.gate = identity_gate(n, device);
        router
    }

    #[test]
    fn evaluation_takes_the_normalised_pair() {
        let device = Device::flex();
        // gates 1/2, 1/4, 1/4: the pair has 2/3 and 1/3
        let x = rows(&[2.0f32.ln(), 0.0, 0.0], 3, &device);
        let routing = router(3, &device).route(RouterInput::new(x));
        // C = 1 for one token, and its two experts are two
        assert_eq!(experts(&routing), [0, 1]);
        let expected = TensorData::from([2.0f32 / 3.0, 1.0 / 3.0]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn training_takes_the_second_with_twice_its_weight() {
        let device = Device::flex();
        let n_tokens = 4000;
        // gates 0.7 and 0.1: weights 0.875 and 0.125, so a quarter of the tokens takes the second
        let logits = [0.7f32.ln(), 0.1f32.ln(), 0.1f32.ln(), 0.1f32.ln()];
        let x = rows(&logits.repeat(n_tokens), 4, &device);
        let routing = router(4, &device).route(RouterInput::new(x).noise(Some(5)));
        let n = experts(&routing).len();
        let share = (n - n_tokens) as f64 / n_tokens as f64;
        assert!((share - 0.25).abs() < 0.03, "{share}"); // standard error 0.007
    }

    #[test]
    fn an_even_pair_is_always_taken() {
        let device = Device::flex();
        let x = rows(&[0.0; 128], 2, &device);
        let routing = router(2, &device).route(RouterInput::new(x).noise(Some(5)));
        assert_eq!(experts(&routing).len(), 128);
    }

    #[test]
    fn second_choices_find_what_first_choices_left() {
        let device = Device::flex();
        // C = int(2 * 4 * 1 / 8) = 1
        let mut x = vec![0.0; 32];
        for (token, best) in [0, 0, 1, 2].into_iter().enumerate() {
            x[token * 8 + best] = 2.0;
            x[token * 8 + 1] += 1.0;
        }
        let routing = router(8, &device).route(RouterInput::new(rows(&x, 8, &device)));
        assert_eq!(experts(&routing), [0, 1, 0, 1, 1, 0, 2, 1]);
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        // expert 0 is token 0's, expert 1 token 2's first choice, expert 2 token 3's
        let expected = [true, false, false, false, true, false, true, false];
        assert_eq!(plan.assignments.kept(), expected);
    }

    #[test]
    fn one_expert_is_too_few() {
        let error = GShardRouterConfig::default()
            .validate(1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("experts.n_experts = 1"), "{error}");
    }
}
