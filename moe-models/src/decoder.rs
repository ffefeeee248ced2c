//! What goes into a decoder and what comes out.

use burn::tensor::{Int, Tensor};
use moe_attention::KvCache;
use moe_router::Routing;
use std::sync::Arc;

/// The tokens of a batch.
#[derive(Debug, Clone)]
pub struct DecoderInput {
    /// Vocabulary ids, `[B, L]`.
    pub tokens: Tensor<2, Int>,
    /// The seed of this call's router noise. Present while training, absent in evaluation.
    pub noise: Option<u64>,
}

/// What a decoder returns.
#[derive(Debug, Clone)]
pub struct DecoderOutput {
    /// The scores of the next token at each position, `[B, L, V]`.
    pub logits: Tensor<3>,
    /// The routing of each MoE layer, tokens `[B * L]`.
    pub routings: Vec<Routing>,
}

/// The keys and values of all layers, for generation token by token.
#[derive(Debug, Clone, Default)]
pub struct DecoderCache {
    /// One cache a layer.
    pub layers: Vec<KvCache>,
}

impl DecoderInput {
    /// Tokens `[B, L]` in evaluation.
    pub fn new(tokens: Tensor<2, Int>) -> Self {
        Self {
            tokens,
            noise: None,
        }
    }

    /// Sets the seed of the noise of a training step.
    pub fn noise(mut self, seed: u64) -> Self {
        self.noise = Some(seed);
        self
    }

    /// The vocabulary ids on the host, `[B * L]`, read once for all layers.
    pub(crate) fn token_ids(&self) -> Arc<[u32]> {
        let ids = self.tokens.to_data().convert::<i64>();
        let ids: Vec<i64> = ids
            .try_into_vec()
            .expect("the data was just converted to i64");
        ids.into_iter().map(|id| id as u32).collect()
    }
}

impl DecoderCache {
    /// An empty cache for `n_layers` layers.
    pub fn new(n_layers: usize) -> Self {
        Self {
            layers: vec![KvCache::default(); n_layers],
        }
    }

    /// The number of tokens seen.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, KvCache::len)
    }

    /// Whether no token was seen yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that keys and values of all layers hold.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(KvCache::bytes).sum()
    }
}
