//! The published configuration of Mixtral (Jiang et al. 2024, arXiv 2401.04088), `model_type`
//! "mixtral".

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_sizes};
use serde::{Deserialize, Serialize};

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct MixtralFields {
    #[serde(flatten)]
    common: CommonFields,
    #[serde(default = "eight")]
    num_local_experts: usize,
    #[serde(default = "two")]
    num_experts_per_tok: usize,
    #[serde(default)]
    router_aux_loss_coef: Option<f64>,
    sliding_window: Option<usize>,
    router_jitter_noise: Option<f64>,
}

fn eight() -> usize {
    8
}

fn two() -> usize {
    2
}

/// A Mixtral model as published.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedMixtral {
    /// What all decoders have.
    #[serde(flatten)]
    pub common: Common,
    /// The number of experts of a layer.
    pub num_local_experts: usize,
    /// The number of experts a token.
    pub num_experts_per_tok: usize,
    /// What the balance loss is weighed by in training. Default: 0.001
    pub router_aux_loss_coef: f64,
    /// How many tokens a token sees, itself included; none means all before it.
    pub sliding_window: Option<usize>,
}

impl MixtralFields {
    pub(super) fn resolve(self) -> Result<PublishedMixtral, Refusal> {
        let common = self.common.resolve(1e-5)?;
        check_sizes(&[
            ("num_local_experts", self.num_local_experts),
            ("num_experts_per_tok", self.num_experts_per_tok),
            (
                "sliding_window",
                self.sliding_window.unwrap_or(1).min(1 << 20),
            ),
        ])?;
        if let Some(noise) = self.router_jitter_noise.filter(|noise| *noise != 0.0) {
            let rule = "routers get no noise here; remove it, or set it to 0";
            return Err(Refusal::new("router_jitter_noise", noise, rule));
        }
        if let Some(yarn) = common.rope.yarn {
            let rule = "Mixtral's rotary positions are of the default kind";
            return Err(Refusal::new("rope_scaling.factor", yarn.factor, rule));
        }
        Ok(PublishedMixtral {
            common,
            num_local_experts: self.num_local_experts,
            num_experts_per_tok: self.num_experts_per_tok,
            router_aux_loss_coef: self.router_aux_loss_coef.unwrap_or(0.001),
            sliding_window: self.sliding_window,
        })
    }
}
