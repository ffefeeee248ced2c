//! The published configuration of OLMoE (Muennighoff et al. 2024, arXiv 2409.02060), `model_type`
//! "olmoe": known for its sizes alone, the model is not built.

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_sizes, needed};
use super::rope::RopeFields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct OlmoeFields {
    #[serde(flatten)]
    common: CommonFields,
    #[serde(flatten)]
    rope: RopeFields,
    num_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

/// An OLMoE model as published. Besides what Mixtral has, it normalises queries and keys.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedOlmoe {
    /// Fields that all decoders have.
    #[serde(flatten)]
    pub common: Common,
    /// The number of experts of a layer.
    pub num_experts: usize,
    /// The number of experts a token.
    pub num_experts_per_tok: usize,
}

impl OlmoeFields {
    pub(super) fn resolve(self) -> Result<PublishedOlmoe, Refusal> {
        let published = PublishedOlmoe {
            common: self.common.resolve("olmoe", &self.rope, &self.left)?,
            num_experts: needed("num_experts", self.num_experts)?,
            num_experts_per_tok: needed("num_experts_per_tok", self.num_experts_per_tok)?,
        };
        check_sizes(&[
            ("num_experts", published.num_experts),
            ("num_experts_per_tok", published.num_experts_per_tok),
        ])?;
        Ok(published)
    }
}
