//! Consecutive tokens of a trace.

/// The place of a token's row that no expert fills.
pub const NO_EXPERT: i32 = -1;

/// The label of a token that has none.
pub const NO_LABEL: i32 = -1;

/// Consecutive tokens with what each layer did to them, `T` of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TraceChunk {
    /// The place of the first token in the trace.
    pub start: u64,
    /// The number of tokens.
    pub n_tokens: usize,
    /// The vocabulary ids, `[T]`.
    pub tokens: Option<Vec<u32>>,
    /// Labels such as domains, `[T]`; [`NO_LABEL`] of a token that has none.
    pub labels: Option<Vec<i32>>,
    /// True for a token, false for padding, `[T]`.
    pub mask: Option<Vec<bool>>,
    /// The sequence, or what else is routed together, `[T]`; its tokens follow one another.
    pub group: Option<Vec<u32>>,
    /// Each layer with a router.
    pub layers: Vec<LayerChunk>,
}

/// A layer's choices for consecutive tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerChunk {
    /// The places of a row, `K`.
    pub width: usize,
    /// The number of experts `E` of a row of logits; 0 without.
    pub n_experts: usize,
    /// The experts of each token from best to worst, `[T, K]`; [`NO_EXPERT`] fills a row up.
    pub experts: Vec<i32>,
    /// The weight of each, `[T, K]`.
    pub weights: Option<Vec<f32>>,
    /// False for an assignment that was dropped, `[T, K]`; without it none was.
    pub kept: Option<Vec<bool>>,
    /// The router's raw scores, `[T, E]`.
    pub logits: Option<Vec<f32>>,
}

impl TraceChunk {
    /// Returns `true` if token `t` of the chunk is padding.
    pub fn is_padding(&self, t: usize) -> bool {
        self.mask.as_ref().is_some_and(|mask| !mask[t])
    }

    /// The group of token `t` of the chunk.
    pub fn group_of(&self, t: usize) -> u32 {
        self.group.as_ref().map_or(0, |group| group[t])
    }
}

impl LayerChunk {
    /// The experts of token `t` of the chunk, `[K]`.
    pub fn row(&self, t: usize) -> &[i32] {
        &self.experts[t * self.width..][..self.width]
    }

    /// The weights of token `t` of the chunk, `[K]`.
    pub fn weights_of(&self, t: usize) -> Option<&[f32]> {
        let weights = self.weights.as_ref()?;
        Some(&weights[t * self.width..][..self.width])
    }

    /// The logits of token `t` of the chunk, `[E]`.
    pub fn logits_of(&self, t: usize) -> Option<&[f32]> {
        let logits = self.logits.as_ref()?;
        Some(&logits[t * self.n_experts..][..self.n_experts])
    }

    /// Tells whether place `k` of token `t` of the chunk was computed.
    pub fn is_kept(&self, t: usize, k: usize) -> bool {
        self.kept
            .as_ref()
            .is_none_or(|kept| kept[t * self.width + k])
    }
}
