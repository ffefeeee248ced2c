//! Round robin: experts by turns, the control that is balanced and knows nothing.

use super::common;
use crate::error::check_top_k;
use crate::{
    Assignments, Causality, Extra, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Configuration to create a [`RoundRobinRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RoundRobinRouterConfig {
    /// The number of experts a token. Default: 1
    pub top_k: usize,
}

/// The token at position `p` of its sequence takes the `k` experts from `p k` on, modulo their number,
/// each with weight `1 / k`. Nothing is learned.
#[derive(Module, Debug)]
pub struct RoundRobinRouter {
    /// The number of experts a token.
    pub top_k: usize,
    /// The number of experts.
    pub n_experts: usize,
}

impl Default for RoundRobinRouterConfig {
    fn default() -> Self {
        Self { top_k: 1 }
    }
}

impl Preset for RoundRobinRouterConfig {
    type Router = RoundRobinRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::Fixed,
        causality: Causality::Causal,
        paper: "control",
        arxiv: "",
        rule: "experts by turns, by position",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)
    }
    fn extras(&self) -> Vec<Extra> {
        Vec::new()
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn n_params(&self, _shape: &RouterShape) -> usize {
        0
    }

    fn init(&self, shape: &RouterShape, _device: &Device) -> RoundRobinRouter {
        RoundRobinRouter {
            top_k: self.top_k,
            n_experts: shape.n_experts,
        }
    }
}

impl Router for RoundRobinRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let assignments = by_turns(&input, self.n_experts, self.top_k);
        common::uniform(&input, assignments, self.n_experts, self.top_k)
    }

    fn causality(&self) -> Causality {
        RoundRobinRouterConfig::INFO.causality
    }
}

/// `k` experts a token, by its position in its sequence.
pub(super) fn by_turns(input: &RouterInput, n_experts: usize, top_k: usize) -> Assignments {
    let mut assignments = Assignments::with_capacity(input.n_tokens() * top_k);
    for t in (0..input.n_tokens()).filter(|&t| !input.is_padding(t)) {
        let position = input.start + t % input.group_size();
        for choice in 0..top_k {
            let expert = (position * top_k + choice) % n_experts;
            assignments.push(t as u32, expert as u32);
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::tensor::Tensor;

    fn experts(input: RouterInput) -> Vec<u32> {
        let shape = RouterShape {
            d_model: 1,
            n_experts: 3,
            layer: 0,
        };
        let router = RoundRobinRouterConfig { top_k: 2 }.init(&shape, &Device::flex());
        let Plan::Sparse(plan) = router.route(input).plan else {
            panic!("a sparse plan");
        };
        plan.assignments.experts().to_vec()
    }

    #[test]
    fn each_sequence_takes_turns_from_its_own_start() {
        let x = || Tensor::zeros([4, 1], &Device::flex());
        // two sequences of two tokens: 0 1, 2 0
        let input = RouterInput::new(x()).groups(2);
        assert_eq!(experts(input), [0, 1, 2, 0, 0, 1, 2, 0]);
        // after one token in the cache: 2 0, 1 2, 0 1, 2 0
        assert_eq!(
            experts(RouterInput::new(x()).start(1)),
            [2, 0, 1, 2, 0, 1, 2, 0]
        );
    }

    #[test]
    fn more_experts_than_there_are_is_an_error() {
        let error = RoundRobinRouterConfig { top_k: 9 }.validate(8).unwrap_err();
        assert!(error.to_string().contains("router.top_k = 9"), "{error}");
    }
}
