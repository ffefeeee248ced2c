//! A router of your own in the whole `moe` command: configurations, training, ablations, laws and figures know it
//! by name.
//!
//! ```sh
//! cargo run --release -p moe-examples --bin own_router -- train configs/debug.toml router.name=sigmoid
//! ```

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::activation::{sigmoid, softmax};
use moe_router::parts::{gather_weights, token_choice};
use moe_router::{
    Causality, Family, Preset, Registry, Router, RouterError, RouterInfo, RouterInput, RouterShape,
    Routing, to_vec,
};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// The table `[router]` for `name = "sigmoid"`.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidRouterConfig {
    /// The number of experts a token. Default: 2
    pub top_k: usize,
}

/// Each token goes to its best experts, weighted by the sigmoids of their scores.
#[derive(Module, Debug)]
pub struct SigmoidRouter {
    /// The gate, `[d_model, n_experts]`.
    gate: Linear,
    top_k: usize,
}

impl Default for SigmoidRouterConfig {
    fn default() -> Self {
        Self { top_k: 2 }
    }
}

impl Preset for SigmoidRouterConfig {
    type Router = SigmoidRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "mine",
        arxiv: "",
        rule: "the best logits, weighted by their sigmoids",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        moe_router::check_top_k(self.top_k, n_experts)
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> SigmoidRouter {
        let gate = LinearConfig::new(shape.d_model, shape.n_experts).with_bias(false);
        SigmoidRouter {
            gate: gate.init(device),
            top_k: self.top_k,
        }
    }
}

impl Router for SigmoidRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = self.gate.forward(input.x_td.clone());
        let assignments = token_choice(&input, &to_vec(logits_te.clone()), self.top_k);
        let weights_a = gather_weights(&sigmoid(logits_te.clone()), &assignments);
        let probs_te = softmax(logits_te.clone(), 1);
        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        Causality::Causal
    }
}

fn main() -> ExitCode {
    // with the source, the command can print what the keys mean
    moe_cli::run(
        Registry::builtin()
            .with_source::<SigmoidRouterConfig>("sigmoid", include_str!("own_router.rs")),
    )
}
