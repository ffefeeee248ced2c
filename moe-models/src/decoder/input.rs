//! Inputs of decoders.

use burn::tensor::{Int, Tensor};
use moe_attention::Positions;
use std::sync::Arc;

/// The tokens of a batch and how to read them.
#[derive(Debug, Clone)]
pub struct DecoderInput {
    /// Vocabulary ids, `[B, L]`.
    pub tokens: Tensor<2, Int>,
    /// Marks of the tokens `[B * L]` that are padding, left or right of the text: nobody attends them and no expert
    /// computes them. Default: none
    pub padding: Option<Arc<[bool]>>,
    /// The rotary position of each token, `[B, L]`. Default: each after the one before, from the
    /// cache's length on, padding included
    pub positions: Option<Positions>,
    /// The seed of this call's router noise. Present while training, absent in evaluation.
    pub noise: Option<u64>,
    /// True if modules that predict further tokens run too.
    pub further: bool,
    /// True if the output carries a [trace](crate::DecoderTrace) of every layer.
    pub traced: bool,
    /// True if only the last position is scored: what generation needs of a prompt.
    pub last_only: bool,
}

impl DecoderInput {
    /// Tokens `[B, L]` in evaluation.
    pub fn new(tokens: Tensor<2, Int>) -> Self {
        Self {
            tokens,
            padding: None,
            positions: None,
            noise: None,
            further: false,
            traced: false,
            last_only: false,
        }
    }

    /// Marks padding tokens.
    ///
    /// # Panics
    ///
    /// Panics if there is not one mark for each token.
    pub fn padding(mut self, padding: Arc<[bool]>) -> Self {
        let n_tokens = self.tokens.shape().num_elements();
        assert_eq!(padding.len(), n_tokens, "one padding mark for each token");
        self.padding = Some(padding);
        self
    }

    /// Sets the rotary position of each token: [`Positions::of_padded`] for text padded at the left.
    pub fn positions(mut self, positions: Positions) -> Self {
        self.positions = Some(positions);
        self
    }

    /// Sets the seed of the noise of a training step.
    pub fn noise(mut self, seed: u64) -> Self {
        self.noise = Some(seed);
        self
    }

    /// Lets modules that predict further tokens run too.
    pub fn further(mut self) -> Self {
        self.further = true;
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

    /// The tokens `depth` places ahead, `[B, L - depth]`. A row is padding if its own token is, or the
    /// one ahead.
    pub(crate) fn ahead(&self, depth: usize) -> Self {
        let [_, length] = self.tokens.dims();
        let padding = self.padding.as_ref().map(|padding| {
            let rows = padding.chunks(length);
            rows.flat_map(|row| (depth..length).map(|t| row[t] || row[t - depth]))
                .collect()
        });
        let positions = self.positions.clone().map(|positions| match positions {
            Positions::From(start) => Positions::From(start + depth),
            Positions::Each(each) => Positions::Each(each.narrow(1, depth, length - depth)),
        });
        Self {
            tokens: self.tokens.clone().narrow(1, depth, length - depth),
            padding,
            positions,
            ..self.clone()
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn ahead_shifts_tokens_and_marks() {
        let device = Device::flex();
        let tokens = Tensor::<2, Int>::from_data([[9, 1, 2], [3, 4, 9]], &device);
        let input = DecoderInput::new(tokens)
            .padding([true, false, false, false, false, true].into())
            .positions(Positions::From(3));
        let ahead = input.ahead(1);
        assert_eq!(*ahead.token_ids(), [1, 2, 4, 9]);
        assert_eq!(
            ahead.padding.as_deref(),
            Some(&[true, false, false, true][..])
        );
        assert!(matches!(ahead.positions, Some(Positions::From(4))));
    }

    #[test]
    #[should_panic(expected = "one padding mark for each token")]
    fn padding_must_cover_the_tokens() {
        let tokens = Tensor::<2, Int>::zeros([1, 3], &Device::flex());
        let _ = DecoderInput::new(tokens).padding([true].into());
    }
}
