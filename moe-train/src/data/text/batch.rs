//! A batch of windows: inputs, and the same tokens one place later as targets.

use crate::data::{Split, TextData};

/// Tokens for one step. `B` = batch_size, `L` = seq_length, rows one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Input tokens: `[B * L]`.
    pub inputs: Vec<u32>,
    /// The token after each input: `[B * L]`.
    pub targets: Vec<u32>,
    /// The domain of each row: `[B]`.
    pub domains: Vec<u16>,
    /// Rows, `B`.
    pub batch_size: usize,
    /// Tokens a row, `L`.
    pub seq_length: usize,
}

/// The place of `seq_length + 1` tokens in a domain's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub domain: u16,
    pub start: usize,
}

impl Batch {
    /// Copies `windows` of a part of `data` into a batch, in order.
    pub(crate) fn gather(data: &TextData, split: Split, windows: &[Window]) -> Self {
        let seq_length = data.seq_length();
        let size = windows.len() * seq_length;
        let mut inputs = Vec::with_capacity(size);
        let mut targets = Vec::with_capacity(size);
        for window in windows {
            let tokens = data.tokens(window.domain.into(), split);
            let end = window.start + seq_length;
            tokens.copy_to(window.start..end, &mut inputs);
            tokens.copy_to(window.start + 1..end + 1, &mut targets);
        }
        Self {
            inputs,
            targets,
            domains: windows.iter().map(|window| window.domain).collect(),
            batch_size: windows.len(),
            seq_length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::text::test_data;

    #[test]
    fn targets_are_the_inputs_one_later() {
        let data = test_data(&[100, 100], 4);
        let windows = [
            Window {
                domain: 1,
                start: 3,
            },
            Window {
                domain: 0,
                start: 0,
            },
        ];
        let batch = Batch::gather(&data, Split::Train, &windows);
        let tokens = |domain| data.tokens(domain, Split::Train);
        assert_eq!(
            batch.inputs,
            [tokens(1).to_vec(3..7), tokens(0).to_vec(0..4)].concat()
        );
        assert_eq!(
            batch.targets,
            [tokens(1).to_vec(4..8), tokens(0).to_vec(1..5)].concat()
        );
        assert_eq!(batch.domains, [1, 0]);
        assert_eq!((batch.batch_size, batch.seq_length), (2, 4));
    }
}
