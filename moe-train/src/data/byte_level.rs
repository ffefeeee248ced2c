//! What byte-level vocabularies share: the characters that stand for bytes, texts in pieces that can be
//! encoded one by one, and `tokenizer.json`.

use super::DataError;
use moe_models::disk;
use std::{fs, path::Path};
use tokenizers::Tokenizer;

/// Tokens that every byte-level vocabulary starts from.
pub(super) const N_BYTES: usize = 256;

/// Bytes of text encoded at once: the tokenizer needs about a hundred times that in memory.
pub(super) const CHUNK_BYTES: usize = 1 << 16;

/// The printable characters that stand for the 256 bytes in a `tokenizer.json`, as GPT-2 assigned them: a
/// printable byte is its own Latin-1 character, the others follow from U+0100 on in their order.
pub(super) fn byte_chars() -> [char; N_BYTES] {
    let mut next = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        b @ (b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) => char::from(b),
        _ => next.next().expect("there are 68 others"),
    })
}

/// Cuts `text` into chunks that encode to the same tokens as the whole.
///
/// The pre-tokenizer always starts a word at a single space between two visible characters.
pub(super) fn chunks(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let starts_word = |i: &usize| {
        bytes[*i] == b' ' && bytes[*i - 1].is_ascii_graphic() && bytes[*i + 1].is_ascii_graphic()
    };
    let mut chunks = Vec::new();
    let mut start = 0;
    while let Some(end) = (start + CHUNK_BYTES..bytes.len().saturating_sub(1)).find(starts_word) {
        chunks.push(&text[start..end]);
        start = end;
    }
    chunks.push(&text[start..]);
    chunks
}

/// Writes `tokenizer.json`, whole or not at all.
pub(super) fn save_tokenizer(tokenizer: &Tokenizer, path: &Path) -> Result<(), DataError> {
    let json = tokenizer
        .to_string(true)
        .expect("a tokenizer is plain data");
    disk::write_whole(path, json.as_bytes()).map_err(|source| DataError::Io {
        path: path.into(),
        source,
    })
}

/// Reads `tokenizer.json` and makes a vocabulary of it by `wrap`, which says why it is none of its kind.
pub(super) fn load_tokenizer<V>(
    path: &Path,
    wrap: impl FnOnce(Tokenizer) -> Result<V, String>,
) -> Result<V, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Io {
        path: path.into(),
        source,
    })?;
    let tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| error.to_string());
    tokenizer
        .and_then(wrap)
        .map_err(|reason| DataError::BadVocab {
            path: path.into(),
            reason,
        })
}
