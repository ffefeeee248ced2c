//! Token ids in as few bytes as the vocabulary allows.

use crate::data::{DataError, Vocab, read::check_stop, vocab::chunks};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Chunks that are encoded between two looks at the request to stop, some 4 MB.
const N_CHUNKS: usize = 64;

/// The ids of a text.
#[derive(Clone, Debug)]
pub struct Tokens(Ids);

/// Ids by their width.
#[derive(Clone, Debug)]
enum Ids {
    /// Bytes: a part of a text, which is there once for all its parts.
    Text(Arc<Cow<'static, str>>, Range<usize>),
    /// Ids below 65,536.
    Short(Vec<u16>),
    /// All others.
    Long(Vec<u32>),
}

impl Tokens {
    /// The bytes of a part of a text, which is not copied.
    pub(super) fn of_bytes(text: &Arc<Cow<'static, str>>, part: Range<usize>) -> Self {
        Self(Ids::Text(Arc::clone(text), part))
    }

    /// Encodes a text.
    pub(super) fn encode(text: &str, vocab: &Vocab, stop: &AtomicBool) -> Result<Self, DataError> {
        let mut ids = if vocab.size() <= 1 << 16 {
            Ids::Short(Vec::new())
        } else {
            Ids::Long(Vec::new())
        };
        for chunks in chunks(text).chunks(N_CHUNKS) {
            check_stop(stop)?;
            ids.push(&vocab.encode_chunks(chunks));
        }
        Ok(Self(ids))
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        match &self.0 {
            Ids::Text(_, part) => part.len(),
            Ids::Short(ids) => ids.len(),
            Ids::Long(ids) => ids.len(),
        }
    }

    /// Returns `true` if there is no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the ids of a range.
    ///
    /// # Panics
    ///
    /// Panics if the range goes beyond the end.
    pub fn copy_to(&self, range: Range<usize>, into: &mut Vec<u32>) {
        match &self.0 {
            Ids::Text(text, part) => {
                let bytes = &text.as_bytes()[part.clone()][range];
                into.extend(bytes.iter().map(|id| u32::from(*id)));
            }
            Ids::Short(ids) => into.extend(ids[range].iter().map(|id| u32::from(*id))),
            Ids::Long(ids) => into.extend_from_slice(&ids[range]),
        }
    }

    /// The ids of a range.
    ///
    /// # Panics
    ///
    /// Panics if the range goes beyond the end.
    pub fn to_vec(&self, range: Range<usize>) -> Vec<u32> {
        let mut ids = Vec::with_capacity(range.len());
        self.copy_to(range, &mut ids);
        ids
    }
}

impl Ids {
    fn push(&mut self, more: &[u32]) {
        match self {
            Ids::Text(..) => unreachable!("bytes are not encoded"),
            Ids::Short(ids) => ids.extend(more.iter().map(|id| *id as u16)),
            Ids::Long(ids) => ids.extend_from_slice(more),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::data::BpeVocab;

    #[test]
    fn a_text_is_encoded_as_its_vocabulary_does_in_two_bytes_a_token() {
        let text = "low lower newest widest ".repeat(20_000);
        let stop = AtomicBool::new(false);
        let bpe = BpeVocab::train([text.as_str()].into_iter(), 270, &stop).unwrap();
        let vocab = Vocab::Bpe(bpe);
        let tokens = Tokens::encode(&text, &vocab, &stop).unwrap();
        assert!(matches!(&tokens.0, Ids::Short(_)));
        assert_eq!(tokens.to_vec(0..tokens.len()), vocab.encode(&text));

        let error = Tokens::encode(&text, &vocab, &AtomicBool::new(true)).unwrap_err();
        assert!(matches!(error, DataError::Interrupted), "{error}");
    }

    #[test]
    fn bytes_are_a_part_of_their_text() {
        let text = Arc::new(Cow::Borrowed("0123456789"));
        let tokens = Tokens::of_bytes(&text, 2..6);
        assert_eq!((tokens.len(), tokens.is_empty()), (4, false));
        assert_eq!(tokens.to_vec(1..3), [u32::from(b'3'), u32::from(b'4')]);
        assert_eq!(Arc::strong_count(&text), 2);
    }

    #[test]
    fn ids_beyond_two_bytes_are_kept_whole() {
        let mut ids = Ids::Long(Vec::new());
        ids.push(&[1, 70_000]);
        assert_eq!(Tokens(ids).to_vec(0..2), [1, 70_000]);
    }
}
