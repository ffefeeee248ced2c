//! The size and cost of a model, without building it.
//!
//! A multiplication with its addition counts as 2 FLOP; the backward pass costs twice the forward
//! pass. Normalisation, activations, softmax, routing decisions and the mixing maps of soft slots are
//! left out.

use crate::MixtralConfig;
use moe_router::RouterConfig;
use serde::Serialize;

/// The size and cost of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Account {
    /// All parameters, the routers' untrained state included.
    pub params_total: usize,
    /// The parameters of the embedding and the output head.
    pub params_embedding: usize,
    /// The parameters of modules that predict further tokens, which generation can do without.
    pub params_mtp: usize,
    /// The parameters that a token passes through, with both the embedding and the head.
    pub params_active: usize,
    /// `params_active` without the embedding table, of which a token reads one row.
    pub params_active_head_only: usize,
    /// `params_active` with neither.
    pub params_active_no_embedding: usize,
    /// FLOP of a token, forward, at the mean causal context of the sequence length.
    pub flops_per_token: u64,
    /// FLOP of a token, forward and backward, modules that predict further tokens included.
    pub flops_per_token_training: u64,
    /// Bytes of keys and values that a token adds to the cache, in f32.
    pub kv_bytes_per_token: usize,
    /// The memory of training.
    pub memory: MemoryEstimate,
}

/// Bytes that training in f32 needs: exact for weights, gradients and optimizer, an estimate for
/// activations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryEstimate {
    /// The weights.
    pub weights_bytes: usize,
    /// Their gradients.
    pub gradients_bytes: usize,
    /// AdamW's two moments.
    pub optimizer_bytes: usize,
    /// Bytes that the backward pass keeps of a batch: an estimate.
    pub activations_bytes: usize,
}

pub(crate) const F32: usize = 4;

impl MixtralConfig {
    /// The size and cost of the model with a router, trained on batches of `batch_size` sequences of
    /// `seq_length` tokens.
    pub fn account(&self, router: &RouterConfig, batch_size: usize, seq_length: usize) -> Account {
        let (d, n) = (self.d_model(), self.n_layers);
        let per_token = router.experts_per_token(self.moe.n_experts);
        let embedding = self.vocab_size * d;
        let routers: usize = (0..n)
            .map(|layer| router.n_params(&self.router_shape(layer)))
            .sum();
        let outside_experts = n * (self.attention.n_params() + 2 * d) + d + routers;
        let body_active = outside_experts + n * self.moe.n_params_active(per_token);
        let tables = if self.tied_embeddings { 1 } else { 2 };
        let total = tables * embedding + outside_experts + n * self.moe.n_params();

        // a causal token sees (L + 1) / 2 keys on average
        let attention = self.attention.flops_per_token(seq_length);
        let gate = 2 * routers as u64;
        let rows = router.rows_per_token(self.moe.n_experts, seq_length);
        let experts = 2 * self.moe.n_params_active(rows) as u64;
        let flops = n as u64 * (attention + experts) + gate + 2 * embedding as u64;
        Account {
            params_total: total,
            params_embedding: tables * embedding,
            params_mtp: 0,
            params_active: body_active + tables * embedding,
            params_active_head_only: body_active + embedding,
            params_active_no_embedding: body_active,
            flops_per_token: flops,
            flops_per_token_training: 3 * flops,
            kv_bytes_per_token: n * self.attention.kv_bytes_per_token(F32),
            memory: MemoryEstimate {
                weights_bytes: total * F32,
                gradients_bytes: total * F32,
                optimizer_bytes: 2 * total * F32,
                activations_bytes: self.activations(rows, batch_size * seq_length) * F32,
            },
        }
    }

    /// Numbers kept for the backward pass: of each layer the residual stream and its norms (6 D),
    /// queries, keys, values and the attention's output, and each expert's pre-activations; and the
    /// logits with their softmax.
    fn activations(&self, rows_per_token: f64, n_tokens: usize) -> usize {
        let d = self.d_model();
        let heads = 2
            * (self.attention.n_heads + self.attention.n_kv_heads)
            * self.attention.resolved_head_dim();
        let stacks = self.moe.activation.n_stacks() - 1;
        let width = rows_per_token * self.moe.d_expert as f64
            + (self.moe.n_shared_experts * self.moe.d_expert) as f64;
        let experts = (stacks as f64 * width) as usize;
        let scores = 3 * self.moe.n_experts;
        n_tokens * (self.n_layers * (6 * d + heads + experts + scores) + 2 * self.vocab_size)
    }
}
