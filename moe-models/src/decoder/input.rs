use burn::tensor::{Int, Tensor};
use std::sync::Arc;

/// The tokens of a batch and how to read them.
#[derive(Debug, Clone)]
pub struct DecoderInput {
    /// Vocabulary ids, `[B, L]`.
    pub tokens: Tensor<2, Int>,
    /// The seed of this call's router noise. Present while training, absent in evaluation.
    pub noise: Option<u64>,
    /// Whether the output carries a [trace](crate::DecoderTrace) of every layer.
    pub traced: bool,
    /// Whether only the last position is scored: what generation needs of a prompt.
    pub last_only: bool,
}

impl DecoderInput {
    /// Tokens `[B, L]` in evaluation.
    pub fn new(tokens: Tensor<2, Int>) -> Self {
        Self {
            tokens,
            noise: None,
            traced: false,
            last_only: false,
        }
    }

    /// Sets the seed of the noise of a training step.
    pub fn noise(mut self, seed: u64) -> Self {
        self.noise = Some(seed);
        self
    }

    /// Asks for the [trace](crate::DecoderTrace) of every layer.
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    /// Asks for the scores of the last position alone, `[B, 1, V]`.
    pub fn last_only(mut self) -> Self {
        self.last_only = true;
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
