//! Expert choice: each expert takes its best tokens (Zhou et al. 2022, arXiv 2202.09368,
//! equations 1 and 2), also with the noise and the rounding of V-MoE's published code.

use super::common;
use crate::error::{check_not_negative, check_positive};
use crate::parts::{Capacity, CapacityRounding, CapacityRule, expert_choice, gather_weights};
use crate::{
    Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput, RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create an [`ExpertChoiceRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ExpertChoiceRouterConfig {
    /// Experts that take an average token, `c`. Default: 2.0
    pub capacity_factor: f64,
    /// Rounding of `C`. Default: to the nearest, a half up. Written only if it is another
    #[serde(skip_serializing_if = "CapacityRounding::is_nearest")]
    pub capacity_rounding: CapacityRounding,
    /// Multiple that `C` is then rounded up to. Default: 1. Written only if it is another
    #[serde(skip_serializing_if = "is_one")]
    pub capacity_multiple_of: usize,
    /// The standard deviation of noise in training, times the number of experts. Default: 0. Written only
    /// if it is another
    #[serde(skip_serializing_if = "is_zero")]
    pub noise_std: f64,
    /// In evaluation no token competes with another, as where a text is generated token by token: each expert takes
    /// every token. Default: false
    pub alone: bool,
}

fn is_one(x: &usize) -> bool {
    *x == 1
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// Each expert takes the `C = M * c / E` tokens of a group that score highest for it, weighted by the
/// token's probability of that expert. A token may get no expert, or many.
#[derive(Module, Debug)]
pub struct ExpertChoiceRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The values it was configured with.
    #[module(skip)]
    pub config: ExpertChoiceRouterConfig,
}

impl Default for ExpertChoiceRouterConfig {
    fn default() -> Self {
        Self {
            capacity_factor: 2.0,
            capacity_rounding: CapacityRounding::Nearest,
            capacity_multiple_of: 1,
            noise_std: 0.0,
            alone: false,
        }
    }
}

impl Preset for ExpertChoiceRouterConfig {
    type Router = ExpertChoiceRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::ExpertChoice,
        causality: Causality::Leaks(
            "an expert compares all tokens of a sequence, so whether it takes a token depends on later ones",
        ),
        paper: "Zhou et al. 2022",
        arxiv: "2202.09368",
        rule: "each expert takes its top C tokens",
    };

    fn causality(&self) -> Causality {
        if self.alone {
            return Causality::LeaksInTraining(
                "an expert compares all tokens of a sequence while training, and each by itself in evaluation",
            );
        }
        Self::INFO.causality
    }

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_positive("capacity_factor", self.capacity_factor)?;
        check_positive("capacity_multiple_of", self.capacity_multiple_of as f64)?;
        check_not_negative("noise_std", self.noise_std)?;
        if self.capacity_factor <= n_experts as f64 {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "capacity_factor",
            value: self.capacity_factor,
            range: "at most experts.n_experts",
        })
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
        self.capacity_factor
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> ExpertChoiceRouter {
        ExpertChoiceRouter {
            gate: common::gate(shape, device),
            config: self.clone(),
        }
    }
}

impl ExpertChoiceRouter {
    /// `C = M * c / E` (equation 1) of the tokens that are not padding, rounded, from 1 to `M`.
    fn capacity(&self) -> Capacity {
        let config = &self.config;
        Capacity::new(CapacityRule::ExpertChoice, config.capacity_factor, 1)
            .rounding(config.capacity_rounding)
            .multiple_of(config.capacity_multiple_of)
    }
}

impl Router for ExpertChoiceRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);
        let n_experts = logits_te.dims()[1];
        let std = self.config.noise_std / n_experts as f64;
        let noise_te = common::noise(&input, n_experts, std);
        let noisy = noise_te.map(|noise_te| common::noisy(&logits_te, noise_te, std));
        let gates_te = match &noisy {
            Some(noisy) => softmax(noisy.logits.clone(), 1),
            None => probs_te.clone(),
        };

        let n_groups = input.n_groups;
        let competing = if self.config.alone && input.noise.is_none() {
            let n_tokens = input.n_tokens();
            input.groups(n_tokens)
        } else {
            input
        };
        let capacity_g = self.capacity().of_groups(&competing, n_experts);
        let gates_host = common::host(&gates_te);
        let assignments = expert_choice(&competing, &gates_host, n_experts, &capacity_g);
        let weights_a = gather_weights(&gates_te, &assignments);

        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(n_groups)
            .padding(competing.padding)
            .noisy(noisy)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        Preset::causality(&self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::module::Param;
    use burn::tensor::Tensor;
    use proptest::prelude::*;

    fn router(capacity_factor: f64, device: &Device) -> ExpertChoiceRouter {
        let shape = RouterShape {
            d_model: 2,
            n_experts: 2,
            layer: 0,
        };
        let config = ExpertChoiceRouterConfig {
            capacity_factor,
            ..Default::default()
        };
        let mut router = config.init(&shape, device);
        router.gate.weight = Param::from_tensor(Tensor::eye(2, device));
        router
    }

    #[test]
    fn each_expert_takes_its_best_tokens() {
        let device = Device::flex();
        // C = 4 * 0.5 / 2 = 1; expert 0 likes token 1 most, expert 1 token 3
        let x = Tensor::from_floats([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]], &device);
        let routing = router(0.5, &device).route(RouterInput::new(x));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.tokens(), [1, 3]);
        assert_eq!(plan.assignments.experts(), [0, 1]);
    }

    #[test]
    fn tokens_alone_do_not_compete_in_evaluation() {
        let device = Device::flex();
        let x = Tensor::from_floats([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]], &device);
        let mut router = router(0.5, &device);
        router.config.alone = true;
        let tokens = |input: RouterInput| match router.route(input).plan {
            Plan::Sparse(plan) => (
                plan.assignments.tokens().to_vec(),
                plan.assignments.experts().to_vec(),
            ),
            Plan::Soft(_) => panic!("a sparse plan"),
        };
        // one token a group: C = 1 * 0.5 / 2, from 1 on, so both experts take each token
        let (mut alone, _) = tokens(RouterInput::new(x.clone()));
        alone.sort_unstable();
        assert_eq!(alone, [0, 0, 1, 1, 2, 2, 3, 3]);
        assert!(!Router::causality(&router).is_causal_in_training());
        assert!(Router::causality(&router).is_causal());
        // in training they compete as ever
        assert_eq!(
            tokens(RouterInput::new(x).noise(Some(1))),
            (vec![1, 3], vec![0, 1])
        );
    }

    #[test]
    fn noise_decides_in_training_and_weighs() {
        let device = Device::flex();
        let x = Tensor::from_floats([[1.0, 0.0], [0.9, 0.0]], &device);
        let mut router = router(1.0, &device); // C = 2 * 1 / 2 = 1
        router.config.noise_std = 2.0;
        let noise_te = Tensor::from_floats([[0.0, 0.0], [0.5, 0.0]], &device);
        let routing = router.route(RouterInput::new(x.clone()).drawn_noise(Some(noise_te)));
        let chosen = |routing: &Routing| match &routing.plan {
            Plan::Sparse(plan) => (plan.assignments.tokens()[0], plan.weights.to_data()),
            Plan::Soft(_) => panic!("a sparse plan"),
        };
        // 0.9 + 0.5 * 2 / 2 = 1.4 is more than 1: token 1, by 1 / (1 + e^-1.4) = 0.8021839
        let (token, weights) = chosen(&routing);
        assert_eq!(token, 1);
        let weight = weights.iter::<f32>().next().expect("a weight");
        assert!((weight - 0.802_183_9).abs() < 1e-6, "{weight}");
        assert_eq!(chosen(&router.route(RouterInput::new(x))).0, 0);
    }

    #[test]
    fn what_is_as_by_default_is_not_written() {
        let text = serde_json::to_string(&ExpertChoiceRouterConfig::default()).expect("a text");
        assert_eq!(text, r#"{"capacity_factor":2.0,"alone":false}"#);
        let text = serde_json::to_string(&crate::zoo::VmoeRouterConfig::default()).expect("a text");
        assert!(!text.contains("capacity_rounding"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_expert_has_exactly_c_distinct_tokens_of_each_group(
            values in prop::collection::vec(-2.0f32..2.0, 24),
            factor in 0.2f64..2.0,
        ) {
            let device = Device::flex();
            let x = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([12, 2]);
            let router = router(factor, &device);
            let routing = router.route(RouterInput::new(x).groups(3));
            let Plan::Sparse(plan) = &routing.plan else {
                panic!("a sparse plan");
            };
            let capacity = router.capacity().of(4, 2);
            for group in 0..3u32 {
                for expert in 0..2u32 {
                    let mut tokens: Vec<u32> = (0..plan.assignments.len())
                        .filter(|&n| plan.assignments.experts()[n] == expert)
                        .map(|n| plan.assignments.tokens()[n])
                        .filter(|t| t / 4 == group)
                        .collect();
                    tokens.sort_unstable();
                    tokens.dedup();
                    prop_assert_eq!(tokens.len(), capacity);
                }
            }
        }
    }
}
