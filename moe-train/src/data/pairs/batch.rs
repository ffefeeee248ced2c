//! Batches of pairs of texts.

use crate::data::UnigramVocab;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::switch::SwitchInput;

/// Text that is read and target that is to be written about it; both end with an end token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The tokens of the text.
    pub input: Vec<u32>,
    /// The tokens to be written.
    pub target: Vec<u32>,
}

/// Pairs for one step, padded at the right. `B` pairs, `L` tokens of the longest text, `M` of the longest
/// target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairBatch {
    /// The pairs.
    pub pairs: Vec<Pair>,
    /// The domain of each pair: `[B]`.
    pub domains: Vec<u16>,
}

impl PairBatch {
    /// The tokens of the longest text `L`.
    pub fn length(&self) -> usize {
        self.longest(|pair| &pair.input)
    }

    /// The tokens of the longest target `M`.
    pub fn target_length(&self) -> usize {
        self.longest(|pair| &pair.target)
    }

    /// Input of a model: texts, and targets without their last token behind a start token.
    ///
    /// # Shapes
    ///
    /// - tokens: `[B, L]`
    /// - decoder_tokens: `[B, M]`
    pub fn input(&self, device: &Device) -> SwitchInput {
        let texts = self.padded(self.length(), |pair| pair.input.clone());
        let begun = self.padded(self.target_length(), |pair| {
            let (_, before) = pair.target.split_last().expect("a target has an end");
            [&[UnigramVocab::PAD], before].concat()
        });
        let input = SwitchInput::new(
            tensor(&texts, self.length(), device),
            tensor(&begun, self.target_length(), device),
        );
        let marks = self.marks(|pair| &pair.input);
        let target_marks = self.target_padding();
        let input = if marks.contains(&true) {
            input.padding(marks.into())
        } else {
            input
        };
        if target_marks.contains(&true) {
            input.decoder_padding(target_marks.into())
        } else {
            input
        }
    }

    /// The targets `[B, M]`.
    pub fn targets(&self, device: &Device) -> Tensor<2, Int> {
        let targets = self.padded(self.target_length(), |pair| pair.target.clone());
        tensor(&targets, self.target_length(), device)
    }

    /// Mask of the targets that are padding, `[B * M]`.
    pub fn target_padding(&self) -> Vec<bool> {
        self.marks(|pair| &pair.target)
    }

    fn longest(&self, side: fn(&Pair) -> &Vec<u32>) -> usize {
        let lengths = self.pairs.iter().map(|pair| side(pair).len());
        lengths.max().unwrap_or(0)
    }

    fn padded(&self, length: usize, row: impl Fn(&Pair) -> Vec<u32>) -> Vec<i64> {
        let mut all = Vec::with_capacity(self.pairs.len() * length);
        for pair in &self.pairs {
            let mut row = row(pair);
            row.resize(length, UnigramVocab::PAD);
            all.extend(row.into_iter().map(i64::from));
        }
        all
    }

    fn marks(&self, side: fn(&Pair) -> &Vec<u32>) -> Vec<bool> {
        let length = self.longest(side);
        let row = |pair: &Pair| {
            let known = side(pair).len();
            (0..length).map(move |t| t >= known)
        };
        self.pairs.iter().flat_map(row).collect()
    }
}

fn tensor(ids: &[i64], length: usize, device: &Device) -> Tensor<2, Int> {
    let data = TensorData::new(ids.to_vec(), [ids.len() / length.max(1), length]);
    Tensor::from_data(data, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_pairs_are_padded_at_the_right_and_targets_are_shifted() {
        let pair = |input: &[u32], target: &[u32]| Pair {
            input: input.to_vec(),
            target: target.to_vec(),
        };
        let batch = PairBatch {
            pairs: vec![
                pair(&[200, 201, 1], &[300, 1]),
                pair(&[202, 1], &[301, 302, 1]),
            ],
            domains: vec![0, 0],
        };
        let device = Device::flex();
        let input = batch.input(&device);
        let ids = |tensor: Tensor<2, Int>| tensor.into_data().iter::<i64>().collect::<Vec<_>>();
        assert_eq!(ids(input.tokens), [200, 201, 1, 202, 1, 0]);
        assert_eq!(ids(input.decoder_tokens), [0, 300, 0, 0, 301, 302]);
        let marks = [false, false, false, false, false, true];
        assert_eq!(input.padding.as_deref(), Some(&marks[..]));
        assert_eq!(ids(batch.targets(&device)), [300, 1, 0, 301, 302, 1]);
        assert_eq!(
            batch.target_padding(),
            [false, false, true, false, false, false]
        );
    }
}
