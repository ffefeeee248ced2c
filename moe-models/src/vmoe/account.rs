//! Size and cost of a vision transformer.

use super::{PatchPositions, Pooling, VmoeConfig};
use crate::account::F32;
use crate::{Account, MemoryEstimate};
use moe_router::RouterConfig;

/// Parameters, those active for a token, and FLOP of an image, forward.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    params: usize,
    active: usize,
    flops: u64,
}

impl Part {
    fn plus(self, other: Self) -> Self {
        Self {
            params: self.params + other.params,
            active: self.active + other.active,
            flops: self.flops + other.flops,
        }
    }
}

impl VmoeConfig {
    /// The size and cost of the model with a router, trained on batches of `batch_size` images. A token is
    /// one of an image's; what is computed once an image is shared among its tokens.
    pub fn account(&self, router: &RouterConfig, batch_size: usize) -> Account {
        let n_tokens = self.n_tokens();
        let body = (0..self.n_layers)
            .map(|layer| self.block(layer, router))
            .fold(Part::default(), Part::plus);
        let embedding = self.embedding();
        let head = self.head();
        let params = body.params + embedding.params + head.params;
        let active = body.active + embedding.active + head.active;
        let flops = (body.flops + embedding.flops + head.flops) / n_tokens as u64;
        Account {
            params_total: params,
            params_embedding: embedding.params + head.params,
            params_mtp: 0,
            params_active: active,
            params_active_head_only: active - embedding.active,
            params_active_no_embedding: body.active,
            flops_per_token: flops,
            flops_per_token_training: 3 * flops,
            kv_bytes_per_token: 0,
            memory: MemoryEstimate {
                weights_bytes: params * F32,
                gradients_bytes: params * F32,
                optimizer_bytes: 2 * params * F32,
                activations_bytes: self.activations(router, batch_size) * F32,
            },
        }
    }

    fn embedding(&self) -> Part {
        let [rows, columns] = self.grid();
        let weights = self.patch_size.iter().product::<usize>() * self.n_channels * self.d_model();
        let mut params = weights + self.d_model();
        if self.pooling == Pooling::ClassToken {
            params += self.d_model();
        }
        if self.positions == PatchPositions::Learned {
            params += self.n_tokens() * self.d_model();
        }
        Part {
            params,
            active: params,
            flops: (2 * weights * rows * columns) as u64,
        }
    }

    fn block(&self, layer: usize, router: &RouterConfig) -> Part {
        let (d, n_tokens) = (self.d_model(), self.n_tokens());
        let attention = self.attention().n_params() + 4 * d;
        let attention_flops = n_tokens * (8 * d * d + 4 * n_tokens * d);
        let (params, active, rows) = if self.moe_layers.contains(&layer) {
            let n_experts = self.moe.n_experts;
            let gate = router.n_params(&self.router_shape(layer));
            let per_token = router.experts_per_token(n_experts);
            let rows = router.rows_per_token(n_experts, self.group_size());
            (
                self.moe.n_params() + gate,
                self.moe.n_params_active(per_token) + gate,
                n_tokens as u64 * (2 * self.moe.n_params_active(rows) + 2 * gate) as u64,
            )
        } else {
            let dense = self.dense();
            let flops = n_tokens as u64 * dense.flops_per_row();
            (dense.n_params(), dense.n_params(), flops)
        };
        Part {
            params: attention + params,
            active: attention + active,
            flops: attention_flops as u64 + rows,
        }
    }

    /// Final norm, pooling and what follows it, once an image.
    fn head(&self) -> Part {
        let (d, n_tokens) = (self.d_model(), self.n_tokens());
        let mut params = 2 * d + (self.d_head() + 1) * self.n_classes;
        let mut flops = 2 * self.d_head() * self.n_classes;
        if let Some(width) = self.d_pre_logits {
            params += (d + 1) * width;
            flops += 2 * d * width;
        }
        if self.pooling == Pooling::Attention {
            params += d + self.attention().n_params() + 2 * d + self.dense().n_params();
            flops += 4 * d * d * (1 + n_tokens)
                + 4 * n_tokens * d
                + self.dense().flops_per_row() as usize;
        }
        Part {
            params,
            active: params,
            flops: flops as u64,
        }
    }

    /// Numbers kept for the backward pass: of each block the residual stream and its norms (6 D), queries,
    /// keys, values and the attention's output (4 D), its probabilities, and pre-activations.
    fn activations(&self, router: &RouterConfig, batch_size: usize) -> usize {
        let n_tokens = self.n_tokens();
        let hidden = |layer: usize| {
            if self.moe_layers.contains(&layer) {
                let rows = router.rows_per_token(self.moe.n_experts, self.group_size());
                let stacks = self.moe.activation.n_stacks() - 1;
                (stacks as f64 * rows * self.moe.d_expert as f64) as usize + 3 * self.moe.n_experts
            } else {
                self.d_mlp
            }
        };
        let of_token = |layer| 10 * self.d_model() + 2 * self.n_heads * n_tokens + hidden(layer);
        let kept: usize = (0..self.n_layers).map(of_token).sum();
        batch_size * (n_tokens * kept + 2 * self.n_classes)
    }
}
