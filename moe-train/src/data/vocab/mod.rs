//! Vocabularies: raw bytes, or byte-level BPE or Unigram pieces learned from the train text.
//!
//! Both are lossless: every text encodes, and its tokens decode to the same bytes. Losses per token of
//! different vocabularies do not compare; bits per byte, from [`Vocab::n_bytes`], do.

mod bpe;
mod byte_level;
mod unigram;

pub use bpe::*;
pub(in crate::data) use byte_level::chunks;
pub use unigram::UnigramVocab;

use std::path::Path;

use moe_checkpoint::parse_tokenizer;
use serde::{Deserialize, Serialize};
use tokenizers::ModelWrapper;

use super::{Corpus, DataError, Split, read::Source};
use std::sync::atomic::AtomicBool;

/// The kind of a vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VocabKind {
    /// One token a byte, 256 tokens.
    #[default]
    Bytes,
    /// Byte-level BPE, learned from the train parts.
    Bpe,
}

/// Configuration of a [`Vocab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VocabConfig {
    /// The kind.
    pub kind: VocabKind,
    /// Tokens of a BPE vocabulary, the 256 bytes included. Not read for bytes.
    pub size: usize,
}

/// A vocabulary: text to token ids and back.
#[derive(Clone, Debug)]
pub enum Vocab {
    /// One token a byte: the id is the byte.
    Bytes,
    /// Byte-level BPE.
    Bpe(BpeVocab),
    /// Byte-level Unigram pieces and special tokens.
    Unigram(UnigramVocab),
}

