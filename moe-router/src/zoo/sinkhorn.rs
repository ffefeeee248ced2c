//! Sinkhorn routing: in training each token takes the `k` best experts of a balanced transport plan
//! (Clark et al. 2022, arXiv 2202.01169, section 3.1, S-BASE; Sinkhorn and Knopp 1967).
//!
//! ```text
//! P_te = u_t exp(z_te) v_e      with rows of P summing to 1 and columns to M / E
//! g_te = s(z)_te if e is among the k largest P_te of t, else 0
//! ```

use super::common;
use crate::error::check_top_k;
use crate::parts::{Affinity, balance_columns, gather_weights, token_choice};
use crate::{
    Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput, RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Configuration to create a [`SinkhornRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SinkhornRouterConfig {
    /// The number of experts a token. Default: 1
    pub top_k: usize,
    /// Weights of the chosen experts: `softmax` or `sigmoid` of the logits. Default: softmax
    pub affinity: Affinity,
}

/// Each token takes the `k` experts of largest share in its sequence's transport plan while training, and
/// of largest logit in evaluation, as in the source; the weights are those of the logits either way, and
/// the plan carries no gradient.
///
/// Differs from the paper: the plan is that of a sequence, not of a batch, so that sequences do not
/// depend on one another.
#[derive(Module, Debug)]
pub struct SinkhornRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The number of experts a token.
    pub top_k: usize,
    /// Weights of the chosen experts.
    #[module(skip)]
    pub affinity: Affinity,
}

impl Default for SinkhornRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 1,
            affinity: Affinity::Softmax,
        }
    }
}

impl Preset for SinkhornRouterConfig {
    type Router = SinkhornRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::LeaksInTraining(
            "the transport plan balances all tokens of a sequence, so where a token goes depends on later ones",
        ),
        paper: "Clark et al. 2022",
        arxiv: "2202.01169",
        rule: "top-k of a balanced transport plan in training, of the logits in evaluation",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> SinkhornRouter {
        SinkhornRouter {
            gate: common::gate(shape, device),
            top_k: self.top_k,
            affinity: self.affinity,
        }
    }
}

impl Router for SinkhornRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let affinity_te = self.affinity.forward(logits_te.clone());
        let n_experts = logits_te.dims()[1];

        let mut choice_te = common::host(&logits_te);
        // in evaluation later tokens would move the plan, and so a token's experts
        let is_balanced = input.noise.is_some();
        if is_balanced {
            balance_columns(&input, &mut choice_te, n_experts);
        }
        let assignments = token_choice(&input, &choice_te, self.top_k);
        let weights_a = gather_weights(&affinity_te, &assignments);
        let probs_te = self.affinity.distribution(&affinity_te);

        let ranking_te = (!is_balanced).then(|| logits_te.clone());
        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(ranking_te)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        SinkhornRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{TensorData, Tolerance};

    fn route(config: &SinkhornRouterConfig, logits: &[f32], noise: Option<u64>) -> Routing {
        let device = Device::flex();
        let mut router = config.init(&shape(2), &device);
        router.gate = identity_gate(2, &device);
        router.route(RouterInput::new(rows(logits, 2, &device)).noise(noise))
    }

    /// Both tokens prefer expert 0, the first by more.
    const X: [f32; 4] = [1.098_612_3, 0.0, std::f32::consts::LN_2, 0.0]; // ln 3, 0; ln 2, 0

    #[test]
    fn training_balances_and_evaluation_takes_the_best() {
        let config = SinkhornRouterConfig::default();
        // the plan's ratios are 3 v_0 / v_1 and 2 v_0 / v_1, on either side of 1
        assert_eq!(experts(&route(&config, &X, Some(0))), [0, 1]);
        assert_eq!(experts(&route(&config, &X, None)), [0, 0]);
    }

    #[test]
    fn weights_are_those_of_the_logits() {
        let config = |affinity| SinkhornRouterConfig { top_k: 1, affinity };
        let check = |affinity, expected: [f32; 2]| {
            let routing = route(&config(affinity), &X, Some(0));
            weights(&routing).assert_approx_eq::<f32>(
                &TensorData::from(expected),
                Tolerance::<f32>::absolute(1e-6),
            );
        };
        // softmax: 3 / 4 of the first expert, 1 / 3 of the second; sigmoid: 3 / 4 and 1 / 2
        check(Affinity::Softmax, [0.75, 1.0 / 3.0]);
        check(Affinity::Sigmoid, [0.75, 0.5]);
    }

    #[test]
    fn top_k_out_of_range_is_an_error_that_names_the_key() {
        let config = SinkhornRouterConfig {
            top_k: 3,
            ..Default::default()
        };
        let error = config.validate(2).unwrap_err().to_string();
        assert!(error.contains("router.top_k = 3"), "{error}");
    }
}
