//! Byte-level byte-pair encoding: merge the most frequent pair of neighbours until the vocabulary is full.
//!
//! Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (arXiv 1508.07909),
//! algorithm 1, over the bytes of the words that the GPT-2 pattern cuts (Radford et al., 2019), by the
//! `tokenizers` crate. Training is deterministic: pairs of equal count merge in the order of their ids.

use std::{path::Path, sync::Arc};

use tokenizers::{
    Model, Tokenizer, Trainer,
    models::bpe::{BPE, BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

use super::byte_level::{
    N_BYTES, byte_chars, chunks, learned, save_tokenizer, words, words_of_bytes,
};
use crate::data::DataError;
use crate::data::read::check_stop;
use std::sync::atomic::AtomicBool;

/// A byte-level BPE vocabulary.
#[derive(Clone, Debug)]
pub struct BpeVocab {
    tokenizer: Arc<Tokenizer>,
    /// The bytes of each token.
    pieces: Vec<Vec<u8>>,
}

/// Must survive encoding and decoding in a vocabulary that is read from a file.
const PROBE: &str = " A  a\n\n\té\u{e9}e\u{301} 漢字\u{0}🙂 ";

impl BpeVocab {
    /// Learns a vocabulary of exactly `size` tokens from `texts`.
    ///
    /// # Errors
    ///
    /// If `size` leaves no piece beyond the 256 bytes, or the texts do not have enough pairs to merge; a
    /// request to stop.
    pub fn train<'a>(
        texts: impl Iterator<Item = &'a str>,
        size: usize,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        if size <= N_BYTES {
            return Err(DataError::VocabTooSmall { size });
        }
        let mut trainer = BpeTrainer::builder()
            .vocab_size(size)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let chunks: Vec<&str> = texts.flat_map(chunks).collect();
        let counted = trainer.feed(chunks.into_iter(), |chunk| {
            check_stop(stop)?;
            Ok(words(chunk))
        });
        counted.map_err(|_| DataError::Interrupted)?;
        let learn = move || {
            let mut model = BPE::default();
            trainer
                .train(&mut model)
                .expect("words of bytes can be merged");
            model
        };
        let tokenizer = byte_level(learned(learn, stop)?, words_of_bytes());
        let vocab = Self::new(tokenizer).expect("the byte alphabet is byte-level");
        if vocab.size() < size {
            return Err(DataError::VocabTooLarge {
                size,
                reached: vocab.size(),
            });
        }
        Ok(vocab)
    }

    /// The 256 bytes without a merge, ids equal to bytes.
    pub(crate) fn bytes() -> Self {
        let vocab = byte_chars()
            .into_iter()
            .map(String::from)
            .zip(0..)
            .collect();
        let tokenizer = byte_level(
            BPE::new(vocab, Vec::new()),
            ByteLevel::new(false, false, false),
        );
        Self::new(tokenizer).expect("the byte alphabet is byte-level")
    }

    /// Encodes texts, one after the other.
    pub(super) fn encode_chunks(&self, texts: &[&str]) -> Vec<u32> {
        let encodings = self.tokenizer.encode_batch_fast(texts.to_vec(), false);
        let encodings = encodings.expect("a byte-level vocabulary covers every text");
        let ids = encodings.iter().flat_map(|encoding| encoding.get_ids());
        ids.copied().collect()
    }

    /// The number of tokens.
    pub fn size(&self) -> usize {
        self.pieces.len()
    }

    /// The bytes of token `index`, which must be below [`size`](Self::size).
    pub(crate) fn piece(&self, index: usize) -> &[u8] {
        &self.pieces[index]
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), DataError> {
        save_tokenizer(&self.tokenizer, path)
    }

    /// Wraps the tokenizer of a file, or says why it cannot be used.
    pub(super) fn of_file(tokenizer: Tokenizer) -> Result<Self, String> {
        let vocab = Self::new(tokenizer)?;
        vocab.check_probe()?;
        Ok(vocab)
    }

    /// Wraps a tokenizer, or says why it is not byte-level.
    fn new(tokenizer: Tokenizer) -> Result<Self, String> {
        let chars = byte_chars();
        let byte_of = |c: char| chars.iter().position(|other| *other == c).map(|i| i as u8);
        let pieces = (0..tokenizer.get_vocab_size(true) as u32)
            .map(|id| {
                let token = tokenizer
                    .id_to_token(id)
                    .ok_or(format!("no token has the id {id}"))?;
                let piece: Option<Vec<u8>> = token.chars().map(byte_of).collect();
                piece.ok_or(format!(
                    "token {id} (`{token}`) is not written in the byte alphabet"
                ))
            })
            .collect::<Result<_, _>>()?;
        let lacks = |c: &char| tokenizer.get_model().token_to_id(&c.to_string()).is_none();
        match chars.iter().position(lacks) {
            Some(byte) => Err(format!("no token stands for the byte 0x{byte:02X}")),
            None => Ok(Self {
                tokenizer: Arc::new(tokenizer),
                pieces,
            }),
        }
    }

    fn check_probe(&self) -> Result<(), String> {
        let encoding = self
            .tokenizer
            .encode_fast(PROBE, false)
            .map_err(|error| error.to_string())?;
        let ids = encoding.get_ids().iter();
        let decoded: Vec<u8> = ids
            .flat_map(|id| self.piece(*id as usize))
            .copied()
            .collect();
        if decoded != PROBE.as_bytes() {
            return Err("text does not come back as it was encoded".to_string());
        }
        Ok(())
    }
}

/// A tokenizer without normalizer and special tokens, which cuts words by `pre_tokenizer`.
fn byte_level(model: BPE, pre_tokenizer: ByteLevel) -> Tokenizer {
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::time::Instant;

    use super::*;
    use crate::data::{Corpus, Split, Vocab};
    use proptest::prelude::*;

    fn train<'a>(texts: impl Iterator<Item = &'a str>, size: usize) -> Result<BpeVocab, DataError> {
        BpeVocab::train(texts, size, &AtomicBool::new(false))
    }

    const TEXT: &str = "low low low low low lower lower newest newest newest newest newest newest widest widest widest";

    #[test]
    fn merges_the_most_frequent_pairs_first() {
        // Figure 1 of the paper counts 9 x (e,s) and 9 x (s,t); the tie goes to the lower pair of ids (e,s), then
        // (es,t) 9, then (l,o) 7; here (Ġ,w)... may follow.
        let vocab = train([TEXT].into_iter(), N_BYTES + 3).unwrap();
        let learned: Vec<&[u8]> = (N_BYTES..vocab.size()).map(|i| vocab.piece(i)).collect();
        assert_eq!(learned, [b"es".as_slice(), b"est", b"lo"]);
    }

    #[test]
    fn training_is_deterministic() {
        let corpus = Corpus::nine_domains();
        let learn = || {
            let parts: Vec<_> = corpus
                .domains
                .iter()
                .map(|domain| domain.part(Split::Test))
                .collect();
            train(parts.iter().map(|part| part.as_ref()), 600).unwrap()
        };
        assert_eq!(learn().pieces, learn().pieces);
    }

    #[test]
    fn saves_and_loads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let vocab = train([TEXT].into_iter(), 270).unwrap();
        vocab.save(&path).unwrap();
        let Vocab::Bpe(loaded) = Vocab::load(&path).unwrap() else {
            panic!("another kind of vocabulary");
        };
        assert_eq!(loaded.pieces, vocab.pieces);
        let text = ["the lowest newest é"];
        assert_eq!(loaded.encode_chunks(&text), vocab.encode_chunks(&text));
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn chunks_encode_as_the_whole() {
        let vocab = train([TEXT].into_iter(), 270).unwrap();
        let text = format!("{TEXT}\n\n  {TEXT} é 漢 ' s it's  ").repeat(1000);
        let whole = vocab.tokenizer.encode_fast(text.as_str(), false).unwrap();
        assert!(chunks(&text).len() > 1);
        assert_eq!(chunks(&text).concat(), text);
        assert_eq!(vocab.encode_chunks(&chunks(&text)), whole.get_ids());
    }

    #[test]
    fn a_long_word_is_learned_from_in_time_and_a_request_to_stop_is_heard() {
        // a pseudorandom strand of 1 MB; a merge moves all that follows it in its word
        let mut state = 1u32;
        let strand: String = (0..1 << 20)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ['A', 'C', 'G', 'T'][(state >> 30) as usize]
            })
            .collect();
        let start = Instant::now();
        let vocab = Vocab::Bpe(train([strand.as_str()].into_iter(), 300).unwrap());
        assert_eq!(vocab.decode(&vocab.encode(&strand)), strand);
        // Measured: 0.7 s; several minutes if the word is whole.
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < 30.0, "{seconds} s");

        let stopped = BpeVocab::train([strand.as_str()].into_iter(), 300, &AtomicBool::new(true));
        let error = stopped.unwrap_err();
        assert!(matches!(error, DataError::Interrupted), "{error}");
    }

    #[test]
    fn too_small_a_size_is_an_error() {
        let error = train([TEXT].into_iter(), 256).unwrap_err().to_string();
        assert!(
            error.contains("data.vocab_size = 256 is too small"),
            "{error}"
        );
        assert!(error.contains("use 257 or more"), "{error}");
    }

    #[test]
    fn too_large_a_size_is_an_error() {
        // `aaaa` has the pairs (a,a) and then (aa,aa), no more.
        let error = train(["aaaa"].into_iter(), 300).unwrap_err().to_string();
        assert!(
            error.contains("data.vocab_size = 300 is too large"),
            "{error}"
        );
        assert!(
            error.contains("set data.vocab_size = 258, or add text"),
            "{error}"
        );
        assert_eq!(train(["aaaa"].into_iter(), 258).unwrap().size(), 258);
    }

    #[test]
    fn a_lossy_or_foreign_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = |name: &str, json: &str| {
            let path = dir.path().join(name);
            fs::write(&path, json).unwrap();
            Vocab::load(&path).unwrap_err().to_string()
        };
        let ours = byte_level(BPE::default(), ByteLevel::default())
            .to_string(false)
            .unwrap();
        let text = refusal("empty.json", &ours);
        assert!(
            text.contains("empty.json`: no token stands for the byte 0x00"),
            "{text}"
        );
        assert!(
            refusal("not.json", "{").contains("it must be the tokenizer.json of a byte-level BPE")
        );

        let bytes = BpeVocab::bytes().tokenizer.to_string(false).unwrap();
        let lossy = bytes.replace("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}");
        assert_ne!(lossy, bytes);
        assert!(refusal("nfc.json", &lossy).contains("text does not come back"));

        let gone = Vocab::load(dir.path().join("gone.json"))
            .unwrap_err()
            .to_string();
        assert!(gone.contains("gone.json"), "{gone}");
    }

    proptest! {
        #[test]
        fn any_text_round_trips(text in any::<String>()) {
            let vocab = Vocab::Bpe(train([TEXT].into_iter(), 270).unwrap());
            let ids = vocab.encode(&text);
            prop_assert_eq!(vocab.n_bytes(&ids), text.len());
            prop_assert_eq!(vocab.decode(&ids), text);
        }
    }
}
