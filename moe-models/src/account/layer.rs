//! Size and cost of the parts of a decoder layer.

use moe_attention::{GroupedQueryAttentionConfig, QkNorm};
use moe_experts::{ExpertsConfig, MoeLayerConfig};
use moe_router::{RouterConfig, RouterShape};
use std::iter::Sum;

/// Size and cost of a part of a decoder layer, or of several.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LayerAccount {
    /// All parameters.
    pub(crate) params: usize,
    /// The parameters that a token passes through.
    pub(crate) active: usize,
    /// FLOP of a token, forward.
    pub(crate) flops: u64,
    /// Numbers kept of a token for the backward pass: an estimate.
    pub(crate) kept: usize,
}

impl LayerAccount {
    /// Norms of width `d_model`, each with the residual stream before and after its branch.
    pub(crate) fn norms(n_norms: usize, d_model: usize) -> Self {
        Self {
            params: n_norms * d_model,
            active: n_norms * d_model,
            flops: 0,
            kept: 3 * n_norms * d_model,
        }
    }

    /// Grouped-query attention in sequences of `seq_length` tokens. Kept are queries, keys, values and the
    /// heads' outputs; where there are norms of queries and keys, their inputs too.
    pub(crate) fn attention(config: &GroupedQueryAttentionConfig, seq_length: usize) -> Self {
        let heads = config.n_heads + config.n_kv_heads;
        let copies = if config.qk_norm == QkNorm::None { 2 } else { 3 };
        Self {
            params: config.n_params(),
            active: config.n_params(),
            flops: config.flops_per_token(seq_length),
            kept: copies * heads * config.resolved_head_dim(),
        }
    }

    /// A feed-forward that every token passes through. Kept are the pre-activations.
    pub(crate) fn dense(config: &ExpertsConfig) -> Self {
        let params = config.n_params();
        Self {
            params,
            active: params,
            flops: 2 * params as u64,
            kept: (config.activation.n_stacks() - 1) * config.d_expert,
        }
    }

    /// A router and its experts. Kept are the pre-activations and, of each expert, three scores.
    pub(crate) fn mixture(
        moe: &MoeLayerConfig,
        router: &RouterConfig,
        shape: &RouterShape,
        seq_length: usize,
    ) -> Self {
        let gate = router.n_params(shape);
        let experts = router.experts_per_token(moe.n_experts);
        let rows = router.rows_per_token(moe.n_experts, seq_length);
        let stacks = moe.activation.n_stacks() - 1;
        let width = (rows + moe.n_shared_experts as f64) * moe.d_expert as f64;
        Self {
            params: moe.n_params() + gate,
            active: moe.n_params_active(experts) + gate,
            flops: 2 * (moe.n_params_active(rows) + gate) as u64,
            kept: (stacks as f64 * width) as usize + 3 * moe.n_experts,
        }
    }
}

impl Sum for LayerAccount {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            params: sum.params + part.params,
            active: sum.active + part.active,
            flops: sum.flops + part.flops,
            kept: sum.kept + part.kept,
        })
    }
}
