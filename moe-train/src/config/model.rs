//! The table `[model]`.

use super::{SwitchModel, VisionModel};
use crate::task::Task;
use serde::{Deserialize, Serialize};

/// The table `[model]`: its keys depend on the family.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(tag = "family")]
pub enum ModelConfig {
    /// A Mixtral-style decoder: every layer has experts.
    #[serde(rename = "mixtral")]
    Mixtral(MixtralModel),
    /// A decoder like DeepSeekMoE: dense layers first, shared experts, grouped-query attention.
    #[serde(rename = "deepseek_moe")]
    DeepSeekMoe(DeepSeekModel),
    /// A decoder like DeepSeek-V2: latent attention besides.
    #[serde(rename = "deepseek_v2")]
    DeepSeekV2(DeepSeekModel),
    /// A decoder like DeepSeek-V3: multi-token prediction besides.
    #[serde(rename = "deepseek_v3")]
    DeepSeekV3(DeepSeekModel),
    /// A vision transformer like V-MoE: a class token, experts in every second block.
    #[serde(rename = "vmoe")]
    Vmoe(VisionModel),
    /// A vision transformer like Soft-MoE: the mean of all patches, slots in the later half of the blocks.
    #[serde(rename = "soft_moe")]
    SoftMoe(VisionModel),
    /// An encoder with a decoder like the Switch Transformer: experts in every second layer of both.
    #[serde(rename = "switch")]
    Switch(SwitchModel),
}

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
    /// The names of all families.
    pub const NAMES: &'static [&'static str] = &[
        "mixtral",
        "deepseek_moe",
        "deepseek_v2",
        "deepseek_v3",
        "vmoe",
        "soft_moe",
        "switch",
    ];

    /// The defaults of a family, if there is one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "mixtral" => Some(Self::Mixtral(MixtralModel::default())),
            "deepseek_moe" => Some(Self::DeepSeekMoe(DeepSeekModel::default())),
            "deepseek_v2" => Some(Self::DeepSeekV2(DeepSeekModel::default())),
            "deepseek_v3" => Some(Self::DeepSeekV3(DeepSeekModel {
                n_mtp_layers: 1,
                ..DeepSeekModel::default()
            })),
            "vmoe" => Some(Self::Vmoe(VisionModel::vmoe())),
            "soft_moe" => Some(Self::SoftMoe(VisionModel::soft_moe())),
            "switch" => Some(Self::Switch(SwitchModel::default())),
            _ => None,
        }
    }

    /// The family's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mixtral(_) => "mixtral",
            Self::DeepSeekMoe(_) => "deepseek_moe",
            Self::DeepSeekV2(_) => "deepseek_v2",
            Self::DeepSeekV3(_) => "deepseek_v3",
            Self::Vmoe(_) => "vmoe",
            Self::SoftMoe(_) => "soft_moe",
            Self::Switch(_) => "switch",
        }
    }

    /// Task of the family.
    pub fn task(&self) -> Task {
        match self {
            Self::Mixtral(_) | Self::DeepSeekMoe(_) | Self::DeepSeekV2(_) | Self::DeepSeekV3(_) => {
                Task::Language
            }
            Self::Vmoe(_) | Self::SoftMoe(_) => Task::Images,
            Self::Switch(_) => Task::Pairs,
        }
    }

    /// The name of the router that the family is published with.
    pub fn router_name(&self) -> &'static str {
        match self {
            Self::Vmoe(_) => "vmoe",
            Self::SoftMoe(_) => "soft_moe",
            _ => self.name(),
        }
    }

    /// The name of the attention that the family is published with.
    pub fn attention_name(&self) -> &'static str {
        match self {
            Self::Mixtral(_) | Self::DeepSeekMoe(_) => "gqa",
            Self::DeepSeekV2(_) | Self::DeepSeekV3(_) => "mla",
            Self::Vmoe(_) | Self::SoftMoe(_) => "mha",
            Self::Switch(_) => "t5",
        }
    }

    /// The width of the model.
    pub fn d_model(&self) -> usize {
        match self {
            Self::Mixtral(model) => model.d_model,
            Self::DeepSeekMoe(model) | Self::DeepSeekV2(model) | Self::DeepSeekV3(model) => {
                model.d_model
            }
            Self::Vmoe(model) | Self::SoftMoe(model) => model.d_model,
            Self::Switch(model) => model.d_model,
        }
    }

    /// The number of all layers: of both stacks, and of the modules of multi-token prediction.
    pub(super) fn n_layers(&self) -> usize {
        match self {
            Self::Mixtral(model) => model.n_layers,
            Self::DeepSeekMoe(model) | Self::DeepSeekV2(model) | Self::DeepSeekV3(model) => {
                model.n_layers + model.n_mtp_layers
            }
            Self::Vmoe(model) | Self::SoftMoe(model) => model.n_layers,
            Self::Switch(model) => model.n_layers + model.n_decoder_layers,
        }
    }

    /// The hidden width of a dense feed-forward, with its key; 1 where every layer has experts.
    pub(super) fn d_dense(&self) -> (String, u128) {
        let (key, width) = match self {
            Self::Mixtral(_) => ("model.d_model", 1),
            Self::DeepSeekMoe(model) | Self::DeepSeekV2(model) | Self::DeepSeekV3(model) => {
                ("model.d_dense", model.d_dense)
            }
            Self::Vmoe(model) | Self::SoftMoe(model) => ("model.d_mlp", model.d_mlp),
            Self::Switch(model) => ("model.d_dense", model.d_dense),
        };
        (key.to_owned(), width as u128)
    }

    /// The weight of the loss of multi-token prediction; 0 for a family without.
    pub fn mtp_weight(&self) -> f64 {
        match self {
            Self::Mixtral(_) | Self::Vmoe(_) | Self::SoftMoe(_) | Self::Switch(_) => 0.0,
            Self::DeepSeekMoe(model) | Self::DeepSeekV2(model) | Self::DeepSeekV3(model) => {
                model.mtp_weight
            }
        }
    }

    /// The number of modules of multi-token prediction.
    pub fn n_mtp_layers(&self) -> usize {
        match self {
            Self::Mixtral(_) | Self::Vmoe(_) | Self::SoftMoe(_) | Self::Switch(_) => 0,
            Self::DeepSeekMoe(model) | Self::DeepSeekV2(model) | Self::DeepSeekV3(model) => {
                model.n_mtp_layers
            }
        }
    }

    /// The epsilon of the norms, where it can be set.
    pub fn norm_eps(&self) -> Option<f64> {
        match self {
            Self::Mixtral(model) => Some(model.norm_eps),
            Self::DeepSeekMoe(model) | Self::DeepSeekV2(model) | Self::DeepSeekV3(model) => {
                Some(model.norm_eps)
            }
            Self::Switch(model) => Some(model.norm_eps),
            Self::Vmoe(_) | Self::SoftMoe(_) => None,
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
