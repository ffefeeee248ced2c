//! The published configuration of Llama (Touvron et al. 2023, arXiv 2302.13971), `model_type` "llama".

use super::common::{Common, CommonFields};
use super::error::Refusal;
use super::rope::RopeFields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct LlamaFields {
    #[serde(flatten)]
    common: CommonFields,
    #[serde(flatten)]
    rope: RopeFields,
    #[serde(flatten)]
    left: Map<String, Value>,
}

/// A Llama as published: a decoder without experts.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedLlama {
    /// Fields that all decoders have.
    #[serde(flatten)]
    pub common: Common,
}

impl LlamaFields {
    pub(super) fn resolve(self) -> Result<PublishedLlama, Refusal> {
        let common = self.common.resolve("llama", &self.rope, &self.left)?;
        common.check_default_rope()?;
        Ok(PublishedLlama { common })
    }
}
