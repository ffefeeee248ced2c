//! The published configuration of OLMoE (Muennighoff et al. 2024, arXiv 2409.02060), `model_type`
//! "olmoe": known for its sizes alone, the model is not built.

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_sizes};
use serde::{Deserialize, Serialize};

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct OlmoeFields {
    #[serde(flatten)]
    common: CommonFields,
    num_experts: usize,
    num_experts_per_tok: usize,
}

/// An OLMoE model as published. Besides what Mixtral has, it normalises queries and keys.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedOlmoe {
    /// What all decoders have.
    #[serde(flatten)]
    pub common: Common,
    /// The number of experts of a layer.
    pub num_experts: usize,
    /// The number of experts a token.
    pub num_experts_per_tok: usize,
}

impl OlmoeFields {
    pub(super) fn resolve(self) -> Result<PublishedOlmoe, Refusal> {
        check_sizes(&[
            ("num_experts", self.num_experts),
            ("num_experts_per_tok", self.num_experts_per_tok),
        ])?;
        Ok(PublishedOlmoe {
            common: self.common.resolve(1e-5)?,
            num_experts: self.num_experts,
            num_experts_per_tok: self.num_experts_per_tok,
        })
    }
}
