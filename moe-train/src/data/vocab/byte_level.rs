//! Parts shared by byte-level vocabularies: the characters that stand for bytes, texts in pieces that can
//! be encoded one by one, and `tokenizer.json`.

use crate::data::{DataError, read::check_stop};
use moe_checkpoint::disk;
use rayon::Yield;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
    pre_tokenizers::byte_level::ByteLevel,
};

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

/// The most bytes of a chunk, where a text has no place to cut it without changing its tokens.
const MOST_CHUNK_BYTES: usize = 1 << 20;

/// The most bytes of a word that a vocabulary is learned from: the time of a merge is the square of it.
const MOST_WORD_BYTES: usize = 1 << 10;

/// Cuts `text` into chunks that encode to the same tokens as the whole.
///
/// The pre-tokenizer always starts a word at a single space between two visible characters. A text that has
/// none for a megabyte is cut in the middle of a word.
pub(in crate::data) fn chunks(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let starts_word = |i: &usize| {
        bytes[*i] == b' ' && bytes[*i - 1].is_ascii_graphic() && bytes[*i + 1].is_ascii_graphic()
    };
    let mut chunks = Vec::new();
    let mut start = 0;
    while bytes.len() - start > CHUNK_BYTES {
        let most = text.ceil_char_boundary(start + MOST_CHUNK_BYTES);
        let candidates = start + CHUNK_BYTES..most.min(bytes.len() - 1);
        let end = { candidates }.find(starts_word).unwrap_or(most);
        chunks.push(&text[start..end]);
        start = end;
    }
    if start < bytes.len() || chunks.is_empty() {
        chunks.push(&text[start..]);
    }
    chunks
}

/// The words that the GPT-2 pattern cuts, in the byte alphabet; the pieces of those that are very long.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = PreTokenizedString::from(text);
    words_of_bytes()
        .pre_tokenize(&mut words)
        .expect("pre-tokenizing into bytes accepts any text");
    let splits = words.get_splits(OffsetReferential::Normalized, OffsetType::None);
    let mut pieces = Vec::with_capacity(splits.len());
    for (word, _, _) in splits {
        let mut rest = word;
        // a character of the alphabet stands for a byte
        while let Some((end, _)) = rest.char_indices().nth(MOST_WORD_BYTES) {
            pieces.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        pieces.push(rest.to_owned());
    }
    pieces
}

/// Cuts words by the GPT-2 pattern and writes them in the byte alphabet.
pub(super) fn words_of_bytes() -> ByteLevel {
    ByteLevel::new(false, false, true)
}

/// Learns on a thread of its own, and waits for that or for a request to stop. The trainers look at no
/// request, so after one the thread goes on until it is done or the program ends.
pub(super) fn learned<T: Send + 'static>(
    learn: impl FnOnce() -> T + Send + 'static,
    stop: &AtomicBool,
) -> Result<T, DataError> {
    let (sender, receiver) = mpsc::channel();
    let learn = move || {
        // nobody waits for it any more after a request to stop
        let _ = sender.send(learn());
    };
    let thread = thread::Builder::new().name("vocabulary".to_owned());
    let thread = thread.spawn(learn);
    let thread = thread.map_err(|error| DataError::NoThread(error.to_string()))?;
    loop {
        match receiver.try_recv() {
            Ok(learned) => return Ok(learned),
            Err(TryRecvError::Empty) => check_stop(stop)?,
            Err(TryRecvError::Disconnected) => {
                let panic = thread.join().expect_err("it sends before it ends");
                std::panic::resume_unwind(panic);
            }
        }
        // this may be a thread of the pool that learning asks for help, perhaps the only one
        if rayon::yield_now() != Some(Yield::Executed) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Writes `tokenizer.json`, whole or not at all.
pub(super) fn save_tokenizer(tokenizer: &Tokenizer, path: &Path) -> Result<(), DataError> {
    let json = tokenizer
        .to_string(true)
        .expect("a tokenizer is plain data");
    disk::write_whole(path, json.as_bytes()).map_err(|source| DataError::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    #[test]
    fn a_text_without_spaces_is_cut_all_the_same() {
        let text = "漢".repeat(MOST_CHUNK_BYTES);
        let chunks = chunks(&text);
        assert_eq!(chunks.concat(), text);
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.len() <= MOST_CHUNK_BYTES + 2)
        );
        assert_eq!(crate::data::chunks(""), [""]);
    }

    #[test]
    fn long_words_are_learned_from_in_pieces() {
        let long = "é".repeat(MOST_WORD_BYTES);
        let words = words(&format!("one {long}"));
        let lengths: Vec<usize> = words.iter().map(|word| word.chars().count()).collect();
        // the space belongs to the long word: 1 + 2048 bytes
        assert_eq!(lengths, [3, 1024, 1024, 1]);
    }

    #[test]
    fn the_only_thread_of_a_pool_helps_to_learn_while_it_waits() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = Arc::new(pool.unwrap());
        let same = Arc::clone(&pool);
        let learned = pool.install(|| learned(move || same.install(|| 7), &AtomicBool::new(false)));
        assert_eq!(learned.unwrap(), 7);
    }

    #[test]
    fn nobody_waits_for_a_vocabulary_after_a_request_to_stop() {
        assert_eq!(learned(|| 7, &AtomicBool::new(false)).unwrap(), 7);
        let start = Instant::now();
        let stop = AtomicBool::new(false);
        let (done, wait) = mpsc::channel::<()>();
        let error = thread::scope(|scope| {
            scope.spawn(|| stop.store(true, Ordering::Relaxed));
            learned(move || wait.recv().is_err(), &stop).unwrap_err()
        });
        assert!(matches!(error, DataError::Interrupted), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
        drop(done);
    }
}
