//! Configuration of Mixtral.

use super::{Mixtral, MixtralBlock};
use crate::ModelError;
use crate::decoder::{assert_no_leak, check_leak};
use burn::config::Config;
use burn::module::Initializer;
use burn::nn::{EmbeddingConfig, LinearConfig, RmsNormConfig};
use burn::tensor::Device;
use moe_attention::GroupedQueryAttentionConfig;
use moe_experts::MoeLayerConfig;
use moe_router::{Router, RouterConfig, RouterShape};

/// Configuration to create a [`Mixtral`] decoder.
#[derive(Config, Debug)]
pub struct MixtralConfig {
    /// The number of vocabulary entries.
    pub vocab_size: usize,
    /// The number of layers.
    pub n_layers: usize,
    /// The epsilon of the RMS norms. Default: 1e-5
    #[config(default = 1e-5)]
    pub norm_eps: f64,
    /// The attention of each layer; its `d_model` is the model's width.
    pub attention: GroupedQueryAttentionConfig,
    /// The experts of each layer.
    pub moe: MoeLayerConfig,
    /// True if the output head is the embedding, transposed. Default: false
    #[config(default = false)]
    pub tied_embeddings: bool,
    /// True if a router that is not causal is allowed. Default: false
    #[config(default = false)]
    pub allow_leak: bool,
}

impl MixtralConfig {
    /// The width of the model.
    pub fn d_model(&self) -> usize {
        self.moe.d_model
    }

    /// The number of layers with experts: all of them.
    pub fn n_moe_layers(&self) -> usize {
        self.n_layers
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
        for (key, value) in [
            ("data.vocab_size", self.vocab_size),
            ("model.n_layers", self.n_layers),
            ("experts.n_experts", self.moe.n_experts),
            ("experts.d_expert", self.moe.d_expert),
        ] {
            if value == 0 {
                return Err(ModelError::Zero { key });
            }
        }
        self.attention.validate()?;
        if self.attention.d_model != self.moe.d_model {
            return Err(ModelError::Width {
                attention: self.attention.d_model,
                experts: self.moe.d_model,
            });
        }
        router.validate(self.moe.n_experts)?;
        check_leak(router, self.allow_leak)
    }

    /// Builds the decoder with the router that `router` makes for each layer.
    ///
    /// # Panics
    ///
    /// Panics if a router is not causal and `allow_leak` is not set.
    pub fn init<R: Router>(
        &self,
        router: impl Fn(&RouterShape) -> R,
        device: &Device,
    ) -> Mixtral<R> {
        let norm = RmsNormConfig::new(self.d_model()).with_epsilon(self.norm_eps);
        let layers = (0..self.n_layers)
            .map(|layer| {
                let router = router(&self.router_shape(layer));
                assert_no_leak(&router, self.allow_leak);
                MixtralBlock {
                    attention_norm: norm.init(device),
                    attention: self.attention.init(device),
                    moe_norm: norm.init(device),
                    moe: self.moe.init_with(router, device),
                }
            })
            .collect();
        let std = 1.0 / (self.d_model() as f64).sqrt();
        Mixtral {
            embedding: EmbeddingConfig::new(self.vocab_size, self.d_model())
                .with_initializer(Initializer::Normal { mean: 0.0, std })
                .init(device),
            layers,
            norm: norm.init(device),
            head: (!self.tied_embeddings).then(|| {
                LinearConfig::new(self.d_model(), self.vocab_size)
                    .with_bias(false)
                    .init(device)
            }),
        }
    }
}
