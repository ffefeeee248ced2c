//! Configuration of the Switch Transformer.

use super::{Switch, SwitchBlock, SwitchFeedForward, SwitchStack, block::CrossAttention};
use crate::ModelError;
use crate::decoder::{assert_no_leak, check_leak};
use burn::config::Config;
use burn::module::Initializer;
use burn::nn::{EmbeddingConfig, LinearConfig, RmsNormConfig};
use burn::tensor::Device;
use moe_attention::{Directions, RelativePositionBiasConfig, T5AttentionConfig};
use moe_experts::{ExpertsConfig, MoeLayerConfig};
use moe_router::{Router, RouterConfig, RouterShape};

/// Configuration to create a [`Switch`] model.
#[derive(Config, Debug, PartialEq)]
pub struct SwitchConfig {
    /// The number of vocabulary entries.
    pub vocab_size: usize,
    /// The encoder's layers.
    pub encoder: SwitchStackConfig,
    /// The decoder's layers.
    pub decoder: SwitchStackConfig,
    /// The number of heads of every attention.
    pub n_heads: usize,
    /// The width of a head; all heads together need not be as wide as the model. Default: 64
    #[config(default = 64)]
    pub head_dim: usize,
    /// The number of buckets of relative distances. Default: 32
    #[config(default = 32)]
    pub n_buckets: usize,
    /// Distances from here on share a bucket. Default: 128
    #[config(default = 128)]
    pub max_distance: usize,
    /// The hidden width of a dense layer's feed-forward.
    pub d_dense: usize,
    /// The experts of each sparse layer; their activation is that of dense layers too.
    pub moe: MoeLayerConfig,
    /// The epsilon of the RMS norms. Default: 1e-6
    #[config(default = 1e-6)]
    pub norm_eps: f64,
    /// Tables of tokens. Default: tied
    #[config(default = "Embeddings::Tied")]
    pub embeddings: Embeddings,
    /// Treatment of padding by routers. Default: left out
    #[config(default = "PaddedTokens::LeftOut")]
    pub padded_tokens: PaddedTokens,
    /// The width of the noise that multiplies in training what a sparse layer's router and experts
    /// see, as the published code has it in 32 bits. A router's own jitter reaches the router alone.
    /// Default: 0
    #[config(default = 0.0)]
    pub input_jitter: f64,
    /// True if a router that is not causal is allowed in the decoder. Default: false
    #[config(default = false)]
    pub allow_leak: bool,
}

/// The layers of an encoder or a decoder and which of them are sparse.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub struct SwitchStackConfig {
    /// The number of layers.
    pub n_layers: usize,
    /// Layer `i` is sparse if `i % sparse_step` is 1, or if the step is 1; none is if it is 0.
    pub sparse_step: usize,
}

/// Tables of tokens.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Embeddings {
    /// One for encoder, decoder and head; the head's input is multiplied by `d_model^-0.5`.
    Tied,
    /// One for each of the three.
    Untied,
    /// One for each of the three, beside one that nothing reads: files of untied published models have
    /// it.
    UntiedBesideUnused,
}

/// Treatment of padding by routers.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum PaddedTokens {
    /// They leave it out: it takes no place and counts in no loss.
    LeftOut,
    /// They route it as any token, and it takes places: the published code.
    Routed,
}

impl SwitchStackConfig {
    /// A stack of which `n_sparse` layers are sparse, as the published code spreads them: every
    /// `n_layers / n_sparse`-th, the second first. No sparse layer at all is asked for in vain: the
    /// second layer is sparse then, or the only one.
    pub fn of_sparse(n_layers: usize, n_sparse: usize) -> Self {
        Self {
            n_layers,
            sparse_step: n_layers.checked_div(n_sparse).unwrap_or(n_layers),
        }
    }

    /// Tells whether a layer is sparse.
    pub fn is_sparse(&self, layer: usize) -> bool {
        match self.sparse_step {
            0 => false,
            1 => true,
            step => layer % step == 1,
        }
    }

    /// The sparse layers.
    pub fn sparse_layers(&self) -> Vec<usize> {
        (0..self.n_layers)
            .filter(|layer| self.is_sparse(*layer))
            .collect()
    }
}

impl SwitchConfig {
    /// The width of the model.
    pub fn d_model(&self) -> usize {
        self.moe.d_model
    }

    /// The attention of every layer.
    pub fn attention(&self) -> T5AttentionConfig {
        T5AttentionConfig::new(self.d_model(), self.n_heads, self.head_dim)
    }

    /// The relative position bias of a stack.
    pub fn position_bias(&self) -> RelativePositionBiasConfig {
        RelativePositionBiasConfig::new(self.n_heads)
            .with_n_buckets(self.n_buckets)
            .with_max_distance(self.max_distance)
    }

    /// The feed-forward of a dense layer.
    pub fn dense(&self) -> ExpertsConfig {
        ExpertsConfig::new(self.d_model(), 1, self.d_dense).with_activation(self.moe.activation)
    }

    /// Shape that the router of a layer is built for; the decoder's layers are numbered on from the encoder's.
    pub fn router_shape(&self, layer: usize) -> RouterShape {
        RouterShape {
            d_model: self.d_model(),
            n_experts: self.moe.n_experts,
            layer,
        }
    }

