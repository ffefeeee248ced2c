//! The published configuration of Mixtral (Jiang et al. 2024, arXiv 2401.04088), `model_type`
//! "mixtral".

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_jitter, check_sizes, check_weight, needed};
use super::rope::RopeFields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct MixtralFields {
    #[serde(flatten)]
    common: CommonFields,
    #[serde(flatten)]
    rope: RopeFields,
    num_local_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    router_aux_loss_coef: Option<f64>,
    sliding_window: Option<usize>,
    router_jitter_noise: Option<f64>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

/// A Mixtral model as published.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedMixtral {
    /// Fields that all decoders have.
    #[serde(flatten)]
    pub common: Common,
    /// The number of experts of a layer.
    pub num_local_experts: usize,
    /// The number of experts a token.
    pub num_experts_per_tok: usize,
    /// Weight of the balance loss in training.
    pub router_aux_loss_coef: f64,
    /// The width of the noise that multiplies the input of a mixture in training; inference has none.
    pub router_jitter_noise: f64,
    /// Number of tokens that a token sees, itself included; none means all before it.
    pub sliding_window: Option<usize>,
}

impl MixtralFields {
    pub(super) fn resolve(self) -> Result<PublishedMixtral, Refusal> {
        let published = PublishedMixtral {
            common: self.common.resolve("mixtral", &self.rope, &self.left)?,
            num_local_experts: needed("num_local_experts", self.num_local_experts)?,
            num_experts_per_tok: needed("num_experts_per_tok", self.num_experts_per_tok)?,
            router_aux_loss_coef: needed("router_aux_loss_coef", self.router_aux_loss_coef)?,
            router_jitter_noise: self.router_jitter_noise.unwrap_or(0.0),
            sliding_window: self.sliding_window,
        };
        published.check()?;
        Ok(published)
    }
}

impl PublishedMixtral {
    fn check(&self) -> Result<(), Refusal> {
        let window = self.sliding_window.unwrap_or(1);
        check_sizes(&[
            ("num_local_experts", self.num_local_experts),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("sliding_window", window.min(1 << 20)),
        ])?;
        check_jitter(self.router_jitter_noise)?;
        self.common.check_default_rope()?;
        check_weight("router_aux_loss_coef", self.router_aux_loss_coef)
    }
}
