//! Size and cost of a DeepSeek decoder.

use super::DeepSeekConfig;
use crate::account::F32;
use crate::{Account, MemoryEstimate};
use moe_router::RouterConfig;

/// Size and cost of one layer.
#[derive(Debug, Clone, Copy, Default)]
struct Layer {
    params: usize,
    active: usize,
    /// FLOP of a token, forward.
    flops: u64,
    /// Numbers kept of a token for the backward pass.
    kept: usize,
}

impl Layer {
    fn plus(self, other: Self) -> Self {
        Self {
            params: self.params + other.params,
            active: self.active + other.active,
            flops: self.flops + other.flops,
            kept: self.kept + other.kept,
        }
    }
}

impl DeepSeekConfig {
    /// The size and cost of the model with a router, trained on batches of `batch_size` sequences of
    /// `seq_length` tokens. Modules that predict further tokens count in the total and in training,
    /// not in what is active.
    pub fn account(&self, router: &RouterConfig, batch_size: usize, seq_length: usize) -> Account {
        let d = self.d_model();
        let sum = |layers: std::ops::Range<usize>| {
            layers
                .map(|layer| self.layer(layer, router, seq_length))
                .fold(Layer::default(), Layer::plus)
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

    fn layer(&self, layer: usize, router: &RouterConfig, seq_length: usize) -> Layer {
        let d = self.d_model();
        let attention = Layer {
            params: self.attention.n_params() + 2 * d,
            active: self.attention.n_params() + 2 * d,
            flops: self.attention.flops_per_token(seq_length),
            kept: 6 * d + self.attention.kept_per_token(),
        };
        attention.plus(if self.is_moe(layer) {
            self.experts(layer, router, seq_length)
        } else {
            let params = self.dense().n_params();
            let stacks = self.moe.activation.n_stacks() - 1;
            Layer {
                params,
                active: params,
                flops: 2 * params as u64,
                kept: stacks * self.d_dense,
            }
        })
    }

    fn experts(&self, layer: usize, router: &RouterConfig, seq_length: usize) -> Layer {
        let gate = router.n_params(&self.router_shape(layer));
        let experts = router.experts_per_token(self.moe.n_experts);
        let rows = router.rows_per_token(self.moe.n_experts, seq_length);
        let stacks = self.moe.activation.n_stacks() - 1;
        let width = (rows + self.moe.n_shared_experts as f64) * self.moe.d_expert as f64;
        Layer {
            params: self.moe.n_params() + gate,
            active: self.moe.n_params_active(experts) + gate,
            flops: 2 * (self.moe.n_params_active(rows) + gate) as u64,
            kept: (stacks as f64 * width) as usize + 3 * self.moe.n_experts,
        }
    }
}
