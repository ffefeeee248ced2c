//! The Switch Transformer's router: one expert a token, with a capacity (Fedus et al. 2021,
//! arXiv 2101.03961, equations 1 to 3).

use super::common;
use crate::error::check_positive;
use crate::parts::{Buffers, Capacity, CapacityRule, Score, gather_weights};
use crate::{
    BalanceConfig, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing, TokenChoice,
};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`SwitchRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchRouterConfig {
    /// The capacity of an expert relative to a balanced load. Default: 1.25
    pub capacity_factor: f64,
    /// The width of the input jitter in training: tokens are multiplied by U(1 - j, 1 + j) before
    /// the gate. Default: 0.01
    pub jitter: f64,
    /// The number of tokens that an expert takes from a sequence, whatever its length, in place of the
    /// factor: what published models have. Default: none
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expert_capacity: Option<usize>,
    /// Bias of the gate, which some published models have. Default: no
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gate_bias: bool,
}

/// Each token takes its best expert, weighted by that expert's probability; tokens that come after
/// an expert is full are dropped, and the residual passes them on.
///
/// The capacity is that of a sequence, so a sequence does not depend on its neighbours in the batch. It
/// depends on the sequence's length, though not on what later tokens are: a prefix by itself may drop
/// tokens that the full pass keeps, and a cached step, alone in its group, drops nothing.
#[derive(Module, Debug)]
pub struct SwitchRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The capacity of an expert relative to a balanced load.
    pub capacity_factor: f64,
    /// The width of the input jitter in training.
    pub jitter: f64,
    /// The number of tokens that an expert takes from a sequence, in place of the factor.
    #[module(skip)]
    pub expert_capacity: Option<usize>,
}

impl Default for SwitchRouterConfig {
    fn default() -> Self {
        Self {
            capacity_factor: 1.25,
            jitter: 0.01,
            expert_capacity: None,
            gate_bias: false,
        }
    }
}

impl Preset for SwitchRouterConfig {
    type Router = SwitchRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Fedus et al. 2021",
        arxiv: "2101.03961",
        rule: "the best expert, by its probability; dropped at capacity",
    };

    fn validate(&self, _n_experts: usize) -> Result<(), RouterError> {
        check_positive("capacity_factor", self.capacity_factor)?;
        if self.expert_capacity == Some(0) {
            return Err(RouterError::Range {
                key: "expert_capacity",
                value: 0.0,
                range: "at least 1",
            });
        }
        if (0.0..1.0).contains(&self.jitter) {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "jitter",
            value: self.jitter,
            range: "at least 0 and below 1",
        })
    }

    /// The paper's alpha, 0.01.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            load_balance: 0.01,
            ..Default::default()
        }
    }

    fn capacity_factor(&self) -> Option<f64> {
        // a fixed capacity has no factor
        self.expert_capacity
            .is_none()
            .then_some(self.capacity_factor)
    }

    fn with_capacity_factor(self, capacity_factor: f64) -> Self {
        Self {
            capacity_factor,
            ..self
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        1.0
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        let bias = if self.gate_bias { shape.n_experts } else { 0 };
        shape.d_model * shape.n_experts + bias
    }

    fn token_choice(&self, n_experts: usize, group_size: usize) -> Option<TokenChoice> {
        let by_factor = Capacity::new(CapacityRule::Switch, self.capacity_factor, 1);
        let capacity = self.expert_capacity;
        Some(TokenChoice {
            capacity: Some(capacity.unwrap_or_else(|| by_factor.of(group_size, n_experts))),
            ..TokenChoice::new(1, Score::Softmax)
        })
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> SwitchRouter {
        SwitchRouter {
            gate: LinearConfig::new(shape.d_model, shape.n_experts)
                .with_bias(self.gate_bias)
                .init(device),
            capacity_factor: self.capacity_factor,
            jitter: self.jitter,
            expert_capacity: self.expert_capacity,
        }
    }
}

impl SwitchRouter {
    /// The places of an expert for each group, `[G]`.
    fn capacity_g(&self, input: &RouterInput, n_experts: usize) -> Vec<usize> {
        match self.expert_capacity {
            Some(capacity) => vec![capacity; input.n_groups],
            None => Capacity::new(CapacityRule::Switch, self.capacity_factor, 1)
                .of_groups(input, n_experts),
        }
    }
}

impl Router for SwitchRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let jittered = input.clone().jittered(input.noise, self.jitter);
        let logits_te = common::logits(&self.gate, &jittered);
        let probs_te = softmax(logits_te.clone(), 1);
        let n_experts = logits_te.dims()[1];

        // logits and not probabilities, which may round to ties where logits differ
        let capacity_g = self.capacity_g(&input, n_experts);
        let assignments = Buffers::default().take_best(&input, &logits_te, 1, &capacity_g);
        let weights_a = gather_weights(&probs_te, &assignments);

        Routing::sparse(assignments, weights_a, logits_te.clone(), probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(logits_te)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        SwitchRouterConfig::INFO.causality
    }

    fn competes(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::module::Param;
    use burn::tensor::{Tensor, TensorData, Tolerance};

    fn router(capacity_factor: f64, device: &Device) -> SwitchRouter {
        let shape = RouterShape {
            d_model: 2,
            n_experts: 2,
            layer: 0,
        };
        let config = SwitchRouterConfig {
            capacity_factor,
            ..Default::default()
        };
        let mut router = config.init(&shape, device);
        router.gate.weight = Param::from_tensor(Tensor::eye(2, device));
        router
    }

    #[test]
    fn later_tokens_of_a_sequence_are_dropped_at_capacity() {
        let device = Device::flex();
        // two sequences of two tokens; all prefer expert 0; C = floor(2 / 2 * 1.0) = 1
        let x = Tensor::from_floats([[1.0, 0.0]; 4], &device);
        let routing = router(1.0, &device).route(RouterInput::new(x).groups(2));

        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.experts(), [0, 0, 0, 0]);
        assert_eq!(plan.assignments.kept(), [true, false, true, false]);
        // the weight is the probability itself: 1 / (1 + e^-1)
        let expected = TensorData::from([0.7310586f32; 4]);
        plan.weights
            .to_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn a_fixed_capacity_is_that_of_every_sequence() {
        let device = Device::flex();
        let mut router = router(1.0, &device);
        router.expert_capacity = Some(2);
        // two sequences of three tokens, all for expert 0
        let x = Tensor::from_floats([[1.0, 0.0]; 6], &device);
        let routing = router.route(RouterInput::new(x).groups(2));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        let kept = [true, true, false, true, true, false];
        assert_eq!(plan.assignments.kept(), kept);
        let none = SwitchRouterConfig {
            expert_capacity: Some(0),
            ..Default::default()
        };
        let error = none.validate(2).unwrap_err().to_string();
        assert!(error.contains("router.expert_capacity = 0"), "{error}");
    }

    #[test]
    fn what_only_published_models_have_is_written_where_it_is_set() {
        let text = serde_json::to_string(&SwitchRouterConfig::default()).expect("a configuration");
        assert_eq!(text, r#"{"capacity_factor":1.25,"jitter":0.01}"#);
        let published = SwitchRouterConfig {
            expert_capacity: Some(4),
            gate_bias: true,
            ..Default::default()
        };
        let text = serde_json::to_string(&published).expect("a configuration");
        let read: SwitchRouterConfig = serde_json::from_str(&text).expect("its own output");
        assert_eq!(read, published);
        let shape = RouterShape {
            d_model: 3,
            n_experts: 2,
            layer: 0,
        };
        let router = published.init(&shape, &Device::flex());
        assert_eq!(router.num_params(), 3 * 2 + 2);
        assert_eq!(published.n_params(&shape), 3 * 2 + 2);
    }

    #[test]
    fn jitter_acts_in_training_alone() {
        let device = Device::flex();
        let x = Tensor::from_floats([[1.0, 0.5]], &device);
        let router = router(1.0, &device);
        let logits = |noise| {
            let input = RouterInput::new(x.clone()).noise(noise);
            router.route(input).logits.into_data()
        };
        assert_eq!(logits(None), x.to_data());
        assert_ne!(logits(Some(1)), x.to_data());
        assert_eq!(logits(Some(1)), logits(Some(1)));
    }
}
