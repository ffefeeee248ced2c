//! The tokenizer of a published checkpoint, `tokenizer.json`.

use super::CheckpointError;
use super::error::file_error;
use crate::disk::{MOST_TEXT, read_at_most};
use crate::gguf::{Gguf, is_gguf};
use crate::guard::guarded;
use crate::pointer::LFS_PREFIX;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// Reads the text of a `tokenizer.json`: the one way to a [`Tokenizer`] from a file.
///
/// # Errors
///
/// Returns what is wrong with it.
pub fn parse_tokenizer(text: &[u8]) -> Result<Tokenizer, String> {
    let parsed = without_panic(|| Tokenizer::from_bytes(text).map_err(|error| error.to_string()));
    parsed.map_err(|error| format!("it cannot be understood: {error}"))
}

/// Calls the library, which takes much for granted of the files that it reads and uses: a panic becomes an
/// error.
fn without_panic<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // a panic leaves nothing half changed: the tokenizer is not changed by its use
    guarded(call).unwrap_or_else(|| Err("the library for tokenizers panics at it".to_owned()))
}

/// A published tokenizer.
#[derive(Debug, Clone)]
pub struct PublishedTokenizer {
    path: PathBuf,
    tokenizer: Tokenizer,
}

impl PublishedTokenizer {
    /// Reads `tokenizer.json` of a folder, or the vocabulary of a GGUF file; none if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be understood.
    pub fn read(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        if is_gguf(folder) {
            let text = Gguf::open(folder)?.tokenizer_text()?;
            let read = text.map(|text| Self::parse(folder.to_owned(), &text));
            return read.transpose();
        }
        let path = folder.join("tokenizer.json");
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = read_at_most(&path, MOST_TEXT).map_err(file_error("read", &path))?;
        if bytes.starts_with(LFS_PREFIX) {
            return Err(CheckpointError::Pointer(path));
        }
        Self::parse(path, &bytes).map(Some)
    }

    fn parse(path: PathBuf, text: &[u8]) -> Result<Self, CheckpointError> {
        match parse_tokenizer(text) {
            Ok(tokenizer) => Ok(Self { path, tokenizer }),
            Err(what) => Err(CheckpointError::Native { path, what }),
        }
    }

    /// The token ids of a text, with the special tokens that the tokenizer puts around it.
    ///
    /// # Errors
    ///
    /// Returns an error if the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, CheckpointError> {
        let encode = || {
            let encoding = self.tokenizer.encode(text, true);
            encoding.map_err(|error| error.to_string())
        };
        match without_panic(encode) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(CheckpointError::Native {
                path: self.path.clone(),
                what: format!("it cannot encode the text: {error}"),
            }),
        }
    }

    /// The text of ids; special tokens have none, and neither have ids that it does not know.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.text(ids, Special::LeftOut)
    }

    /// Does what [`decode`](Self::decode) does, with special tokens as they are written.
    pub fn decode_marked(&self, ids: &[u32]) -> String {
        self.text(ids, Special::Written)
    }

    fn text(&self, ids: &[u32], special: Special) -> String {
        let skips = special == Special::LeftOut;
        let decode = || self.tokenizer.decode(ids, skips);
        without_panic(|| decode().map_err(|error| error.to_string())).unwrap_or_default()
    }

    /// The id of a token by how it is written, if there is such a one.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// A decoder for tokens as they arrive.
    pub fn stream(&self) -> TokenStream<'_> {
        TokenStream {
            tokenizer: self,
            ids: Vec::new(),
            before: 0,
            read: 0,
        }
    }
}

/// Treatment of special tokens in a text.
#[derive(PartialEq)]
enum Special {
    LeftOut,
    Written,
}

/// Decodes a growing sequence of tokens into text, whole characters at a time.
///
/// A token's text can depend on the one before it (a space, a character in several parts), so each is
/// decoded together with those that were last written.
#[derive(Debug, Clone)]
pub struct TokenStream<'a> {
    tokenizer: &'a PublishedTokenizer,
    ids: Vec<u32>,
    /// The first of the tokens that were written last.
    before: usize,
    /// The first token that is not written yet.
    read: usize,
}

impl TokenStream<'_> {
    /// Takes one token and returns the text that it completes, often none.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let text = self.pending();
        if text.is_empty() || text.ends_with('\u{FFFD}') {
            return String::new();
        }
        self.before = self.read;
        self.read = self.ids.len();
        text
    }

    /// Ends the text: what is left of a character that was never completed.
    pub fn finish(self) -> String {
        self.pending()
    }

    fn pending(&self) -> String {
        let written = self.tokenizer.decode(&self.ids[self.before..self.read]);
        let all = self.tokenizer.decode(&self.ids[self.before..]);
        all.get(written.len()..).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::decoders::byte_level::ByteLevel;
    use tokenizers::models::bpe::BPE;

    /// The 256 bytes, as GPT-2 writes them.
    fn bytes() -> PublishedTokenizer {
        let letters = ByteLevel::alphabet().into_iter().map(String::from);
        let vocab: Vec<(String, u32)> = letters.zip(0..).collect();
        let vocab: [(String, u32); 256] = vocab.try_into().expect("256 bytes");
        let model = BPE::builder()
            .vocab_and_merges(vocab, Vec::new())
            .build()
            .expect("a vocabulary of single characters");
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, false)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        PublishedTokenizer {
            path: PathBuf::from("tokenizer.json"),
            tokenizer,
        }
    }

    #[test]
    fn characters_arrive_whole() {
        let tokenizer = bytes();
        let text = "aé 漢b";
        let ids = tokenizer.encode(text).expect("bytes encode every text");
        assert_eq!(ids.len(), text.len());
        let mut stream = tokenizer.stream();
        let pieces: Vec<String> = ids.iter().map(|id| stream.push(*id)).collect();
        assert_eq!(pieces, ["a", "", "é", " ", "", "", "漢", "b"]);
        assert_eq!(stream.finish(), "");
    }
}
