//! Dynamic routing by cumulative probability: a token takes as many experts as it needs to be sure
//! (Huang et al. 2024, arXiv 2403.07652):
//! the smallest set `S` of experts, largest first, with `sum over S of softmax(x W)_e >= p`.

use super::common;
use crate::parts::{gather_weights, top_p};
use crate::{
    BalanceConfig, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`TopPRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct TopPRouterConfig {
    /// The probability that a token's experts must have together. Default: 0.4
    pub p: f64,
}

/// Each token takes its most probable experts until their probability is at least `p`, weighted by
/// their probabilities.
#[derive(Module, Debug)]
pub struct TopPRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The probability that a token's experts must have together.
    pub p: f64,
}

impl Default for TopPRouterConfig {
    fn default() -> Self {
        Self { p: 0.4 }
    }
}

impl Preset for TopPRouterConfig {
    type Router = TopPRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Huang et al. 2024",
        arxiv: "2403.07652",
        rule: "the fewest experts whose probability reaches p",
    };

    fn validate(&self, _n_experts: usize) -> Result<(), RouterError> {
        if self.p > 0.0 && self.p <= 1.0 {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "p",
            value: self.p,
            range: "above 0 and at most 1",
        })
    }

    /// The paper's weights of the load balance loss, 0.01, and of the entropy, 1e-4.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            load_balance: 0.01,
            entropy: 1e-4,
            ..Default::default()
        }
    }

    /// Experts that an undecided router takes, `ceil(p E)`. No token takes more, and training makes it
    /// fewer.
    fn experts_per_token(&self, n_experts: usize) -> f64 {
        (self.p * n_experts as f64 - 1e-9).ceil()
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> TopPRouter {
        TopPRouter {
            gate: common::gate(shape, device),
            p: self.p,
        }
    }
}

impl Router for TopPRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let probs_te = softmax(logits_te.clone(), 1);

        let assignments = top_p(&input, &common::host(&probs_te), self.p);
        let weights_a = gather_weights(&probs_te, &assignments);

        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        TopPRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, to_vec};
    use burn::module::Param;
    use burn::tensor::{Tensor, TensorData, Tolerance};
    use proptest::prelude::*;

    fn router(p: f64, device: &Device) -> TopPRouter {
        let shape = RouterShape {
            d_model: 4,
            n_experts: 4,
            layer: 0,
        };
        let mut router = TopPRouterConfig { p }.init(&shape, device);
        router.gate.weight = Param::from_tensor(Tensor::eye(4, device));
        router
    }

    #[test]
    fn a_sure_token_takes_fewer_experts() {
        let device = Device::flex();
        // probabilities 0.1, 0.5, 0.3, 0.1; then four times 0.25
        let x = Tensor::<2>::from_floats([[0.1, 0.5, 0.3, 0.1], [1.0; 4]], &device).log();
        let routing = router(0.5, &device).route(RouterInput::new(x));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        // 0.5 reaches 0.5; 0.25 + 0.25 does, of equal ones the lowest
        assert_eq!(plan.assignments.tokens(), [0, 1, 1]);
        assert_eq!(plan.assignments.experts(), [1, 0, 1]);
        let expected = TensorData::from([0.5f32, 0.25, 0.25]);
        let weights = plan.weights.to_data();
        weights.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn padding_takes_none_and_all_of_the_mass_takes_all() {
        let device = Device::flex();
        let input = RouterInput::new(Tensor::ones([2, 4], &device)).padding([true, false].into());
        let Plan::Sparse(plan) = router(1.0, &device).route(input).plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.tokens(), [1; 4]);
    }

    #[test]
    fn all_of_the_mass_is_every_expert_however_sure_the_token() {
        let device = Device::flex();
        // 1, e^-20 = 2e-9 and so on: the first alone has all but a millionth
        let x = Tensor::<2>::from_floats([[20.0, 0.0, 1.0, 2.0]], &device);
        let Plan::Sparse(plan) = router(1.0, &device).route(RouterInput::new(x)).plan else {
            panic!("a sparse plan");
        };
        assert_eq!(plan.assignments.experts(), [0, 3, 2, 1]);
    }

    #[test]
    fn a_p_above_one_is_an_error() {
        let error = TopPRouterConfig { p: 1.5 }
            .validate(4)
            .unwrap_err()
            .to_string();
        assert!(error.contains("router.p = 1.5"), "{error}");
        assert_eq!(TopPRouterConfig { p: 0.4 }.experts_per_token(4), 2.0); // 0.25 + 0.25
        assert_eq!(TopPRouterConfig { p: 0.5 }.experts_per_token(4), 2.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_set_reaches_p_and_no_smaller_one_does(
            values in prop::collection::vec(-3.0f32..3.0, 20),
            p in 0.05f64..0.99,
        ) {
            let device = Device::flex();
            let x = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([5, 4]);
            let router = router(p, &device);
            let routing = router.route(RouterInput::new(x));
            let Plan::Sparse(plan) = &routing.plan else {
                panic!("a sparse plan");
            };
            let weights = to_vec(plan.weights.clone());
            for token in 0..5 {
                let own: Vec<f64> = (0..weights.len())
                    .filter(|&n| plan.assignments.tokens()[n] == token)
                    .map(|n| f64::from(weights[n]))
                    .collect();
                let mass: f64 = own.iter().sum();
                let smallest = own.iter().copied().fold(1.0, f64::min);
                prop_assert!(mass >= p - 1e-5);
                prop_assert!(mass - smallest < p);
                let most = TopPRouterConfig { p }.experts_per_token(4);
                prop_assert!(own.len() as f64 <= most);
            }
        }
    }
}
