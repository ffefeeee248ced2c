//! The configuration of a vision transformer with experts.

use super::patches::sin_cos_2d;
use super::pooling::AttentionPooling;
use super::{EncoderAttentionConfig, EncoderFeedForward, PatchPositions, Vmoe, VmoeBlock};
use crate::{ModelError, seed_parameters};
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
    /// The blocks that are mixtures of experts, counted from 0: [`every`], [`last_odd`] and [`last`] list
    /// them as published. Default: none, a dense vision transformer
    #[config(default = "Vec::new()")]
    pub moe_layers: Vec<usize>,
    /// Groups of tokens that are routed together. Default: those of each image
    #[config(default = "Grouping::Images(1)")]
    pub grouping: Grouping,
    /// The experts of those blocks, whose width is the model's. Published ones have biases and GELU.
    pub moe: MoeLayerConfig,
}

/// Every `n`-th of the blocks, the `n`-th first.
///
/// # Panics
///
/// Panics if `n` is zero.
pub fn every(n: usize, n_layers: usize) -> Vec<usize> {
    (n.checked_sub(1).expect("every 0th block is none")..n_layers)
        .step_by(n)
        .collect()
}

/// The last `n` of the blocks 1, 3, 5, ...: "Last n" of V-MoE.
pub fn last_odd(n: usize, n_layers: usize) -> Vec<usize> {
    let odd = every(2, n_layers);
    odd[odd.len().saturating_sub(n)..].to_vec()
}

/// The last `n` of the blocks: "last n" of Soft-MoE.
pub fn last(n: usize, n_layers: usize) -> Vec<usize> {
    (n_layers.saturating_sub(n)..n_layers).collect()
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

    /// Checks that all sizes fit together. Any router may be used: an encoder sees all tokens anyway.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self, router: &RouterConfig) -> Result<(), ModelError> {
        self.check_sizes()?;
        let refuse = |key, value: String, rule: &str| {
            Err(ModelError::Value {
                key,
                value,
                rule: rule.to_owned(),
            })
        };
        let (d_model, n_heads) = (self.d_model(), self.n_heads);
        if !d_model.is_multiple_of(n_heads) {
            let rule = format!("it must divide model.d_model = {d_model}");
            return refuse("attention.n_heads", n_heads.to_string(), &rule);
        }
        if (0..2).any(|axis| self.patch_size[axis] > self.image_size[axis]) {
            let rule = format!(
                "it must be at most model.image_size = {:?}",
                self.image_size
            );
            return refuse("model.patch_size", format!("{:?}", self.patch_size), &rule);
        }
        if matches!(self.positions, PatchPositions::SinCos2d { .. })
            && !(d_model.is_multiple_of(4) && d_model >= 8)
        {
            let rule = "sines and cosines in two directions need a multiple of 4, at least 8";
            return refuse("model.d_model", d_model.to_string(), rule);
        }
        if self.moe_layers.is_empty() {
            return Ok(());
        }
        let fits = |layers: &[usize]| {
            layers.is_sorted_by(|a, b| a < b) && layers.iter().all(|&layer| layer < self.n_layers)
        };
        if !fits(&self.moe_layers) {
            let rule = format!(
                "it must rise and stay below model.n_layers = {}",
                self.n_layers
            );
            return refuse("model.moe_layers", format!("{:?}", self.moe_layers), &rule);
        }
        Ok(router.validate(self.moe.n_experts)?)
    }

    fn check_sizes(&self) -> Result<(), ModelError> {
        let sizes = [
            (
                "model.image_size",
                self.image_size[0].min(self.image_size[1]),
            ),
            (
                "model.patch_size",
                self.patch_size[0].min(self.patch_size[1]),
            ),
            ("model.n_channels", self.n_channels),
            ("model.n_classes", self.n_classes),
            ("model.n_layers", self.n_layers),
            ("model.d_model", self.d_model()),
            ("model.d_mlp", self.d_mlp),
            ("model.d_pre_logits", self.d_pre_logits.unwrap_or(1)),
            ("attention.n_heads", self.n_heads),
        ];
        let of_experts = [
            ("model.group_images", self.group_size()),
            ("experts.n_experts", self.moe.n_experts),
            ("experts.d_expert", self.moe.d_expert),
        ];
        let n_of_experts = if self.moe_layers.is_empty() { 0 } else { 3 };
        let mut all = sizes.iter().chain(&of_experts[..n_of_experts]);
        match all.find(|(_, size)| *size == 0) {
            Some((key, _)) => Err(ModelError::Zero { key }),
            None => Ok(()),
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
            .map(|layer| VmoeBlock {
                attention_norm: self.norm().init(device),
                attention: self.attention().init(device),
                feed_forward_norm: self.norm().init(device),
                feed_forward: if self.moe_layers.contains(&layer) {
                    let router = router(&self.router_shape(layer));
                    EncoderFeedForward::Experts(self.moe.init_with(router, device))
                } else {
                    EncoderFeedForward::Dense(self.dense().init(device))
                },
            })
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
