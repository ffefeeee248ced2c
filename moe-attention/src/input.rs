//! Inputs of attention layers.

use burn::tensor::{Bool, Tensor};

use crate::cache::KvCache;
use crate::positions::Positions;

/// The input of [`GroupedQueryAttention`](crate::GroupedQueryAttention) and
/// [`MultiHeadLatentAttention`](crate::MultiHeadLatentAttention). Whole sequences without padding
/// convert to it.
#[derive(Debug)]
pub struct AttentionInput<'a> {
    /// `[batch_size, seq_length, d_model]`
    pub(crate) x: Tensor<3>,
    pub(crate) cache: Option<&'a mut KvCache>,
    positions: Option<Positions>,
    /// `[batch_size, key_length]`
    pub(crate) mask_pad: Option<Tensor<2, Bool>>,
}

impl<'a> AttentionInput<'a> {
    /// Whole sequences `[batch_size, seq_length, d_model]`.
    pub fn new(x: Tensor<3>) -> Self {
        Self {
            x,
            cache: None,
            positions: None,
            mask_pad: None,
        }
    }

    /// Makes the tokens follow those in `cache`, and adds them to it: a whole prompt, a part of it
    /// or one token. The outputs are those of one call with all tokens so far.
    pub fn cache(mut self, cache: impl Into<Option<&'a mut KvCache>>) -> Self {
        self.cache = cache.into();
        self
    }

    /// Sets the positions of the tokens. They follow those in the cache if not set.
    pub fn positions(mut self, positions: impl Into<Option<Positions>>) -> Self {
        self.positions = positions.into();
        self
    }

    /// Hides tokens `[batch_size, key_length]`, those in the cache included, from all others where
    /// the mask is true. Their own outputs mean nothing. Set the positions as well, with
    /// [`Positions::of_padded`], unless the padding is at the right.
    pub fn mask_pad(mut self, mask: impl Into<Option<Tensor<2, Bool>>>) -> Self {
        self.mask_pad = mask.into();
        self
    }

    /// The positions of the tokens.
    pub(crate) fn resolved_positions(&self) -> Positions {
        let cached = self.cache.as_ref().map_or(0, |cache| cache.len());
        self.positions.clone().unwrap_or(Positions::From(cached))
    }
}

impl From<Tensor<3>> for AttentionInput<'_> {
    fn from(x: Tensor<3>) -> Self {
        Self::new(x)
    }
}
