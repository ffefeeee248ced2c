//! The size and cost of a model, without building it.
//!
//! A multiplication with its addition counts as 2 FLOP; the backward pass costs twice the forward
//! pass. Normalisation, activations, softmax, routing decisions and the mixing maps of soft slots are
//! left out.

mod layer;

pub(crate) use layer::LayerAccount;

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

impl MemoryEstimate {
    /// All parts together.
    pub fn total(&self) -> usize {
        let Self {
            weights_bytes,
            gradients_bytes,
            optimizer_bytes,
            activations_bytes,
        } = self;
        weights_bytes + gradients_bytes + optimizer_bytes + activations_bytes
    }
}

pub(crate) const F32: usize = 4;

/// Parts of a decoder without modules that predict further tokens, for its account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecoderParts {
    /// The number of vocabulary entries.
    pub(crate) vocab_size: usize,
    /// The width of the model.
    pub(crate) d_model: usize,
    /// The number of tables of the vocabulary: 1 if the head is the embedding, transposed, else 2.
    pub(crate) n_tables: usize,
    /// All layers together.
    pub(crate) layers: LayerAccount,
    /// Bytes of keys and values that a token adds to the cache.
    pub(crate) kv_bytes_per_token: usize,
}

impl DecoderParts {
    /// The size and cost of the decoder, trained on batches of `n_tokens` tokens.
    pub(crate) fn account(&self, n_tokens: usize) -> Account {
        let table = self.vocab_size * self.d_model;
        let tables = self.n_tables * table;
        // the final norm
        let active = self.layers.active + self.d_model;
        let total = tables + self.layers.params + self.d_model;
        let flops = self.layers.flops + 2 * table as u64;
        // the logits and their softmax
        let kept = self.layers.kept + 2 * self.vocab_size;
        Account {
            params_total: total,
            params_embedding: tables,
            params_mtp: 0,
            params_active: active + tables,
            params_active_head_only: active + table,
            params_active_no_embedding: active,
            flops_per_token: flops,
            flops_per_token_training: 3 * flops,
            kv_bytes_per_token: self.kv_bytes_per_token,
            memory: MemoryEstimate {
                weights_bytes: total * F32,
                gradients_bytes: total * F32,
                optimizer_bytes: 2 * total * F32,
                activations_bytes: n_tokens * kept * F32,
            },
        }
    }
}
