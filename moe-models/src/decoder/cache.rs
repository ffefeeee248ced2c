//! The cache of a decoder.

use moe_attention::KvCache;
use std::sync::Arc;

/// Keys and values of earlier tokens in all layers, for generation token by token.
#[derive(Debug, Clone, Default)]
pub struct DecoderCache {
    /// One cache a layer.
    pub layers: Vec<KvCache>,
    /// One cache a module that predicts further tokens.
    pub mtp: Vec<KvCache>,
    /// Marks of the tokens `[B * S]` that are padding, once there was some.
    padding: Option<Arc<[bool]>>,
}

impl DecoderCache {
    /// An empty cache for `n_layers` layers.
    pub fn new(n_layers: usize) -> Self {
        Self {
            layers: vec![KvCache::default(); n_layers],
            ..Self::default()
        }
    }

    /// Adds empty caches for modules that predict further tokens.
    pub fn with_mtp(mut self, n_modules: usize) -> Self {
        self.mtp = vec![KvCache::default(); n_modules];
        self
    }

    /// The number of tokens seen.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, KvCache::len)
    }

    /// Tells whether no token was seen yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the decoder layers' caches hold.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(KvCache::bytes).sum()
    }

    /// Makes the decoder layers forget all tokens from the `len`-th on: drafts that were refused.
    ///
    /// # Panics
    ///
    /// Panics if there was padding: sequences of a batch are not refused one by one.
    pub fn truncate(&mut self, len: usize) {
        assert!(
            self.padding.is_none(),
            "a padded cache cannot forget tokens"
        );
        self.layers.iter_mut().for_each(|layer| layer.truncate(len));
    }

    /// Notes the padding of `length` new tokens of each sequence, and returns that of all tokens if
    /// there is any.
    pub(crate) fn note_padding(
        &mut self,
        batch: usize,
        length: usize,
        new: &Option<Arc<[bool]>>,
    ) -> Option<Arc<[bool]>> {
        if self.padding.is_none() && new.is_none() {
            return None;
        }
        let seen = self.len();
        let mut marks = Vec::with_capacity(batch * (seen + length));
        for row in 0..batch {
            let part = |marks: &Option<Arc<[bool]>>, n: usize| match marks {
                Some(marks) => marks[row * n..(row + 1) * n].to_vec(),
                None => vec![false; n],
            };
            marks.extend(part(&self.padding, seen));
            marks.extend(part(new, length));
        }
        self.padding = Some(marks.into());
        self.padding.clone()
    }
}
