//! Positions of tokens in their sequences.

use burn::tensor::{Bool, Int, Tensor};

/// The positions of the tokens of a call.
// One a call, so its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum Positions {
    /// `start`, `start + 1` and so on, in every sequence.
    From(usize),
    /// Position of each token, `[batch_size, seq_length]`, none negative: for sequences padded at the left.
    Each(Tensor<2, Int>),
}

impl Positions {
    /// The positions of the last `length` tokens of sequences of which some tokens are padding:
    /// the number of tokens before that are not.
    ///
    /// # Shapes
    ///
    /// - mask_pad: `[batch_size, key_length]`, true for padding
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `length` tokens.
    pub fn of_padded(mask_pad: Tensor<2, Bool>, length: usize) -> Self {
        let [_, keys] = mask_pad.dims();
        assert!(
            keys >= length,
            "the mask must cover all {length} tokens, it has {keys}"
        );
        let seen = mask_pad.bool_not().int().cumsum(1);
        let positions = (seen - 1).clamp_min(0);
        Self::Each(positions.narrow(1, keys - length, length))
    }
}

impl From<usize> for Positions {
    fn from(start: usize) -> Self {
        Self::From(start)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn padding_is_not_counted() {
        let mask = [[true, true, false, false], [false, false, false, true]];
        let mask = Tensor::<2, Bool>::from_data(mask, &Device::flex());
        let each = |length| match Positions::of_padded(mask.clone(), length) {
            Positions::Each(each) => each.into_data().convert::<i64>(),
            Positions::From(_) => panic!("positions differ between the sequences"),
        };
        // Left: 0 and 0 stand for padding, then 0, 1. Right: 0, 1, 2 and padding goes on with 2.
        each(4).assert_eq(&TensorData::from([[0i64, 0, 0, 1], [0, 1, 2, 2]]), true);
        each(1).assert_eq(&TensorData::from([[1i64], [2]]), true);
    }
}
