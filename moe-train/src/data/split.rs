//! The three parts of a file by position: the first 90 % train, the next 5 % validation, the rest test.
//!
//! Position, not chance, decides: neighbouring lines of a text repeat each other, so that lines drawn
//! at random would leak the train part into the others. Whole documents may be drawn, see
//! [`corpora`](crate::data::corpora).

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The first 90 % of each file.
    Train,
    /// The next 5 %.
    Validation,
    /// The last 5 %.
    Test,
}

impl Split {
    /// The three parts in the order of their positions.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// This part of `text`: the parts of one text, in order, concatenate to it.
    ///
    /// A cut that falls inside a character moves forward to its end.
    pub fn of(self, text: &str) -> &str {
        &text[self.range(text)]
    }

    /// The bytes of this part of `text`.
    pub(crate) fn range(self, text: &str) -> Range<usize> {
        let cut = |percent: usize| text.ceil_char_boundary(percent_of(text.len(), percent));
        let (start, end) = self.percents();
        cut(start)..cut(end)
    }

    /// Start and end of the part, in percent.
    const fn percents(self) -> (usize, usize) {
        match self {
            Split::Train => (0, 90),
            Split::Validation => (90, 95),
            Split::Test => (95, 100),
        }
    }

    /// Bytes of `needed` tokens, if `bytes` bytes are `tokens` tokens.
    pub(crate) fn part_bytes(needed: usize, bytes: usize, tokens: usize) -> usize {
        (needed * bytes.max(1)).div_ceil(tokens.max(1))
    }

    /// Bytes of a file whose part by position has `part_bytes`.
    pub(crate) fn file_bytes(self, part_bytes: usize) -> usize {
        let (start, end) = self.percents();
        (part_bytes * 100).div_ceil(end - start)
    }
}

/// `percent` of `n`, rounded down, without overflow for any length in memory.
fn percent_of(n: usize, percent: usize) -> usize {
    n / 100 * percent + n % 100 * percent / 100
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_at_90_and_95_percent() {
        // 40 bytes: 90 % = 36, 95 % = 38.
        let text = "0123456789".repeat(4);
        assert_eq!(Split::Train.of(&text), &text[..36]);
        assert_eq!(Split::Validation.of(&text), "67");
        assert_eq!(Split::Test.of(&text), "89");
    }

    #[test]
    fn a_cut_inside_a_character_moves_forward() {
        // 20 bytes: 90 % = 18 lies inside the é of bytes 17..19, so train ends at 19 = 95 %.
        let text = "a".repeat(17) + "éb";
        assert_eq!(Split::Train.of(&text), "a".repeat(17) + "é");
        assert_eq!(Split::Validation.of(&text), "");
        assert_eq!(Split::Test.of(&text), "b");
    }

    #[test]
    fn file_bytes_is_enough() {
        // 11 bytes are 5 % of 220 bytes; at two bytes a token, 22 bytes are 5 % of 440.
        assert_eq!(Split::Test.file_bytes(Split::part_bytes(11, 4, 4)), 220);
        assert_eq!(Split::Test.file_bytes(Split::part_bytes(11, 8, 4)), 440);
    }

    proptest! {
        #[test]
        fn parts_concatenate_to_the_text(text in any::<String>()) {
            let parts: String = Split::ALL.iter().map(|split| split.of(&text)).collect();
            prop_assert_eq!(parts, text);
        }

        #[test]
        fn percent_is_exact(n in 0usize..1_000_000, percent in 0usize..=100) {
            prop_assert_eq!(percent_of(n, percent), n * percent / 100);
        }
    }
}
