//! Size and cost of a DeepSeek decoder.

use super::DeepSeekConfig;
use crate::account::{F32, LayerAccount};
use crate::{Account, MemoryEstimate};
use moe_router::RouterConfig;

impl DeepSeekConfig {
    /// The size and cost of the model with a router, trained on batches of `batch_size` sequences of
    /// `seq_length` tokens. Modules that predict further tokens count in the total and in training,
    /// not in what is active.
    pub fn account(&self, router: &RouterConfig, batch_size: usize, seq_length: usize) -> Account {
        let d = self.d_model();
        let sum = |layers: std::ops::Range<usize>| -> LayerAccount {
            let layers = layers.flat_map(|layer| self.layer(layer, router, seq_length));
            layers.sum()
        };
        let body = sum(0..self.n_layers);
        let further = sum(self.n_layers..self.n_layers + self.n_mtp_layers);
        // beside its layer a module has three norms and the projection of both halves
        let beside = 3 * d + 2 * d * d;
        let params_mtp = further.params + self.n_mtp_layers * beside;

        let table = self.vocab_size * d;
        let tables = if self.tied_embeddings { 1 } else { 2 } * table;
        let active = body.active + d;
        let total = tables + body.params + d + params_mtp;
        let flops = body.flops + 2 * table as u64;
        let flops_mtp = further.flops + (self.n_mtp_layers * (2 * 2 * d * d + 2 * table)) as u64;
        let kept = body.kept
            + further.kept
            + (1 + self.n_mtp_layers) * 2 * self.vocab_size
            + self.n_mtp_layers * 5 * d;
        Account {
            params_total: total,
            params_embedding: tables,
            params_mtp,
            params_active: active + tables,
            params_active_head_only: active + table,
            params_active_no_embedding: active,
            flops_per_token: flops,
            flops_per_token_training: 3 * (flops + flops_mtp),
            kv_bytes_per_token: self.n_layers * self.attention.kv_bytes_per_token(F32),
            memory: MemoryEstimate {
                weights_bytes: total * F32,
                gradients_bytes: total * F32,
                optimizer_bytes: 2 * total * F32,
                activations_bytes: batch_size * seq_length * kept * F32,
            },
        }
    }

    fn layer(&self, layer: usize, router: &RouterConfig, seq_length: usize) -> [LayerAccount; 3] {
        let attention = self.attention.account(seq_length);
        let feed_forward = if self.is_moe(layer) {
            LayerAccount::mixture(&self.moe, router, &self.router_shape(layer), seq_length)
        } else {
            LayerAccount::dense(&self.dense())
        };
        [
            LayerAccount::norms(2, self.d_model()),
            attention,
            feed_forward,
        ]
    }
}
