//! From a published configuration to the decoder and the router that it describes.

use super::{
    Common, DeepSeekGeneration, PublishedConfig, PublishedDeepSeek, PublishedLatent,
    PublishedMixtral,
};
use burn::tensor::Device;
use moe_attention::{
    GroupedQueryAttentionConfig, MultiHeadLatentAttentionConfig, RotaryLayout, YarnConfig,
};
use moe_experts::MoeLayerConfig;
use moe_models::deepseek::{DeepSeekAttentionConfig, DeepSeekConfig};
use moe_models::{AnyDecoder, DecoderConfig, MixtralConfig};
use moe_router::RouterConfig;
use moe_router::zoo::{
    DeepSeekMoeRouterConfig, DeepSeekV2RouterConfig, DeepSeekV3RouterConfig, MixtralRouterConfig,
};

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
        self.decoder.init_unseeded(&self.router, device)
    }
}

impl PublishedConfig {
    /// The decoder and the router that this describes; none for a family that is known for its sizes
    /// alone.
    pub fn model(&self) -> Option<PublishedModel> {
        match self {
            Self::Mixtral(published) => Some(published.model()),
            Self::DeepSeek(published) => Some(published.model()),
            Self::Olmoe(_) => None,
        }
    }
}

impl Common {
    fn grouped_query_attention(&self) -> GroupedQueryAttentionConfig {
        GroupedQueryAttentionConfig::new(
            self.hidden_size,
            self.num_attention_heads,
            self.num_key_value_heads,
        )
        .with_head_dim(self.head_dim.unwrap_or(0))
        .with_rope_theta(self.rope.theta)
        .with_max_seq_length(self.tabled_positions())
    }

    fn tabled_positions(&self) -> usize {
        self.max_position_embeddings.min(TABLED_POSITIONS)
    }

    fn yarn(&self) -> Option<YarnConfig> {
        self.rope.yarn.map(|yarn| YarnConfig {
            factor: yarn.factor,
            original_max_seq_length: yarn.original_max_position_embeddings,
            beta_fast: yarn.beta_fast,
            beta_slow: yarn.beta_slow,
            mscale: yarn.mscale.unwrap_or(0.0),
            mscale_all_dim: yarn.mscale_all_dim.unwrap_or(0.0),
        })
    }
}

impl PublishedMixtral {
    fn model(&self) -> PublishedModel {
        let common = &self.common;
        let attention = common.grouped_query_attention();
        let decoder = MixtralConfig {
            vocab_size: common.vocab_size,
            n_layers: common.num_hidden_layers,
            norm_eps: common.rms_norm_eps,
            attention: attention.with_sliding_window(self.sliding_window),
            moe: MoeLayerConfig::new(
                common.hidden_size,
                self.num_local_experts,
                common.intermediate_size,
            ),
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

impl PublishedDeepSeek {
    fn model(&self) -> PublishedModel {
        let common = &self.common;
        let decoder = DeepSeekConfig {
            vocab_size: common.vocab_size,
            n_layers: common.num_hidden_layers,
            n_dense_layers: self.first_k_dense_replace,
            moe_every: self.moe_layer_freq,
            d_dense: common.intermediate_size,
            norm_eps: common.rms_norm_eps,
            attention: match &self.latent {
                None => DeepSeekAttentionConfig::Gqa(common.grouped_query_attention()),
                Some(latent) => DeepSeekAttentionConfig::Mla(self.latent_attention(latent)),
            },
            moe: MoeLayerConfig::new(
                common.hidden_size,
                self.n_routed_experts,
                self.moe_intermediate_size,
            )
            .with_n_shared_experts(self.n_shared_experts),
            n_mtp_layers: self.num_nextn_predict_layers,
            tied_embeddings: common.tie_word_embeddings,
            allow_leak: false,
        };
        PublishedModel {
            decoder: DecoderConfig::DeepSeek(decoder),
            router: self.router(),
        }
    }

    fn latent_attention(&self, latent: &PublishedLatent) -> MultiHeadLatentAttentionConfig {
        let common = &self.common;
        let layout = if latent.rope_interleave {
            RotaryLayout::Neighbours
        } else {
            RotaryLayout::Halves
        };
        MultiHeadLatentAttentionConfig::new(
            common.hidden_size,
            common.num_attention_heads,
            latent.kv_lora_rank,
            latent.qk_nope_head_dim,
            latent.qk_rope_head_dim,
            latent.v_head_dim,
        )
        .with_q_lora_rank(latent.q_lora_rank)
        .with_rope_theta(common.rope.theta)
        .with_yarn(common.yarn())
        .with_rope_layout(layout)
        .with_max_seq_length(common.tabled_positions())
    }

    fn router(&self) -> RouterConfig {
        let top_k = self.num_experts_per_tok;
        match self.generation {
            DeepSeekGeneration::V1 => RouterConfig::DeepSeekMoe(DeepSeekMoeRouterConfig {
                top_k,
                norm_topk_prob: self.norm_topk_prob,
            }),
            DeepSeekGeneration::V2 => RouterConfig::DeepSeekV2(DeepSeekV2RouterConfig {
                top_k,
                n_groups: self.n_group,
                topk_groups: self.topk_group,
                norm_topk_prob: self.norm_topk_prob,
                routed_scaling_factor: self.routed_scaling_factor,
            }),
            DeepSeekGeneration::V3 => RouterConfig::DeepSeekV3(DeepSeekV3RouterConfig {
                top_k,
                n_groups: self.n_group,
                topk_groups: self.topk_group,
                norm_topk_prob: self.norm_topk_prob,
                routed_scaling_factor: self.routed_scaling_factor,
                ..Default::default()
            }),
        }
    }
}
