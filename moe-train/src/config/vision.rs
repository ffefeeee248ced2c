//! The keys of `[model]` for the families of vision transformers.

use super::keys::FamilyKeys;
use super::{AttentionConfig, ExpertsConfig, RunConfig};
use crate::data::DataConfig;
use crate::task::AnyModelConfig;
use moe_experts::Activation;
use moe_models::vmoe::{Grouping, PatchPositions, Pooling, VmoeConfig};
use serde::{Deserialize, Serialize};

/// The keys of `[model]` for `family = "vmoe"` and `family = "soft_moe"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct VisionModel {
    /// The width of the model. Default: 128
    pub d_model: usize,
    /// The number of blocks. Default: 4
    pub n_layers: usize,
    /// The side of a patch in pixels. Default: 4
    pub patch_size: usize,
    /// The hidden width of a dense feed-forward. Default: 512
    pub d_mlp: usize,
    /// The blocks with experts, counted from 0; none makes a dense vision transformer. Default: \[1, 3\],
    /// for soft_moe \[2, 3\]
    pub moe_layers: Vec<usize>,
    /// The number of images whose patches are routed together. Default: 1
    pub group_images: usize,
    /// Positions of the patches: learned, sin_cos_2d or none. Default: learned, for soft_moe sin_cos_2d
    pub positions: PositionKind,
    /// Pooling of the patches into one vector: class_token, first, mean or attention. Default: class_token,
    /// for soft_moe mean
    pub pooling: Pooling,
    /// The width of a layer before the head; 0 means that there is none. Default: 0
    pub d_pre_logits: usize,
}

/// Positions of the patches.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PositionKind {
    /// A learned vector for each.
    Learned,
    /// Fixed sines and cosines of column and row.
    #[serde(rename = "sin_cos_2d")]
    SinCos2d,
    /// No positions.
    None,
}

impl VisionModel {
    /// The defaults of the family `vmoe`.
    pub fn vmoe() -> Self {
        Self {
            d_model: 128,
            n_layers: 4,
            patch_size: 4,
            d_mlp: 512,
            moe_layers: vec![1, 3],
            group_images: 1,
            positions: PositionKind::Learned,
            pooling: Pooling::ClassToken,
            d_pre_logits: 0,
        }
    }

    /// The defaults of the family `soft_moe`.
    pub fn soft_moe() -> Self {
        Self {
            moe_layers: vec![2, 3],
            positions: PositionKind::SinCos2d,
            pooling: Pooling::Mean,
            ..Self::vmoe()
        }
    }
}

impl FamilyKeys for VisionModel {
    fn build(&self, config: &RunConfig) -> AnyModelConfig {
        let (AttentionConfig::Mha(attention), DataConfig::Images(images)) =
            (&config.attention, &config.data)
        else {
            panic!("a vision transformer reads images, with attention.kind = \"mha\"");
        };
        AnyModelConfig::Images(VmoeConfig {
            image_size: [images.side(); 2],
            patch_size: [self.patch_size; 2],
            n_channels: images.n_channels(),
            n_classes: images.n_classes,
            n_layers: self.n_layers,
            n_heads: attention.n_heads,
            d_mlp: self.d_mlp,
            positions: match self.positions {
                PositionKind::Learned => PatchPositions::Learned,
                PositionKind::SinCos2d => PatchPositions::sin_cos_2d(),
                PositionKind::None => PatchPositions::None,
            },
            pooling: self.pooling,
            d_pre_logits: (self.d_pre_logits > 0).then_some(self.d_pre_logits),
            qk_norm: attention.qk_norm,
            head_bias: 0.0,
            moe_layers: self.moe_layers.clone(),
            grouping: Grouping::Images(self.group_images),
            moe: config.experts(),
        })
    }

    fn d_model(&self) -> usize {
        self.d_model
    }

    fn n_layers(&self) -> usize {
        self.n_layers
    }

    fn d_dense(&self) -> Option<(&'static str, usize)> {
        Some(("model.d_mlp", self.d_mlp))
    }

    fn experts(&self) -> ExpertsConfig {
        ExpertsConfig {
            d_expert: 256,
            activation: Activation::Gelu,
            ..ExpertsConfig::default()
        }
    }

    fn vision(&self) -> Option<&VisionModel> {
        Some(self)
    }
}