    /// Tells whether a layer of [`router_shape`](Self::router_shape) is the decoder's.
    pub fn is_of_decoder(&self, layer: usize) -> bool {
        layer >= self.encoder.n_layers
    }

    /// Checks that all sizes fit together, and that the routers fit encoder and decoder.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(
        &self,
        encoder_router: &RouterConfig,
        decoder_router: &RouterConfig,
    ) -> Result<(), ModelError> {
        for (key, value) in [
            ("data.vocab_size", self.vocab_size),
            ("model.n_layers", self.encoder.n_layers),
            ("model.n_decoder_layers", self.decoder.n_layers),
            ("model.d_dense", self.d_dense),
            ("experts.n_experts", self.moe.n_experts),
            ("experts.d_expert", self.moe.d_expert),
        ] {
            if value == 0 {
                return Err(ModelError::Zero { key });
            }
        }
        self.attention().validate()?;
        self.position_bias().validate()?;
        if !(0.0..1.0).contains(&self.input_jitter) {
            return Err(ModelError::Jitter(self.input_jitter));
        }
        encoder_router.validate(self.moe.n_experts)?;
        decoder_router.validate(self.moe.n_experts)?;
        check_leak(decoder_router, self.allow_leak)
    }

    /// Builds the model with the router that `router` makes for each sparse layer.
    ///
    /// # Panics
    ///
    /// Panics if a router of the decoder is not causal and `allow_leak` is not set.
    pub fn init<R: Router>(
        &self,
        router: impl Fn(&RouterShape) -> R,
        device: &Device,
    ) -> Switch<R> {
        let std = 1.0 / (self.d_model() as f64).sqrt();
        let table = || {
            EmbeddingConfig::new(self.vocab_size, self.d_model())
                .with_initializer(Initializer::Normal { mean: 0.0, std })
                .init(device)
        };
        let untied = self.embeddings != Embeddings::Tied;
        Switch {
            embedding: table(),
            decoder_embedding: untied.then(table),
            unused_embedding: (self.embeddings == Embeddings::UntiedBesideUnused).then(table),
            encoder: self.stack(Side::Encoder, &router, device),
            decoder: self.stack(Side::Decoder, &router, device),
            head: untied.then(|| {
                LinearConfig::new(self.d_model(), self.vocab_size)
                    .with_bias(false)
                    .init(device)
            }),
            padded_tokens: self.padded_tokens,
        }
    }

    fn norm(&self) -> RmsNormConfig {
        RmsNormConfig::new(self.d_model()).with_epsilon(self.norm_eps)
    }

    fn stack<R: Router>(
        &self,
        side: Side,
        router: &impl Fn(&RouterShape) -> R,
        device: &Device,
    ) -> SwitchStack<R> {
        let (stack, directions, first_layer) = match side {
            Side::Encoder => (&self.encoder, Directions::Both, 0),
            Side::Decoder => (&self.decoder, Directions::Past, self.encoder.n_layers),
        };
        SwitchStack {
            position_bias: self.position_bias().init(directions, device),
            layers: (0..stack.n_layers)
                .map(|layer| SwitchBlock {
                    attention_norm: self.norm().init(device),
                    attention: self.attention().init(device),
                    cross: (side == Side::Decoder).then(|| CrossAttention {
                        norm: self.norm().init(device),
                        attention: self.attention().init(device),
                    }),
                    feed_forward_norm: self.norm().init(device),
                    feed_forward: if stack.is_sparse(layer) {
                        self.sparse(side, first_layer + layer, router, device)
                    } else {
                        SwitchFeedForward::Dense(self.dense().init(device))
                    },
                })
                .collect(),
            norm: self.norm().init(device),
            first_layer,
            input_jitter: self.input_jitter,
        }
    }

    fn sparse<R: Router>(
        &self,
        side: Side,
        layer: usize,
        router: &impl Fn(&RouterShape) -> R,
        device: &Device,
    ) -> SwitchFeedForward<R> {
        let router = router(&self.router_shape(layer));
        assert_no_leak(&router, side == Side::Encoder || self.allow_leak);
        SwitchFeedForward::Experts(self.moe.init_with(router, device))
    }
}

/// One of the two stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Encoder,
    Decoder,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_layers_are_spread_as_published() {
        let layers =
            |n_layers, n_sparse| SwitchStackConfig::of_sparse(n_layers, n_sparse).sparse_layers();
        assert_eq!(layers(12, 6), [1, 3, 5, 7, 9, 11]);
        assert_eq!(layers(12, 3), [1, 5, 9]);
        assert_eq!(layers(5, 2), [1, 3]); // 5 / 2 = 2
        assert_eq!(layers(3, 3), [0, 1, 2]);
        assert_eq!(layers(3, 2), [0, 1, 2]); // 3 / 2 = 1: all of them
        assert_eq!(layers(4, 0), [1]); // the published code's: not none
        assert_eq!(layers(1, 0), [0]);
        assert!(layers(2, 3).is_empty()); // 2 / 3 = 0
    }
}
