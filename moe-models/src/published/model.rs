//! From a published configuration to the decoder and the router that it describes.

use super::{PublishedConfig, PublishedMixtral};
use crate::{AnyDecoder, DecoderConfig, MixtralConfig};
use burn::tensor::Device;
use moe_attention::GroupedQueryAttentionConfig;
use moe_experts::{Activation, Dispatch, MoeLayerConfig};
use moe_router::{MixtralConfig as MixtralRouterConfig, RouterConfig, RouterShape};

/// Angles of more positions than these are computed when they are met.
const TABLED_POSITIONS: usize = 4096;

/// A decoder and the router of its mixtures.
#[derive(Debug, Clone)]
pub struct PublishedModel {
    /// The decoder.
    pub decoder: DecoderConfig,
    /// The router.
    pub router: RouterConfig,
}

impl PublishedModel {
    /// Builds the decoder, its weights not drawn until they are touched.
    pub fn init(&self, device: &Device) -> AnyDecoder {
        let router = |shape: &RouterShape| self.router.init(shape, device);
        match &self.decoder {
            DecoderConfig::Mixtral(config) => AnyDecoder::Mixtral(config.init(router, device)),
            DecoderConfig::DeepSeek(config) => AnyDecoder::DeepSeek(config.init(router, device)),
        }
    }
}

impl PublishedConfig {
    /// The decoder and the router that this describes; none for a family that is known for its sizes
    /// alone.
    pub fn model(&self) -> Option<PublishedModel> {
        match self {
            Self::Mixtral(published) => Some(published.model()),
            Self::DeepSeek(_) => None,
            Self::Olmoe(_) => None,
        }
    }
}

impl PublishedMixtral {
    fn model(&self) -> PublishedModel {
        let common = &self.common;
        let attention = GroupedQueryAttentionConfig::new(
            common.hidden_size,
            common.num_attention_heads,
            common.num_key_value_heads,
        )
        .with_head_dim(common.head_dim.unwrap_or(0))
        .with_rope_theta(common.rope.theta)
        .with_max_seq_length(common.max_position_embeddings.min(TABLED_POSITIONS))
        .with_sliding_window(self.sliding_window);
        let decoder = MixtralConfig {
            vocab_size: common.vocab_size,
            n_layers: common.num_hidden_layers,
            norm_eps: common.rms_norm_eps,
            attention,
            moe: MoeLayerConfig {
                d_model: common.hidden_size,
                n_experts: self.num_local_experts,
                d_expert: common.intermediate_size,
                n_shared_experts: 0,
                activation: Activation::SwiGlu,
                dispatch: Dispatch::Grouped,
            },
            tied_embeddings: common.tie_word_embeddings,
            allow_leak: false,
        };
        PublishedModel {
            decoder: DecoderConfig::Mixtral(decoder),
            router: RouterConfig::Mixtral(MixtralRouterConfig {
                top_k: self.num_experts_per_tok,
            }),
        }
    }
}
