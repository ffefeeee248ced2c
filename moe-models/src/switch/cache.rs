//! The cache of the Switch Transformer's decoder.

use burn::tensor::{Bool, Tensor};
use moe_attention::{KeysValues, KvCache};

/// Keys and values that a decoder keeps while it writes: of the encoder's tokens, computed once, and of its own.
#[derive(Debug, Clone)]
pub struct SwitchCache {
    /// The decoder's own tokens, one cache a layer.
    pub layers: Vec<KvCache>,
    /// The keys and values of the encoder's tokens, for each layer.
    pub(super) memory: Vec<KeysValues>,
    /// Marks of the encoder's tokens that are padding, `[B, L]`.
    pub(super) memory_mask: Option<Tensor<2, Bool>>,
}

impl SwitchCache {
    /// The number of the decoder's tokens seen.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, KvCache::len)
    }

    /// Tells whether the decoder has seen no token yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
