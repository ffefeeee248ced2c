//! Random routing: the control that knows nothing.

use super::hash::route_by_key;
use crate::error::check_top_k;
use crate::parts::mix_seed;
use crate::{
    Causality, Extra, Family, Preset, Router, RouterError, RouterInfo, RouterInput, RouterShape,
    Routing,
};
use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Configuration to create a [`RandomRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RandomRouterConfig {
    /// The number of experts a token. Default: 1
    pub top_k: usize,
}

/// Each token goes to `k` distinct experts drawn uniformly, with weight `1 / k`: anew in each training
/// step, and by position and vocabulary id alone in evaluation, so that a cached decode routes as
/// the full pass does.
#[derive(Module, Debug)]
pub struct RandomRouter {
    /// The number of experts a token.
    pub top_k: usize,
    /// The number of experts.
    pub n_experts: usize,
    /// The layer's index.
    pub layer: u64,
}

impl Default for RandomRouterConfig {
    fn default() -> Self {
        Self { top_k: 1 }
    }
}

impl Preset for RandomRouterConfig {
    type Router = RandomRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::Fixed,
        causality: Causality::Causal,
        paper: "control",
        arxiv: "",
        rule: "experts drawn uniformly",
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

    fn init(&self, shape: &RouterShape, _device: &Device) -> RandomRouter {
        RandomRouter {
            top_k: self.top_k,
            n_experts: shape.n_experts,
            layer: shape.layer as u64,
        }
    }
}

impl Router for RandomRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let seed = mix_seed(input.noise.unwrap_or(0), self.layer);
        let group_size = input.group_size();
        let key = |t: usize| {
            let position = (input.start + t % group_size) as u64;
            let id = input.token_ids.as_ref().map_or(0, |ids| u64::from(ids[t]));
            // in training each sequence of the batch draws for itself
            let group = input.noise.map_or(0, |_| (t / group_size) as u64);
            mix_seed(mix_seed(position, id), group)
        };
        route_by_key(&input, self.n_experts, self.top_k, seed, key)
    }

    fn causality(&self) -> Causality {
        RandomRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::tensor::Tensor;

    fn experts(noise: Option<u64>, start: usize, n_tokens: usize) -> Vec<u32> {
        let device = Device::flex();
        let shape = RouterShape {
            d_model: 1,
            n_experts: 8,
            layer: 0,
        };
        let router = RandomRouterConfig { top_k: 1 }.init(&shape, &device);
        let input = RouterInput::new(Tensor::zeros([n_tokens, 1], &device))
            .start(start)
            .noise(noise);
        let Plan::Sparse(plan) = router.route(input).plan else {
            panic!("a sparse plan");
        };
        plan.assignments.experts().to_vec()
    }

    #[test]
    fn training_steps_differ_and_evaluation_repeats() {
        assert_ne!(experts(Some(1), 0, 64), experts(Some(2), 0, 64));
        assert_eq!(experts(None, 0, 64), experts(None, 0, 64));
    }

    #[test]
    fn a_cached_step_routes_as_the_full_pass() {
        let full = experts(None, 0, 16);
        let steps: Vec<u32> = (0..16).flat_map(|t| experts(None, t, 1)).collect();
        assert_eq!(full, steps);
    }
}