/// Each byte as a slice of its own, for [`Vocab::token_bytes`].
static ALL_BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut i = 0;
    while i < 256 {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

impl VocabConfig {
    /// The vocabulary, learned from the train parts of `corpus` if its kind learns.
    ///
    /// # Errors
    ///
    /// If a BPE vocabulary of `size` has no piece beyond the 256 bytes, or the texts too few pairs to merge;
    /// a request to stop.
    pub fn init(&self, corpus: &Corpus, stop: &AtomicBool) -> Result<Vocab, DataError> {
        match self.kind {
            VocabKind::Bytes => Ok(Vocab::Bytes),
            VocabKind::Bpe => {
                let domains = corpus.domains.iter();
                let train: Vec<_> = domains.map(|domain| domain.part(Split::Train)).collect();
                let texts = train.iter().map(|part| part.as_ref());
                Ok(Vocab::Bpe(BpeVocab::train(texts, self.size, stop)?))
            }
        }
    }
}

impl Vocab {
    /// The token ids of `text`.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_chunks(&chunks(text))
    }

    /// The token ids of texts, one after the other.
    pub(super) fn encode_chunks(&self, texts: &[&str]) -> Vec<u32> {
        match self {
            Vocab::Bytes => texts
                .iter()
                .flat_map(|text| text.bytes())
                .map(u32::from)
                .collect(),
            Vocab::Bpe(bpe) => bpe.encode_chunks(texts),
            Vocab::Unigram(unigram) => unigram.encode_chunks(texts),
        }
    }

    /// Encodes text in which special tokens may stand, such as `<extra_id_0>`; where there are none, they
    /// are text.
    pub fn encode_marked(&self, text: &str) -> Vec<u32> {
        match self {
            Vocab::Unigram(unigram) => unigram.encode_marked(text),
            Vocab::Bytes | Vocab::Bpe(_) => self.encode(text),
        }
    }

    /// The text of `ids`; bytes that are not UTF-8 become `U+FFFD`.
    ///
    /// # Panics
    ///
    /// Panics if an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> String {
        String::from_utf8_lossy(&self.decode_bytes(ids)).into_owned()
    }

    /// The bytes of `ids`.
    ///
    /// # Panics
    ///
    /// Panics if an id is not in the vocabulary.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        let bytes = ids.iter().flat_map(|id| self.token_bytes(*id));
        bytes.copied().collect()
    }

    /// The number of tokens; ids are `0..size`.
    pub fn size(&self) -> usize {
        match self {
            Vocab::Bytes => ALL_BYTES.len(),
            Vocab::Bpe(bpe) => bpe.size(),
            Vocab::Unigram(unigram) => unigram.size(),
        }
    }

    /// The number of bytes that `ids` stand for, the denominator of bits per byte.
    ///
    /// # Panics
    ///
    /// Panics if an id is not in the vocabulary.
    pub fn n_bytes(&self, ids: &[u32]) -> usize {
        ids.iter().map(|id| self.token_bytes(*id).len()).sum()
    }

    /// The bytes of one token.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not in the vocabulary.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        let index = id as usize;
        assert!(
            index < self.size(),
            "token {id} is not in a vocabulary of {} tokens",
            self.size()
        );
        match self {
            Vocab::Bytes => &ALL_BYTES[index..=index],
            Vocab::Bpe(bpe) => bpe.piece(index),
            Vocab::Unigram(unigram) => unigram.piece(index),
        }
    }

    /// One token for display on one line: `\n` for a line break, `\xE6` for a byte inside a character.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not in the vocabulary.
    pub fn token_text(&self, id: u32) -> String {
        let mut text = String::new();
        for chunk in self.token_bytes(id).utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || character == '\\' {
                    text.extend(character.escape_default());
                } else {
                    text.push(character);
                }
            }
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02X}"));
            }
        }
        text
    }

    /// Writes a `tokenizer.json`, whole or not at all, that [`load`](Self::load) and Hugging Face's
    /// `tokenizers` read.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        match self {
            // Bytes are the byte-level BPE without a merge, so that one file format serves both.
            Vocab::Bytes => BpeVocab::bytes().save(path.as_ref()),
            Vocab::Bpe(bpe) => bpe.save(path.as_ref()),
            Vocab::Unigram(unigram) => unigram.save(path.as_ref()),
        }
    }

    /// Reads the `tokenizer.json` of a byte-level BPE vocabulary, ours or a published one, or of a Unigram
    /// vocabulary of ours.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or its vocabulary loses bytes (a normalizer, no byte fallback).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = Source::plain(path, &AtomicBool::new(false))?.rest()?;
        Self::parse(&bytes).map_err(|reason| DataError::BadVocab {
            path: path.into(),
            reason,
        })
    }

    /// The vocabulary of a `tokenizer.json`, or why it is none of ours.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let tokenizer = parse_tokenizer(bytes)?;
        if matches!(tokenizer.get_model(), ModelWrapper::Unigram(_)) {
            return UnigramVocab::new(tokenizer).map(Vocab::Unigram);
        }
        let bpe = BpeVocab::of_file(tokenizer)?;
        let is_bytes =
            bpe.size() == ALL_BYTES.len() && (0..bpe.size()).all(|i| bpe.piece(i) == [i as u8]);
        Ok(if is_bytes {
            Vocab::Bytes
        } else {
            Vocab::Bpe(bpe)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_their_own_ids() {
        // é = C3 A9 = 195 169.
        assert_eq!(Vocab::Bytes.encode("aé\n"), [97, 195, 169, 10]);
        assert_eq!(Vocab::Bytes.size(), 256);
        assert_eq!(Vocab::Bytes.n_bytes(&[97, 195, 169]), 3);
        assert_eq!(Vocab::Bytes.decode(&[97, 195]), "a\u{FFFD}");
    }

    #[test]
    fn tokens_display_on_one_line() {
        let shown: Vec<String> = [97, 10, 0xE6, 92]
            .map(|id| Vocab::Bytes.token_text(id))
            .into();
        assert_eq!(shown, ["a", "\\n", "\\xE6", "\\\\"]);
    }

    #[test]
    #[should_panic(expected = "token 256 is not in a vocabulary of 256 tokens")]
    fn an_unknown_token_panics() {
        Vocab::Bytes.token_bytes(256);
    }

    #[test]
    fn bytes_save_and_load() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        Vocab::Bytes.save(&path).unwrap();
        assert!(matches!(Vocab::load(&path).unwrap(), Vocab::Bytes));
        // The file by itself, in the eyes of another reader, is the same vocabulary.
        let text = "aé漢\n  \u{0}";
        assert_eq!(
            Vocab::Bpe(BpeVocab::bytes()).encode(text),
            Vocab::Bytes.encode(text)
        );
    }

    #[test]
    fn what_is_no_json_is_refused_before_the_tokenizer_reads_it() {
        for text in [
            "",
            "{",
            "[]",
            "{\"version\":\"1.0\",\"decoder\":{\"type\"}}",
        ] {
            Vocab::parse(text.as_bytes()).expect_err("it is no tokenizer");
        }
    }

    #[test]
    fn kinds_read_as_in_a_configuration_file() {
        assert_eq!(serde_json::to_string(&VocabKind::Bpe).unwrap(), "\"bpe\"");
        assert_eq!(
            serde_json::from_str::<VocabKind>("\"bytes\"").unwrap(),
            VocabKind::Bytes
        );
    }

    proptest! {
        #[test]
        fn bytes_round_trip(text in any::<String>()) {
            let ids = Vocab::Bytes.encode(&text);
            prop_assert_eq!(Vocab::Bytes.n_bytes(&ids), text.len());
            prop_assert_eq!(Vocab::Bytes.decode(&ids), text);
        }
    }
}
