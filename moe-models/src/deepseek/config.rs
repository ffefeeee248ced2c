//! The configuration of a DeepSeek decoder.

use super::{DeepSeek, DeepSeekAttentionConfig, DeepSeekBlock, FeedForward, MultiTokenPrediction};
use crate::ModelError;
use crate::decoder::{assert_no_leak, check_leak};
use burn::config::Config;
use burn::module::Initializer;
use burn::nn::{EmbeddingConfig, LinearConfig, RmsNormConfig};
use burn::tensor::Device;
use moe_experts::{ExpertsConfig, MoeLayerConfig};
use moe_router::{Router, RouterConfig, RouterShape};

/// Configuration to create a [`DeepSeek`] decoder.
#[derive(Config, Debug)]
pub struct DeepSeekConfig {
    /// The number of vocabulary entries.
    pub vocab_size: usize,
    /// The number of layers, dense ones included.
    pub n_layers: usize,
    /// The number of layers at the start that are dense. Default: 0
    #[config(default = 0)]
    pub n_dense_layers: usize,
    /// Of the layers after them, those whose index divided by this leaves `moe_offset` are mixtures of experts.
    /// Default: 1
    #[config(default = 1)]
    pub moe_every: usize,
    /// The remainder of a mixture's index. Default: 0
    #[config(default = 0)]
    pub moe_offset: usize,
    /// Further layers that are dense, by their indices. Default: none
    #[config(default = "Vec::new()")]
    pub dense_layers: Vec<usize>,
    /// The hidden width of a dense layer's feed-forward; to be set where there is such a layer. Default: 0
    #[config(default = 0)]
    pub d_dense: usize,
    /// The epsilon of the RMS norms. Default: 1e-6
    #[config(default = 1e-6)]
    pub norm_eps: f64,
    /// The attention of each layer; its `d_model` is the model's width.
    pub attention: DeepSeekAttentionConfig,
    /// The experts of each MoE layer.
    pub moe: MoeLayerConfig,
    /// The number of modules that predict further tokens. Default: 0
    #[config(default = 0)]
    pub n_mtp_layers: usize,
    /// True if the output head is the embedding, transposed. Default: false
    #[config(default = false)]
    pub tied_embeddings: bool,
    /// True if a router that is not causal is allowed. Default: false
    #[config(default = false)]
    pub allow_leak: bool,
}

impl DeepSeekConfig {
    /// The width of the model.
    pub fn d_model(&self) -> usize {
        self.moe.d_model
    }

    /// Tells whether a layer is a mixture of experts. The modules that predict further follow the rule too,
    /// as layers after the last.
    pub fn is_moe(&self, layer: usize) -> bool {
        layer >= self.n_dense_layers
            && layer.checked_rem(self.moe_every) == Some(self.moe_offset)
            && !self.dense_layers.contains(&layer)
    }

    /// The number of layers with experts, without those of modules that predict further tokens.
    pub fn n_moe_layers(&self) -> usize {
        let layers = 0..self.n_layers;
        layers.filter(|&layer| self.is_moe(layer)).count()
    }

    /// The feed-forward of a dense layer.
    pub fn dense(&self) -> ExpertsConfig {
        ExpertsConfig::new(self.d_model(), 1, self.d_dense).with_activation(self.moe.activation)
    }

    /// Shape that the router of a layer is built for.
    pub fn router_shape(&self, layer: usize) -> RouterShape {
        RouterShape {
            d_model: self.moe.d_model,
            n_experts: self.moe.n_experts,
            layer,
        }
    }

    /// Checks that all sizes fit together and that the router may be used in a decoder.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self, router: &RouterConfig) -> Result<(), ModelError> {
        let some_dense = (0..self.n_layers).any(|layer| !self.is_moe(layer));
        for (key, value) in [
            ("data.vocab_size", self.vocab_size),
            ("model.n_layers", self.n_layers),
            ("model.moe_every", self.moe_every),
            ("model.d_dense", if some_dense { self.d_dense } else { 1 }),
            ("experts.n_experts", self.moe.n_experts),
            ("experts.d_expert", self.moe.d_expert),
        ] {
            if value == 0 {
                return Err(ModelError::Zero { key });
            }
        }
        self.attention.validate()?;
        if self.attention.d_model() != self.d_model() {
            return Err(ModelError::Width {
                attention: self.attention.d_model(),
                experts: self.d_model(),
            });
        }
        if self.n_moe_layers() == 0 {
            return Ok(());
        }
        router.validate(self.moe.n_experts)?;
        check_leak(router, self.allow_leak)
    }

    /// Checks that several experts are in some layer. A published model may be cut to its dense layers; whoever
    /// asks a run for experts is to have them.
    ///
    /// # Errors
    ///
    /// Returns the numbers of layers and of experts.
    pub fn check_mixtures(&self) -> Result<(), ModelError> {
        if self.n_moe_layers() > 0 || self.moe.n_experts == 1 {
            return Ok(());
        }
        Err(ModelError::AllDense {
            n_layers: self.n_layers,
            n_experts: self.moe.n_experts,
        })
    }

    /// Builds the decoder with the router that `router` makes for each MoE layer.
    ///
    /// # Panics
    ///
    /// Panics if a router is not causal and `allow_leak` is not set.
    pub fn init<R: Router>(
        &self,
        router: impl Fn(&RouterShape) -> R,
        device: &Device,
    ) -> DeepSeek<R> {
        let d_model = self.d_model();
        let norm = self.norm();
        let projection = |from, to| LinearConfig::new(from, to).with_bias(false).init(device);
        let std = 1.0 / (d_model as f64).sqrt();
        let further = self.n_layers..self.n_layers + self.n_mtp_layers;
        DeepSeek {
            embedding: EmbeddingConfig::new(self.vocab_size, d_model)
                .with_initializer(Initializer::Normal { mean: 0.0, std })
                .init(device),
            layers: (0..self.n_layers)
                .map(|layer| self.block(layer, &router, device))
                .collect(),
            norm: norm.init(device),
            head: (!self.tied_embeddings).then(|| projection(d_model, self.vocab_size)),
            mtp: further
                .map(|layer| MultiTokenPrediction {
                    embedding_norm: norm.init(device),
                    hidden_norm: norm.init(device),
                    projection: projection(2 * d_model, d_model),
                    block: self.block(layer, &router, device),
                    norm: norm.init(device),
                })
                .collect(),
        }
    }

    fn norm(&self) -> RmsNormConfig {
        RmsNormConfig::new(self.d_model()).with_epsilon(self.norm_eps)
    }

    fn block<R: Router>(
        &self,
        layer: usize,
        router: &impl Fn(&RouterShape) -> R,
        device: &Device,
    ) -> DeepSeekBlock<R> {
        let feed_forward = if self.is_moe(layer) {
            let router = router(&self.router_shape(layer));
            assert_no_leak(&router, self.allow_leak);
            FeedForward::Experts(self.moe.init_with(router, device))
        } else {
            FeedForward::Dense(self.dense().init(device))
        };
        DeepSeekBlock {
            attention_norm: self.norm().init(device),
            attention: self.attention.init(device),
            feed_forward_norm: self.norm().init(device),
            feed_forward,
        }
    }
}
