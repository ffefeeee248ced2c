//! The configuration of a vision transformer with experts.

use super::patches::sin_cos_2d;
use super::pooling::AttentionPooling;
use super::{EncoderAttentionConfig, EncoderFeedForward, PatchPositions, Vmoe, VmoeBlock};
use crate::seed_parameters;
use burn::config::Config;
use burn::module::Param;
use burn::nn::{Initializer, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use moe_experts::{Activation, ExpertsConfig, MoeLayerConfig};
use moe_router::{Router, RouterConfig, RouterShape};
use serde::{Deserialize, Serialize};

/// The epsilon of all norms.
pub(super) const NORM_EPS: f64 = 1e-6;

/// Pooling of the tokens of an image into one vector.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// A learned class token stands before the patches; it is the vector. The default, as in V-MoE.
    #[default]
    ClassToken,
    /// The first patch is the vector.
    First,
    /// The mean of all tokens, as in Soft-MoE.
    Mean,
    /// A learned probe attends all tokens.
    Attention,
}

/// Groups of tokens that are routed together: they compete for the same places, or mix in the same slots.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// Those of so many images, 1 for each by itself.
    Images(usize),
    /// So many in a row, whichever images they belong to.
    Tokens(usize),
}

/// Configuration to create a [`Vmoe`].
#[derive(Config, Debug, PartialEq)]
pub struct VmoeConfig {
    /// Height and width of the images.
    pub image_size: [usize; 2],
    /// Height and width of a patch. Default: 16 x 16
    #[config(default = "[16, 16]")]
    pub patch_size: [usize; 2],
    /// The number of channels of the images. Default: 3
    #[config(default = 3)]
    pub n_channels: usize,
    /// The number of classes.
    pub n_classes: usize,
    /// The number of blocks.
    pub n_layers: usize,
    /// The number of attention heads.
    pub n_heads: usize,
    /// The hidden width of a dense feed-forward.
    pub d_mlp: usize,
    /// Positions of the tokens. Default: learned
    #[config(default = "PatchPositions::Learned")]
    pub positions: PatchPositions,
    /// Pooling of the tokens of an image into one vector. Default: a class token
    #[config(default = "Pooling::ClassToken")]
    pub pooling: Pooling,
    /// The width of a layer `tanh(x W + b)` before the head, if there is one. Default: none
    #[config(default = "None")]
    pub d_pre_logits: Option<usize>,
    /// True if queries and keys are normalised. Default: false
    #[config(default = false)]
    pub qk_norm: bool,
    /// The value that the biases of the head start with: with many classes and a sigmoid loss,
    /// `-ln(n_classes)` starts at the right size. Default: 0
    #[config(default = 0.0)]
    pub head_bias: f64,
    /// The blocks that are mixtures of experts, counted from 0: [`every`](super::every), [`last_odd`](super::last_odd) and
    /// [`last`](super::last) list
    /// them as published. Default: none, a dense vision transformer
    #[config(default = "Vec::new()")]
    pub moe_layers: Vec<usize>,
    /// Groups of tokens that are routed together. Default: those of each image
    #[config(default = "Grouping::Images(1)")]
    pub grouping: Grouping,
    /// The experts of those blocks, whose width is the model's. Published ones have biases and GELU.
    pub moe: MoeLayerConfig,
}

impl VmoeConfig {
    /// The width of the model.
    pub fn d_model(&self) -> usize {
        self.moe.d_model
    }

