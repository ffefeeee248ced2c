//! Expert choice: each expert takes its best tokens (Zhou et al. 2022, arXiv 2202.09368,
//! equations 1 and 2).

use super::common;
use crate::error::check_positive;
use crate::parts::{Capacity, CapacityRule, expert_choice, gather_weights};
use crate::{
    Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput, RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create an [`ExpertChoice`] router.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ExpertChoiceConfig {
    /// How many experts take an average token, `c`. Default: 2.0
    pub capacity_factor: f64,
}

/// Each expert takes the `C = M * c / E` tokens of a group that score highest for it, weighted by the
/// token's probability of that expert. A token may get no expert, or many.
#[derive(Module, Debug)]
pub struct ExpertChoice {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// How many experts take an average token.
    pub capacity_factor: f64,
}

impl Default for ExpertChoiceConfig {
    fn default() -> Self {
        Self {
            capacity_factor: 2.0,
        }
    }
}

impl Preset for ExpertChoiceConfig {
    type Router = ExpertChoice;

    const INFO: RouterInfo = RouterInfo {
        family: Family::ExpertChoice,
        causality: Causality::Leaks(
            "an expert compares all tokens of a sequence, so whether it takes a token depends on later ones",
        ),
        paper: "Zhou et al. 2022",
        arxiv: "2202.09368",
        rule: "each expert takes its top C tokens",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_positive("capacity_factor", self.capacity_factor)?;
        if self.capacity_factor <= n_experts as f64 {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "capacity_factor",
            value: self.capacity_factor,
            range: "at most experts.n_experts",
        })
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.capacity_factor
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> ExpertChoice {
        ExpertChoice {
            gate: common::gate(shape, device),
            capacity_factor: self.capacity_factor,
        }
    }
}

impl ExpertChoice {
    /// `C = M * c / E` (equation 1) of the tokens that are not padding, rounded, from 1 to `M`.
    fn capacity(&self) -> Capacity {
        Capacity::new(CapacityRule::ExpertChoice, self.capacity_factor, 1)
    }
}

impl Router for ExpertChoice {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);
        let n_experts = logits_te.dims()[1];

        let capacity_g = self.capacity().of_groups(&input, n_experts);
        let assignments = expert_choice(&input, &common::host(&probs_te), n_experts, &capacity_g);
        let weights_n = gather_weights(&probs_te, &assignments);

        Routing::sparse(assignments, weights_n, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        ExpertChoiceConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::module::Param;
    use burn::tensor::Tensor;
    use proptest::prelude::*;

    fn router(capacity_factor: f64, device: &Device) -> ExpertChoice {
        let shape = RouterShape {
            d_model: 2,
            n_experts: 2,
            layer: 0,
        };
        let mut router = ExpertChoiceConfig { capacity_factor }.init(&shape, device);
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
