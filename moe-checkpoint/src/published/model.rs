//! From a published configuration to the decoder and the router that it describes.

use super::{
    Common, DeepSeekGeneration, PublishedConfig, PublishedDeepSeek, PublishedLatent,
    PublishedLlama, PublishedMixtral, PublishedOlmoe, PublishedQwen3Moe,
};
use burn::tensor::Device;
use moe_attention::{
    GroupedQueryAttentionConfig, MultiHeadLatentAttentionConfig, QkNorm, RotaryLayout, YarnConfig,
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
    /// The decoder and the router that this describes.
    pub fn model(&self) -> PublishedModel {
        match self {
            Self::Mixtral(published) => published.model(),
            Self::DeepSeek(published) => published.model(),
            Self::Olmoe(published) => published.model(),
            Self::Qwen3Moe(published) => published.model(),
            Self::Llama(published) => published.model(),
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
        .with_qk_norm_eps(self.rms_norm_eps)
    }

    /// A decoder with grouped-query attention, of layers that may be dense.
    fn layers(
        &self,
        attention: GroupedQueryAttentionConfig,
        experts: MoeLayerConfig,
    ) -> DeepSeekConfig {
        let attention = DeepSeekAttentionConfig::Gqa(attention);
        DeepSeekConfig::new(self.vocab_size, self.num_hidden_layers, attention, experts)
            .with_d_dense(self.intermediate_size)
            .with_norm_eps(self.rms_norm_eps)
            .with_tied_embeddings(self.tie_word_embeddings)
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

impl PublishedOlmoe {
    fn model(&self) -> PublishedModel {
        let common = &self.common;
        let attention = common.grouped_query_attention();
        let attention = attention
            .with_qk_norm(QkNorm::Width)
            .with_clip_qkv(self.clip_qkv);
        let experts = MoeLayerConfig::new(
            common.hidden_size,
            self.num_experts,
            common.intermediate_size,
        );
        let decoder = MixtralConfig::new(
            common.vocab_size,
            common.num_hidden_layers,
            attention,
            experts,
        )
        .with_norm_eps(common.rms_norm_eps)
        .with_tied_embeddings(common.tie_word_embeddings);
        PublishedModel {
            decoder: DecoderConfig::Mixtral(decoder),
            router: softmax_top_k(self.num_experts_per_tok, self.norm_topk_prob),
        }
    }
}

impl PublishedQwen3Moe {
    fn model(&self) -> PublishedModel {
        let common = &self.common;
        let attention = common.grouped_query_attention();
        let attention = attention
            .with_qk_norm(QkNorm::Heads)
            .with_sliding_window(self.sliding_window);
        let experts = MoeLayerConfig::new(
            common.hidden_size,
            self.num_experts,
            self.moe_intermediate_size,
        );
        let decoder = common
            .layers(attention, experts)
            .with_moe_every(self.decoder_sparse_step)
            .with_moe_offset(self.decoder_sparse_step - 1)
            .with_dense_layers(self.mlp_only_layers.clone());
        PublishedModel {
            decoder: DecoderConfig::DeepSeek(decoder),
            router: softmax_top_k(self.num_experts_per_tok, self.norm_topk_prob),
        }
    }
}

impl PublishedLlama {
    fn model(&self) -> PublishedModel {
        let common = &self.common;
        let none = MoeLayerConfig::new(common.hidden_size, 1, common.intermediate_size);
        let decoder = common
            .layers(common.grouped_query_attention(), none)
            .with_n_dense_layers(common.num_hidden_layers);
        PublishedModel {
            decoder: DecoderConfig::DeepSeek(decoder),
            router: softmax_top_k(1, false),
        }
    }
}

/// The router of OLMoE and Qwen3-MoE: the largest of the softmax over all experts.
fn softmax_top_k(top_k: usize, norm_topk_prob: bool) -> RouterConfig {
    RouterConfig::DeepSeekMoe(DeepSeekMoeRouterConfig {
        top_k,
        norm_topk_prob,
    })
}

impl PublishedDeepSeek {
    fn model(&self) -> PublishedModel {
        let common = &self.common;
        let decoder = DeepSeekConfig {
            vocab_size: common.vocab_size,
            n_layers: common.num_hidden_layers,
            n_dense_layers: self.first_k_dense_replace,
            moe_every: self.moe_layer_freq,
            moe_offset: 0,
            dense_layers: Vec::new(),
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
