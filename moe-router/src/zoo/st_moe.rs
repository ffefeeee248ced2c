//! ST-MoE's router: the two best experts, the second one if it weighs enough, and a z-loss (Zoph et al.
//! 2022, arXiv 2202.08906, sections 2 and 3.3, and Mesh TensorFlow, which trained it).
//!
//! ```text
//! g = softmax(x W)      w1 = g1 / (g1 + g2)      w2 = g2 / (g1 + g2)
//! the second expert is taken with probability min(1, w2 / threshold)      C = int(M f / E)
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

/// Configuration to create a [`StMoeRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct StMoeRouterConfig {
    /// The weight from which on the second expert is surely taken. Default: 0.2
    pub threshold: f64,
    /// The capacity of an expert in training, relative to a balanced load of one expert a token.
    /// Default: 1.25
    pub capacity_factor: f64,
    /// The same in evaluation. Default: 2.0
    pub eval_capacity_factor: f64,
    /// The least capacity. Default: 4
    pub min_capacity: usize,
}

/// Each token takes its best expert, and its second best with a probability that grows with its weight.
/// All first choices of a group are served before any second choice.
///
/// Differs from the code that trained it: in evaluation, where nothing is drawn, the second expert is
/// taken if its weight is above the threshold.
#[derive(Module, Debug)]
pub struct StMoeRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The values it was configured with.
    #[module(skip)]
    pub config: StMoeRouterConfig,
}

impl Default for StMoeRouterConfig {
    fn default() -> Self {
        Self {
            threshold: 0.2,
            capacity_factor: 1.25,
            eval_capacity_factor: 2.0,
            min_capacity: 4,
        }
    }
}

impl Preset for StMoeRouterConfig {
    type Router = StMoeRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Leaks(
            "buffers are filled choice by choice, so a later token's first choice comes before an earlier one's second",
        ),
        paper: "Zoph et al. 2022",
        arxiv: "2202.08906",
        rule: "the best expert, the second above a threshold; z-loss",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_pair(n_experts)?;
        check_positive("threshold", self.threshold)?;
        check_positive("capacity_factor", self.capacity_factor)?;
        check_positive("eval_capacity_factor", self.eval_capacity_factor)
    }

    /// The paper's weights: 0.01 of the load balance loss, which counts first choices alone as in Mesh
    /// TensorFlow, and 0.001 of the z-loss.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            first_choice: 0.01,
            z: 0.001,
            ..Default::default()
        }
    }

    fn capacity_factor(&self) -> Option<f64> {
        Some(self.eval_capacity_factor)
    }

    fn with_capacity_factor(self, capacity_factor: f64) -> Self {
        Self {
            eval_capacity_factor: capacity_factor,
            ..self
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        2.0
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> StMoeRouter {
        StMoeRouter {
            gate: common::gate(shape, device),
            config: self.clone(),
        }
    }
}

impl StMoeRouter {
    fn capacity(&self, input: &RouterInput) -> Capacity {
        let factor = match input.noise {
            Some(_) => self.config.capacity_factor,
            None => self.config.eval_capacity_factor,
        };
        Capacity::new(CapacityRule::Mesh, factor, 2).minimum(self.config.min_capacity)
    }
}

impl Router for StMoeRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);
        let n_experts = logits_te.dims()[1];

        let take = |token: usize, weight: f32| {
            let ratio = f64::from(weight) / self.config.threshold;
            match input.noise {
                Some(seed) => uniform_unit(seed, token as u64) < ratio,
                None => ratio > 1.0,
            }
        };
        let Pair {
            assignments: asked,
            weights,
        } = best_pair(&input, &probs_te, take);
        let capacity_g = self.capacity(&input).of_groups(&input, n_experts);
        let assignments =
            common::fill_by_choice(&input, &asked, &common::host(&probs_te), &capacity_g);

        Routing::sparse(assignments, weights, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        StMoeRouterConfig::INFO.causality
    }

    fn competes(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{TensorData, Tolerance};

    fn router(device: &Device) -> StMoeRouter {
        let mut router = StMoeRouterConfig::default().init(&shape(3), device);
        router.gate = identity_gate(3, device);
        router
    }

    #[test]
    fn evaluation_takes_the_second_above_the_threshold() {
        let device = Device::flex();
        // weights of the second: 1 / (1 + e) = 0.2689, above 0.2; 1 / (1 + e^2) = 0.1192, below
        let x = rows(&[1.0, 0.0, -9.0, 2.0, 0.0, -9.0], 3, &device);
        let routing = router(&device).route(RouterInput::new(x));
        assert_eq!(experts(&routing), [0, 1, 0]);
        // the first keeps its share of the pair, with or without the second
        let expected = TensorData::from([0.7310586f32, 0.2689414, 0.8807971]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn training_takes_the_second_in_proportion_below_the_threshold() {
        let device = Device::flex();
        let n_tokens = 4000;
        // weights 0.95 and 0.05: a quarter of the threshold
        let logits = [0.95f32.ln(), 0.05f32.ln(), -20.0];
        let x = rows(&logits.repeat(n_tokens), 3, &device);
        let routing = router(&device).route(RouterInput::new(x).noise(Some(5)));
        let share = (experts(&routing).len() - n_tokens) as f64 / n_tokens as f64;
        assert!((share - 0.25).abs() < 0.03, "{share}"); // standard error 0.007
    }

    #[test]
    fn evaluation_has_more_room() {
        let device = Device::flex();
        // 12 tokens of one expert of 3: int(12 * 1.25 / 3) = 5 places, in evaluation int(12 * 2 / 3) = 8
        let x = rows(&[9.0, 0.0, 0.0].repeat(12), 3, &device);
        let kept = |noise| {
            let routing = router(&device).route(RouterInput::new(x.clone()).noise(noise));
            routing.load().kept[0]
        };
        assert_eq!(kept(Some(1)), 5.0);
        assert_eq!(kept(None), 8.0);
    }

    #[test]
    fn a_threshold_of_zero_is_an_error() {
        let config = StMoeRouterConfig {
            threshold: 0.0,
            ..Default::default()
        };
        let error = config.validate(8).unwrap_err().to_string();
        assert!(error.contains("router.threshold = 0"), "{error}");
    }
}
