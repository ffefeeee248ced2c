//! Text as tokens arrive: only whole characters, because a token may end inside one.

use crate::data::Vocab;

/// Decodes a growing sequence of tokens into text, one token at a time.
///
/// All pieces and [`finish`](Self::finish) together are [`Vocab::decode`] of the sequence.
#[derive(Debug, Clone)]
pub struct StreamDecoder<'a> {
    vocab: &'a Vocab,
    /// The beginning of a character whose other bytes have not arrived: at most three bytes between calls.
    pending: Vec<u8>,
}

impl<'a> StreamDecoder<'a> {
    /// A decoder at the start of a text.
    pub fn new(vocab: &'a Vocab) -> Self {
        Self {
            vocab,
            pending: Vec::new(),
        }
    }

    /// Takes one token and returns the characters that it completes, often none.
    ///
    /// Bytes that can no longer become a character are replaced by `U+FFFD`.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not in the vocabulary.
    pub fn push(&mut self, id: u32) -> String {
        self.pending.extend_from_slice(self.vocab.token_bytes(id));
        let cut = self.pending.len() - unfinished_bytes(&self.pending);
        let rest = self.pending.split_off(cut);
        let whole = std::mem::replace(&mut self.pending, rest);
        String::from_utf8_lossy(&whole).into_owned()
    }

    /// Ends the text: a character that never got its last bytes becomes `U+FFFD`.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Length of the unfinished, so far valid character at the end of `bytes`, 0 if there is none.
fn unfinished_bytes(bytes: &[u8]) -> usize {
    let starts = bytes.len().saturating_sub(3)..bytes.len();
    let unfinished = |start: &usize| {
        // `error_len` is empty exactly where more bytes could still make the character valid.
        std::str::from_utf8(&bytes[*start..])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    starts
        .into_iter()
        .find(unfinished)
        .map_or(0, |start| bytes.len() - start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BpeVocab;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

    fn pieces(vocab: &Vocab, ids: &[u32]) -> Vec<String> {
        let mut stream = StreamDecoder::new(vocab);
        let mut pieces: Vec<String> = ids.iter().map(|id| stream.push(*id)).collect();
        pieces.push(stream.finish());
        pieces
    }

    #[test]
    fn a_character_appears_with_its_last_byte() {
        // é = C3 A9, 漢 = E6 BC A2.
        let ids = Vocab::Bytes.encode("aé漢");
        assert_eq!(
            pieces(&Vocab::Bytes, &ids),
            ["a", "", "é", "", "", "漢", ""]
        );
    }

    #[test]
    fn broken_bytes_are_replaced_as_soon_as_they_are_known() {
        // E6 BC waits, `a` breaks it; a lone continuation byte A9 never waits; C3 at the end is never finished.
        let ids = [0xE6, 0xBC, u32::from(b'a'), 0xA9, 0xC3];
        assert_eq!(
            pieces(&Vocab::Bytes, &ids),
            ["", "", "\u{FFFD}a", "\u{FFFD}", "", "\u{FFFD}"]
        );
    }

    fn bpe() -> Vocab {
        // Pairs of 漢 and 字 make merges that end inside characters of the same block.
        let text = "漢字 漢字 漢語 汉语 the théâtre the thé ".repeat(20);
        Vocab::Bpe(
            BpeVocab::train([text.as_str()].into_iter(), 264, &AtomicBool::new(false))
                .expect("there are eight pairs"),
        )
    }

    proptest! {
        #[test]
        fn valid_text_never_shows_a_replacement(text in "[a-zé漢字汉语🙂 ]{0,40}") {
            for vocab in [Vocab::Bytes, bpe()] {
                let pieces = pieces(&vocab, &vocab.encode(&text));
                let replaced = pieces.iter().any(|piece| piece.contains(char::REPLACEMENT_CHARACTER));
                prop_assert!(!replaced);
                prop_assert_eq!(pieces.concat(), text.clone());
            }
        }

        #[test]
        fn any_bytes_stream_as_they_decode(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let ids: Vec<u32> = bytes.into_iter().map(u32::from).collect();
            prop_assert_eq!(pieces(&Vocab::Bytes, &ids).concat(), Vocab::Bytes.decode(&ids));
        }
    }
}
