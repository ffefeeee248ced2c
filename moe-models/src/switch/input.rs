//! Inputs of the Switch Transformer.

use burn::tensor::{Bool, Int, Tensor, TensorData};
use std::sync::Arc;

/// The texts of a batch, what is to be said of each so far, and how to read them.
#[derive(Debug, Clone)]
pub struct SwitchInput {
    /// Vocabulary ids of the texts, `[B, L]`.
    pub tokens: Tensor<2, Int>,
    /// Marks of those `[B * L]` that are padding, right of the text: nobody attends them. Default: none
    pub padding: Option<Arc<[bool]>>,
    /// Vocabulary ids of the decoder, `[B, M]`: a start token, then the target without its last.
    pub decoder_tokens: Tensor<2, Int>,
    /// Marks of those `[B * M]` that are padding, right of the text. Default: none
    pub decoder_padding: Option<Arc<[bool]>>,
    /// The seed of this call's noise. Present while training, absent in evaluation.
    pub noise: Option<u64>,
    /// True if the output carries a [trace](crate::switch::SwitchTrace) of every layer.
    pub traced: bool,
}

impl SwitchInput {
    /// Texts `[B, L]` and the decoder's tokens `[B, M]` in evaluation.
    ///
    /// # Panics
    ///
    /// Panics if the batches differ.
    pub fn new(tokens: Tensor<2, Int>, decoder_tokens: Tensor<2, Int>) -> Self {
        assert_eq!(
            tokens.dims()[0],
            decoder_tokens.dims()[0],
            "one target for each text"
        );
        Self {
            tokens,
            padding: None,
            decoder_tokens,
            decoder_padding: None,
            noise: None,
            traced: false,
        }
    }

    /// Marks padding of the texts.
    ///
    /// # Panics
    ///
    /// Panics if there is not one mark for each token.
    pub fn padding(mut self, padding: Arc<[bool]>) -> Self {
        check_marks(&padding, &self.tokens);
        self.padding = Some(padding);
        self
    }

    /// Marks padding of the decoder's tokens.
    ///
    /// # Panics
    ///
    /// Panics if there is not one mark for each token.
    pub fn decoder_padding(mut self, padding: Arc<[bool]>) -> Self {
        check_marks(&padding, &self.decoder_tokens);
        self.decoder_padding = Some(padding);
        self
    }

    /// Sets the seed of the noise of a training step.
    pub fn noise(mut self, seed: Option<u64>) -> Self {
        self.noise = seed;
        self
    }

    /// Asks for the [trace](crate::switch::SwitchTrace) of every layer.
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }
}

fn check_marks(marks: &[bool], tokens: &Tensor<2, Int>) {
    let n_tokens = tokens.shape().num_elements();
    assert_eq!(marks.len(), n_tokens, "one padding mark for each token");
}

/// Marks `[B * L]` as a mask `[B, L]` on the device of its tokens.
pub(super) fn mask(
    marks: Option<&Arc<[bool]>>,
    tokens: &Tensor<2, Int>,
) -> Option<Tensor<2, Bool>> {
    marks.map(|marks| {
        let data = TensorData::new(marks.to_vec(), tokens.dims());
        Tensor::from_data(data, &tokens.device())
    })
}
