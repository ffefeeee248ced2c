use burn::tensor::Tensor;
use moe_router::RouterInput;
use moe_router::parts::mix_seed;
use std::sync::Arc;

/// What the tokens of a call have in common.
#[derive(Debug, Clone)]
pub(crate) struct TokenContext {
    pub(crate) ids: Arc<[u32]>,
    pub(crate) start: usize,
    pub(crate) noise: Option<u64>,
}

impl TokenContext {
    /// The context of one layer, whose noise is its own.
    pub(crate) fn of_layer(&self, layer: usize) -> Self {
        Self {
            noise: self.noise.map(|seed| mix_seed(seed, layer as u64)),
            ..self.clone()
        }
    }

    /// The normed tokens `[B, L, D]` as a router takes them.
    pub(crate) fn router_input(&self, x: Tensor<3>) -> RouterInput {
        let [batch, length, d_model] = x.dims();
        RouterInput::new(x.reshape([batch * length, d_model]))
            .groups(batch)
            .token_ids(self.ids.clone())
            .start(self.start)
            .noise(self.noise)
    }
}
