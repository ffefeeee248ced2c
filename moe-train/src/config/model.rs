//! The table `[model]`.

use super::ModelConfig;
use super::families::Keys;
use crate::task::Task;
use serde::{Deserialize, Serialize};

/// The keys of `[model]` for `family = "mixtral"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MixtralModel {
    /// The width of the model. Default: 256
    pub d_model: usize,
    /// The number of layers. Default: 4
    pub n_layers: usize,
    /// The epsilon of the RMS norms. Default: 1e-5
    pub norm_eps: f64,
    /// Use the embedding, transposed, as output head. Default: false
    pub tied_embeddings: bool,
    /// Accept a router that is not causal in a decoder. Default: false
    pub allow_leak: bool,
}

/// The keys of `[model]` for the families of DeepSeek.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DeepSeekModel {
    /// The width of the model. Default: 256
    pub d_model: usize,
    /// The number of layers, dense ones included. Default: 4
    pub n_layers: usize,
    /// The number of layers at the start that are dense. Default: 1
    pub n_dense_layers: usize,
    /// Interval between layers with experts: those behind the dense ones whose index is a multiple of it.
    /// Default: 1
    pub moe_every: usize,
    /// The hidden width of a dense layer's feed-forward. Default: 768
    pub d_dense: usize,
    /// The number of modules of multi-token prediction. Default: 0, for deepseek_v3 1
    pub n_mtp_layers: usize,
    /// The weight of their loss, the lambda of DeepSeek-V3. Default: 0.3
    pub mtp_weight: f64,
    /// The epsilon of the RMS norms. Default: 1e-6
    pub norm_eps: f64,
    /// Use the embedding, transposed, as output head. Default: false
    pub tied_embeddings: bool,
    /// Accept a router that is not causal in a decoder. Default: false
    pub allow_leak: bool,
}

impl ModelConfig {
    /// The task that the family learns.
    pub fn task(&self) -> Task {
        self.info().task
    }

    /// The width of the model.
    pub fn d_model(&self) -> usize {
        match self.keys() {
            Keys::Mixtral(model) => model.d_model,
            Keys::DeepSeek(model) => model.d_model,
            Keys::Vision(model) => model.d_model,
            Keys::Switch(model) => model.d_model,
        }
    }

    /// The number of all layers: of both stacks, and of multi-token prediction.
    pub(super) fn n_layers(&self) -> usize {
        match self.keys() {
            Keys::Mixtral(model) => model.n_layers,
            Keys::DeepSeek(model) => model.n_layers + model.n_mtp_layers,
            Keys::Vision(model) => model.n_layers,
            Keys::Switch(model) => model.n_layers + model.n_decoder_layers,
        }
    }

    /// The hidden width of a dense feed-forward, with its key; 1 where every layer has experts.
    pub(super) fn d_dense(&self) -> (String, u128) {
        let (key, width) = match self.keys() {
            Keys::Mixtral(_) => ("model.d_model", 1),
            Keys::DeepSeek(model) => ("model.d_dense", model.d_dense),
            Keys::Vision(model) => ("model.d_mlp", model.d_mlp),
            Keys::Switch(model) => ("model.d_dense", model.d_dense),
        };
        (key.to_owned(), width as u128)
    }

    /// The weight of the loss of multi-token prediction; 0 for a family without.
    pub fn mtp_weight(&self) -> f64 {
        self.deepseek().map_or(0.0, |model| model.mtp_weight)
    }

    /// The number of modules of multi-token prediction.
    pub fn n_mtp_layers(&self) -> usize {
        self.deepseek().map_or(0, |model| model.n_mtp_layers)
    }

    /// The epsilon of the norms, where it can be set.
    pub fn norm_eps(&self) -> Option<f64> {
        match self.keys() {
            Keys::Mixtral(model) => Some(model.norm_eps),
            Keys::DeepSeek(model) => Some(model.norm_eps),
            Keys::Switch(model) => Some(model.norm_eps),
            Keys::Vision(_) => None,
        }
    }

    fn deepseek(&self) -> Option<&DeepSeekModel> {
        match self.keys() {
            Keys::DeepSeek(model) => Some(model),
            _ => None,
        }
    }
}

impl Default for MixtralModel {
    fn default() -> Self {
        Self {
            d_model: 256,
            n_layers: 4,
            norm_eps: 1e-5,
            tied_embeddings: false,
            allow_leak: false,
        }
    }
}

impl Default for DeepSeekModel {
    fn default() -> Self {
        Self {
            d_model: 256,
            n_layers: 4,
            n_dense_layers: 1,
            moe_every: 1,
            d_dense: 768,
            n_mtp_layers: 0,
            mtp_weight: 0.3,
            norm_eps: 1e-6,
            tied_embeddings: false,
            allow_leak: false,
        }
    }
}

impl DeepSeekModel {
    /// The defaults with one module of multi-token prediction.
    pub(super) fn with_mtp() -> Self {
        Self {
            n_mtp_layers: 1,
            ..Self::default()
        }
    }
}
