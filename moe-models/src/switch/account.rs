//! Size and cost of a Switch Transformer.

use super::{Embeddings, SwitchConfig, SwitchStackConfig};
use crate::account::F32;
use crate::{Account, MemoryEstimate};
use moe_router::RouterConfig;

/// The sizes of a batch that a Switch model is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchBatch {
    /// The number of texts.
    pub size: usize,
    /// The tokens of a text.
    pub length: usize,
    /// The tokens of a target.
    pub target_length: usize,
}

/// Size and cost of a stack.
#[derive(Debug, Clone, Copy, Default)]
struct Stack {
    params: usize,
    active: usize,
    /// FLOP of a token, forward.
    flops: f64,
    /// Numbers kept of a token for the backward pass.
    kept: usize,
}

/// Size and cost of the feed-forward of a layer.
#[derive(Debug, Clone, Copy)]
struct Part {
    params: usize,
    active: usize,
    /// The parameters that the rows of a token are multiplied by.
    computed: usize,
    /// Numbers kept of a token for the backward pass.
    width: usize,
}

impl SwitchConfig {
    /// The size and cost of the model with the routers of encoder and decoder. A token is one of either
    /// stack: FLOP are the mean over those of a batch, active parameters those that a text and its
    /// target pass through together.
    pub fn account(
        &self,
        encoder_router: &RouterConfig,
        decoder_router: &RouterConfig,
        batch: SwitchBatch,
    ) -> Account {
        let (length, target) = (batch.length as f64, batch.target_length as f64);
        // an encoder's token sees all others; a decoder's sees half of its own and the whole text
        let encoder = self.account_stack(&self.encoder, encoder_router, 0, [length, 0.0]);
        let seen = [(target + 1.0) / 2.0, length];
        let n_before = self.encoder.n_layers;
        let decoder = self.account_stack(&self.decoder, decoder_router, n_before, seen);
        let table = self.vocab_size * self.d_model();
        let tables = match self.embeddings {
            Embeddings::Tied => 1,
            Embeddings::Untied => 3,
            Embeddings::UntiedBesideUnused => 4,
        };
        let body = encoder.active + decoder.active;
        let total = tables * table + encoder.params + decoder.params;
        let head = 2.0 * table as f64;
        let flops =
            (length * encoder.flops + target * (decoder.flops + head)) / (length + target).max(1.0);
        let kept = batch.length * encoder.kept
            + batch.target_length * (decoder.kept + 2 * self.vocab_size);
        Account {
            params_total: total,
            params_embedding: tables * table,
            params_mtp: 0,
            params_active: body + tables * table,
            params_active_head_only: body + table,
            params_active_no_embedding: body,
            flops_per_token: flops as u64,
            flops_per_token_training: 3 * flops as u64,
            kv_bytes_per_token: self.decoder.n_layers * 2 * self.n_heads * self.head_dim * F32,
            memory: MemoryEstimate {
                weights_bytes: total * F32,
                gradients_bytes: total * F32,
                optimizer_bytes: 2 * total * F32,
                activations_bytes: batch.size * kept * F32,
            },
        }
    }

    /// A stack whose tokens see so many of their own, and so many of the other stack's if any.
    fn account_stack(
        &self,
        stack: &SwitchStackConfig,
        router: &RouterConfig,
        first_layer: usize,
        seen: [f64; 2],
    ) -> Stack {
        let (d, attention) = (self.d_model(), self.attention());
        let n_attentions = if seen[1] > 0.0 { 2 } else { 1 };
        let beside = n_attentions * (attention.n_params() + d) + d;
        let scores: f64 = seen.iter().map(|keys| attention.score_flops(*keys)).sum();
        let rows = router.rows_per_token(self.moe.n_experts, seen[0].ceil() as usize);
        let mut sum = Stack {
            params: d + self.position_bias().n_params(),
            active: d + self.position_bias().n_params(),
            ..Default::default()
        };
        for layer in 0..stack.n_layers {
            let part = if stack.is_sparse(layer) {
                self.sparse_part(router, first_layer + layer, rows)
            } else {
                self.dense_part()
            };
            sum.params += beside + part.params;
            sum.active += beside + part.active;
            sum.flops += 2.0 * (beside + part.computed) as f64 + scores;
            // the stream and its norms, queries, keys, values and outputs, scores and their softmax
            let heads = 4 * n_attentions * self.n_heads * self.head_dim;
            let scores = 2 * self.n_heads * seen.iter().sum::<f64>() as usize;
            sum.kept += 2 * (n_attentions + 1) * d + heads + scores + part.width;
        }
        sum
    }

    fn sparse_part(&self, router: &RouterConfig, layer: usize, rows: f64) -> Part {
        let gate = router.n_params(&self.router_shape(layer));
        let per_token = router.experts_per_token(self.moe.n_experts);
        let shared = self.moe.n_shared_experts * self.moe.d_expert;
        Part {
            params: self.moe.n_params() + gate,
            active: self.moe.n_params_active(per_token) + gate,
            computed: self.moe.n_params_active(rows) + gate,
            width: (rows * self.moe.d_expert as f64) as usize + shared + 3 * self.moe.n_experts,
        }
    }

    fn dense_part(&self) -> Part {
        let params = self.dense().n_params();
        Part {
            params,
            active: params,
            computed: params,
            width: self.d_dense,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;
    use burn::module::Module;
    use burn::tensor::Device;

    #[test]
    fn parameters_are_those_of_the_model() {
        let router = RouterConfig::from_name("switch").expect("a listed name");
        for embeddings in [
            Embeddings::Tied,
            Embeddings::Untied,
            Embeddings::UntiedBesideUnused,
        ] {
            let config = config().with_embeddings(embeddings);
            let batch = SwitchBatch {
                size: 2,
                length: 8,
                target_length: 4,
            };
            let account = config.account(&router, &router, batch);
            let model = config.init_seeded(&router, &router, 0, &Device::flex());
            assert_eq!(account.params_total, model.num_params(), "{embeddings:?}");
            assert!(account.params_active < account.params_total);
        }
    }
}