    /// The rows and columns of patches; none if a patch has no size, which
    /// [`validate`](Self::validate) refuses.
    pub fn grid(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let [side, patch] = [self.image_size[axis], self.patch_size[axis]];
            side.checked_div(patch).unwrap_or(0)
        })
    }

    /// The number of tokens of an image, a class token included.
    pub fn n_tokens(&self) -> usize {
        self.grid().iter().product::<usize>() + usize::from(self.pooling == Pooling::ClassToken)
    }

    /// The number of tokens that are routed together.
    pub fn group_size(&self) -> usize {
        match self.grouping {
            Grouping::Images(n_images) => n_images * self.n_tokens(),
            Grouping::Tokens(n_tokens) => n_tokens,
        }
    }

    /// Shape that the router of a block is built for.
    pub fn router_shape(&self, layer: usize) -> RouterShape {
        RouterShape {
            d_model: self.d_model(),
            n_experts: self.moe.n_experts,
            layer,
        }
    }

    pub(super) fn attention(&self) -> EncoderAttentionConfig {
        EncoderAttentionConfig::new(self.d_model(), self.n_heads).with_qk_norm(self.qk_norm)
    }

    pub(super) fn norm(&self) -> LayerNormConfig {
        LayerNormConfig::new(self.d_model()).with_epsilon(NORM_EPS)
    }

    /// A dense feed-forward.
    pub(super) fn dense(&self) -> ExpertsConfig {
        ExpertsConfig::new(self.d_model(), 1, self.d_mlp)
            .with_activation(Activation::Gelu)
            .with_bias(true)
    }

    /// The width of what the head reads.
    pub(super) fn d_head(&self) -> usize {
        self.d_pre_logits.unwrap_or(self.d_model())
    }

    /// Builds the model with the router that `router` makes for each mixture of experts. The head's weights
    /// and all biases but the head's start at zero.
    pub fn init<R: Router>(&self, router: impl Fn(&RouterShape) -> R, device: &Device) -> Vmoe<R> {
        let [ph, pw] = self.patch_size;
        let d_model = self.d_model();
        let blocks = (0..self.n_layers)
            .map(|layer| self.init_block(layer, &router, device))
            .collect();
        let learned = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        let zeros = Initializer::Zeros;
        let has_class_token = self.pooling == Pooling::ClassToken;
        Vmoe {
            patch_embedding: linear(ph * pw * self.n_channels, d_model, device),
            class_token: has_class_token.then(|| zeros.init([1, 1, d_model], device)),
            positions: (self.positions == PatchPositions::Learned)
                .then(|| learned.init([1, self.n_tokens(), d_model], device)),
            fixed_positions: match self.positions {
                PatchPositions::SinCos2d { temperature } => {
                    Some(sin_cos_2d(self.grid(), d_model, temperature, device))
                }
                PatchPositions::Learned | PatchPositions::None => None,
            },
            blocks,
            norm: self.norm().init(device),
            pooling: (self.pooling == Pooling::Attention)
                .then(|| AttentionPooling::new(self, device)),
            pre_logits: self
                .d_pre_logits
                .map(|width| linear(d_model, width, device)),
            head: Linear {
                weight: zeros.init([self.d_head(), self.n_classes], device),
                bias: Some(bias(self.n_classes, self.head_bias, device)),
            },
            config: self.clone(),
        }
    }

    fn init_block<R: Router>(
        &self,
        layer: usize,
        router: &impl Fn(&RouterShape) -> R,
        device: &Device,
    ) -> VmoeBlock<R> {
        VmoeBlock {
            attention_norm: self.norm().init(device),
            attention: self.attention().init(device),
            feed_forward_norm: self.norm().init(device),
            feed_forward: if self.moe_layers.contains(&layer) {
                let router = router(&self.router_shape(layer));
                EncoderFeedForward::Experts(self.moe.init_with(router, device))
            } else {
                EncoderFeedForward::Dense(self.dense().init(device))
            },
        }
    }

    /// Builds the model with the weights that a seed gives.
    pub fn init_seeded(&self, router: &RouterConfig, seed: u64, device: &Device) -> Vmoe {
        let model = self.init(|shape| router.init(shape, device), device);
        seed_parameters(model, "Vmoe", seed, self.n_layers)
    }
}

/// A linear layer whose biases start at zero.
pub(super) fn linear(d_input: usize, d_output: usize, device: &Device) -> Linear {
    let linear = LinearConfig::new(d_input, d_output)
        .with_bias(false)
        .init(device);
    Linear {
        bias: Some(bias(d_output, 0.0, device)),
        ..linear
    }
}

fn bias(width: usize, value: f64, device: &Device) -> Param<Tensor<1>> {
    Initializer::Constant { value }.init([width], device)
}
