//! V-MoE's router: noisy softmax gates, not renormalised, with an order of priority by gate as an option
//! (Riquelme et al. 2021, arXiv 2106.05974, equations 1 and 2, section 4.1, and its published code).
//!
//! ```text
//! z = x W      g = softmax(z + eps * noise_std / E), eps ~ N(0, 1) in training, 0 in evaluation
//! choice = the k largest of g        weight = g        C = ceil(k M f / E), to a multiple of 4
//! ```

use super::common;
use crate::error::{check_not_negative, check_positive, check_top_k};
use crate::parts::{
    Buffers, Capacity, CapacityRounding, CapacityRule, FillOrder, Overflow, Priority, Score,
    gather_weights,
};
use crate::{
    BalanceConfig, Causality, Extra, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing, TokenChoice,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`VmoeRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct VmoeRouterConfig {
    /// The number of experts a token. Default: 2
    pub top_k: usize,
    /// The capacity of an expert relative to a balanced load. Default: 1.05 (the released models: 1.5 in
    /// fine-tuning and 4.0 in evaluation)
    pub capacity_factor: f64,
    /// Multiple that the capacity is rounded up to. Default: 4
    pub capacity_multiple_of: usize,
    /// Rounding of the capacity before that. Default: up. Written only if it is another
    #[serde(skip_serializing_if = "CapacityRounding::is_up")]
    pub capacity_rounding: CapacityRounding,
    /// Tokens that come first: position, score (batch priority routing) or random. Default: position
    pub priority: Priority,
    /// The standard deviation of the noise, times the number of experts. Default: 1.0
    pub noise_std: f64,
}

/// Each token takes its `k` experts of largest noisy gate, weighted by those gates; all first choices of
/// a group are served before any second choice, and a choice whose expert is full is dropped.
#[derive(Module, Debug)]
pub struct VmoeRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The values it was configured with.
    #[module(skip)]
    pub config: VmoeRouterConfig,
}

impl Default for VmoeRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            capacity_factor: 1.05,
            capacity_multiple_of: 4,
            capacity_rounding: CapacityRounding::Up,
            priority: Priority::Position,
            noise_std: 1.0,
        }
    }
}

impl VmoeRouterConfig {
    fn capacity(&self) -> Capacity {
        Capacity::new(CapacityRule::Vmoe, self.capacity_factor, self.top_k)
            .multiple_of(self.capacity_multiple_of)
            .rounding(self.capacity_rounding)
    }

    fn buffers(&self) -> Buffers {
        Buffers {
            priority: self.priority,
            order: FillOrder::ChoiceByChoice,
            overflow: Overflow::Drop,
        }
    }
}

impl Preset for VmoeRouterConfig {
    type Router = VmoeRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Leaks(
            "buffers are filled choice by choice, so a later token's first choice comes before an earlier one's second",
        ),
        paper: "Riquelme et al. 2021",
        arxiv: "2106.05974",
        rule: "the k largest noisy gates, as they are; batch priority as an option",
    };

    /// One expert a token, filled by position, does not leak.
    fn causality(&self) -> Causality {
        self.buffers().causality(self.top_k)
    }

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)?;
        check_positive("capacity_factor", self.capacity_factor)?;
        check_positive("capacity_multiple_of", self.capacity_multiple_of as f64)?;
        check_not_negative("noise_std", self.noise_std)
    }

    /// The losses of the published code with the weights of its configurations, 0.005 each. Without noise
    /// there is no load loss.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            vmoe_importance: 0.005,
            vmoe_load: if self.noise_std > 0.0 { 0.005 } else { 0.0 },
            ..Default::default()
        }
    }
    fn extras(&self) -> Vec<Extra> {
        if self.noise_std > 0.0 {
            vec![Extra::Gate, Extra::Noise]
        } else {
            vec![Extra::Gate]
        }
    }

    fn capacity_factor(&self) -> Option<f64> {
        Some(self.capacity_factor)
    }

    fn with_capacity_factor(self, capacity_factor: f64) -> Self {
        Self {
            capacity_factor,
            ..self
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn token_choice(&self, n_experts: usize, group_size: usize) -> Option<TokenChoice> {
        let buffers = self.buffers();
        Some(TokenChoice {
            capacity: Some(self.capacity().of(group_size, n_experts)),
            priority: buffers.priority,
            order: buffers.order,
            ..TokenChoice::new(self.top_k, Score::Softmax)
        })
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> VmoeRouter {
        VmoeRouter {
            gate: common::gate(shape, device),
            config: self.clone(),
        }
    }
}

impl Router for VmoeRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let clean_te = common::logits(&self.gate, &input);
        let [_, n_experts] = clean_te.dims();
        let std = self.config.noise_std / n_experts as f64;
        let noise_te = common::noise(&input, n_experts, std);
        let noisy = noise_te.map(|noise_te| common::noisy(&clean_te, noise_te, std));
        let logits_te = noisy.as_ref().map_or(&clean_te, |noisy| &noisy.logits);
        let gates_te = softmax(logits_te.clone(), 1);

        let config = &self.config;
        let capacity_g = config.capacity().of_groups(&input, n_experts);
        let buffers = config.buffers();
        let assignments = buffers.take_best(&input, &gates_te, config.top_k, &capacity_g);
        let weights_a = gather_weights(&gates_te, &assignments);

        // without noise they weigh; with it they are what only a loss or a metric reads
        let probs_te = noisy.is_none().then(|| gates_te.clone());
        Routing::sparse(assignments, weights_a, clean_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(gates_te)
            .noisy(noisy)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        Preset::causality(&self.config)
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

    fn router(config: VmoeRouterConfig, n: usize, device: &Device) -> VmoeRouter {
        let mut router = config.init(&shape(n), device);
        router.gate = identity_gate(n, device);
        router
    }

    fn tight(priority: Priority) -> VmoeRouterConfig {
        VmoeRouterConfig {
            top_k: 2,
            capacity_factor: 0.5,
            capacity_multiple_of: 1,
            priority,
            ..Default::default()
        }
    }

    fn kept(routing: &Routing) -> Vec<bool> {
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        plan.assignments.kept().to_vec()
    }

    #[test]
    fn gates_are_not_renormalised() {
        let device = Device::flex();
        let x = rows(&[2.0f32.ln(), 0.0, 0.0], 3, &device); // gates 1/2, 1/4, 1/4
        let routing = router(VmoeRouterConfig::default(), 3, &device).route(RouterInput::new(x));
        assert_eq!(experts(&routing), [0, 1]);
        let expected = TensorData::from([0.5f32, 0.25]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn first_choices_are_served_first_and_by_gate_if_asked() {
        let device = Device::flex();
        // C = ceil(2 tokens * 2 * 0.5 / 2 experts) = 1; both tokens take expert 0 first, token 1 by more
        let x = rows(&[1.0, 0.0, 2.0, 0.0], 2, &device);
        let route = |priority| {
            let router = router(tight(priority), 2, &device);
            kept(&router.route(RouterInput::new(x.clone())))
        };
        assert_eq!(route(Priority::Position), [true, true, false, false]);
        assert_eq!(route(Priority::Score), [false, false, true, true]);
    }

    #[test]
    fn noise_has_the_given_deviation_over_the_number_of_experts() {
        let device = Device::flex();
        let config = VmoeRouterConfig {
            noise_std: 2.0,
            ..tight(Priority::Position)
        };
        let router = router(config, 2, &device);
        let input = RouterInput::new(rows(&[0.0, 0.0], 2, &device));
        // 2.0 / 2 experts times the noise given
        let noise_te = rows(&[0.25, -1.0], 2, &device);
        let routing = router.route(input.clone().drawn_noise(Some(noise_te)));
        let noisy = routing.noisy.as_ref().expect("noise was given");
        let expected = TensorData::from([[0.25f32, -1.0]]);
        noisy.logits.to_data().assert_eq(&expected, true);
        let std = TensorData::from([[1.0f32, 1.0]]);
        noisy.std.to_data().assert_eq(&std, true);
        // the weights are noisy, the probabilities clean: 1 / (1 + e^-1.25) = 0.7772999
        let expected = TensorData::from([0.7772999f32, 0.2227001]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::default());
        let expected = TensorData::from([[0.5f32, 0.5]]);
        routing.probs().to_data().assert_eq(&expected, true);
        assert!(router.route(input).noisy.is_none());
    }

    #[test]
    fn one_expert_by_position_does_not_leak() {
        let config = |top_k, priority| VmoeRouterConfig {
            top_k,
            priority,
            ..Default::default()
        };
        let causal = |config: VmoeRouterConfig| Preset::causality(&config).is_causal();
        assert!(causal(config(1, Priority::Position)));
        assert!(!causal(config(1, Priority::Score)));
        assert!(!causal(config(2, Priority::Position)));
    }

    #[test]
    fn values_out_of_range_are_errors() {
        let error = |config: VmoeRouterConfig| config.validate(8).unwrap_err().to_string();
        let zero = VmoeRouterConfig {
            capacity_multiple_of: 0,
            ..Default::default()
        };
        assert!(error(zero).contains("capacity_multiple_of"));
        let negative = VmoeRouterConfig {
            noise_std: -1.0,
            ..Default::default()
        };
        assert!(error(negative).contains("noise_std = -1"));
    }
}
