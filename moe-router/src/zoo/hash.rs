//! Hash layers: the expert is a hash of the token (Roller et al. 2021, arXiv 2106.04426, section 3.2,
//! random hash).

use super::common;
use crate::error::check_top_k;
use crate::parts::{mix_seed, uniform_below};
use crate::{
    Assignments, Causality, Extra, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Configuration to create a [`HashRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct HashRouterConfig {
    /// The number of experts a token. Default: 1
    pub top_k: usize,
    /// The seed of the hash. Default: 0
    pub hash_seed: u64,
}

/// Each token goes to `k` distinct experts that depend on its vocabulary id and the layer alone, with
/// weight `1 / k`. Nothing is learned.
#[derive(Module, Debug)]
pub struct HashRouter {
    /// The number of experts a token.
    pub top_k: usize,
    /// The number of experts.
    pub n_experts: usize,
    /// The seed of this layer's hash.
    pub seed: u64,
}

impl Default for HashRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 1,
            hash_seed: 0,
        }
    }
}

impl Preset for HashRouterConfig {
    type Router = HashRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::Fixed,
        causality: Causality::Causal,
        paper: "Roller et al. 2021",
        arxiv: "2106.04426",
        rule: "the expert is a hash of the token",
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

    fn init(&self, shape: &RouterShape, _device: &Device) -> HashRouter {
        HashRouter {
            top_k: self.top_k,
            n_experts: shape.n_experts,
            seed: mix_seed(self.hash_seed, shape.layer as u64),
        }
    }
}

/// A routing without learned scores: `k` distinct experts a token from a hash of `key(t)`, weight
/// `1 / k`, uniform scores.
///
/// # Panics
///
/// Panics if `top_k` is larger than the number of experts.
pub(super) fn route_by_key(
    input: &RouterInput,
    n_experts: usize,
    top_k: usize,
    seed: u64,
    key: impl Fn(usize) -> u64,
) -> Routing {
    assert!(
        top_k <= n_experts,
        "{top_k} distinct of {n_experts} experts"
    );
    let n_tokens = input.n_tokens();
    let mut assignments = Assignments::with_capacity(n_tokens * top_k);
    let mut chosen = Vec::with_capacity(top_k);
    for t in (0..n_tokens).filter(|&t| !input.is_padding(t)) {
        chosen.clear();
        // drawn again until distinct; `top_k` is at most `n_experts`, so that this ends
        for draw in 0.. {
            let expert = uniform_below(n_experts, mix_seed(seed, draw), key(t)) as u32;
            if !chosen.contains(&expert) {
                chosen.push(expert);
                assignments.push(t as u32, expert);
            }
            if chosen.len() == top_k {
                break;
            }
        }
    }
    common::uniform(input, assignments, n_experts, top_k)
}

impl Router for HashRouter {
    /// # Panics
    ///
    /// Panics if the input has no token ids.
    fn route(&self, input: RouterInput) -> Routing {
        let ids = input
            .token_ids
            .clone()
            .expect("the hash router needs token ids: give them with RouterInput::token_ids");
        route_by_key(&input, self.n_experts, self.top_k, self.seed, |t| {
            u64::from(ids[t])
        })
    }

    fn causality(&self) -> Causality {
        HashRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use burn::tensor::Tensor;

    fn experts(layer: usize, top_k: usize, ids: &[u32]) -> Vec<u32> {
        let device = Device::flex();
        let shape = RouterShape {
            d_model: 1,
            n_experts: 8,
            layer,
        };
        let router = HashRouterConfig {
            top_k,
            hash_seed: 0,
        }
        .init(&shape, &device);
        let input = RouterInput::new(Tensor::zeros([ids.len(), 1], &device)).token_ids(ids.into());
        let Plan::Sparse(plan) = router.route(input).plan else {
            panic!("a sparse plan");
        };
        plan.assignments.experts().to_vec()
    }

    #[test]
    fn equal_tokens_share_an_expert_and_layers_differ() {
        let ids: Vec<u32> = (0..64).chain(0..64).collect();
        let first = experts(0, 1, &ids);
        assert_eq!(first[..64], first[64..]);
        assert_ne!(first, experts(1, 1, &ids));
    }

    #[test]
    fn a_token_never_gets_an_expert_twice() {
        let ids: Vec<u32> = (0..256).collect();
        for pair in experts(0, 2, &ids).chunks(2) {
            assert_ne!(pair[0], pair[1]);
        }
    }

    #[test]
    #[should_panic(expected = "needs token ids")]
    fn missing_ids_panic() {
        let device = Device::flex();
        let shape = RouterShape {
            d_model: 1,
            n_experts: 8,
            layer: 0,
        };
        let router = HashRouterConfig::default().init(&shape, &device);
        let _ = router.route(RouterInput::new(Tensor::zeros([1, 1], &device)));
    }
}
