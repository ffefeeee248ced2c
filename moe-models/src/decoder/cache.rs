use moe_attention::KvCache;

/// The keys and values of all layers, for generation token by token.
#[derive(Debug, Clone, Default)]
pub struct DecoderCache {
    /// One cache a layer.
    pub layers: Vec<KvCache>,
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
