//! Unigram vocabulary: of many candidate pieces those stay without which the text would be least likely,
//! and a text is cut into its most likely pieces.
//!
//! Kudo, "Subword Regularization" (arXiv 1804.10959), section 3.2, by the `tokenizers` crate, over the
//! bytes of the words that the GPT-2 pattern cuts, so that every text encodes. Besides there are the
//! special tokens of T5 (Raffel et al., arXiv 1910.10683): padding, the end of a text, and 100 sentinels
//! `<extra_id_0>` to `<extra_id_99>`, each of which stands for a gap.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tokenizers::{
    AddedToken, Model, Tokenizer,
    models::unigram::{Unigram, UnigramTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

use super::byte_level::{byte_chars, chunks, learned, save_tokenizer, words, words_of_bytes};
use crate::data::DataError;
use crate::data::read::check_stop;
use std::sync::atomic::AtomicBool;

/// A byte-level Unigram vocabulary with special tokens.
#[derive(Clone, Debug)]
pub struct UnigramVocab {
    /// Reads special tokens as the text that they are written as.
    plain: Arc<Tokenizer>,
    /// Reads special tokens as such.
    marked: Arc<Tokenizer>,
    /// The bytes of each token.
    pieces: Vec<Vec<u8>>,
}

/// Candidates before the first is dropped.
const N_CANDIDATES: usize = 60_000;

impl UnigramVocab {
    /// Fills shorter texts of a batch; the decoder begins with it.
    pub const PAD: u32 = 0;
    /// Ends a text.
    pub const END: u32 = 1;
    /// The number of sentinels.
    pub const N_SENTINELS: usize = 100;
    /// Tokens that stand for no bytes.
    pub const N_SPECIAL: usize = 2 + Self::N_SENTINELS;

    /// The sentinel of a gap.
    ///
    /// # Panics
    ///
    /// Panics if there is none of that number.
    pub fn sentinel(gap: usize) -> u32 {
        assert!(gap < Self::N_SENTINELS, "there is no sentinel {gap}");
        2 + gap as u32
    }

    /// The gap that a sentinel stands for, if the token is one.
    pub fn gap(id: u32) -> Option<usize> {
        let gap = (id as usize).checked_sub(2)?;
        (gap < Self::N_SENTINELS).then_some(gap)
    }

    /// Learns a vocabulary of exactly `size` tokens from `texts`, special ones and the 256 bytes included.
    /// The same texts give the same vocabulary.
    ///
    /// # Errors
    ///
    /// If `size` leaves no piece beyond those, or the texts do not have enough pieces; a request to stop.
    pub fn train<'a>(
        texts: impl Iterator<Item = &'a str>,
        size: usize,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        let least = Self::N_SPECIAL + 256 + 1;
        if size < least {
            return Err(DataError::UnigramTooSmall { size, least });
        }
        let trainer = UnigramTrainer::builder()
            .vocab_size((size - Self::N_SPECIAL) as u32)
            .show_progress(false)
            .seed_size(N_CANDIDATES)
            .initial_alphabet(byte_chars().into_iter().collect())
            .build()
            .expect("all that is needed has a default");
        // words in order and one thread: sums of floats depend on their order
        let words: Vec<(String, u32)> = count_words(texts, stop)?.into_iter().collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|error| DataError::NoThread(error.to_string()))?;
        let learn = move || {
            let mut model = Unigram::default();
            pool.install(|| trainer.do_train(words, &mut model))
                .expect("every byte fits into the vocabulary");
            model
        };
        let model = learned(learn, stop)?;
        let pieces = canonical(&model);
        if pieces.len() + Self::N_SPECIAL < size {
            return Err(DataError::VocabTooLarge {
                size,
                reached: pieces.len() + Self::N_SPECIAL,
            });
        }
        let special = special_tokens().into_iter().map(|token| (token, 0.0));
        let model = Unigram::from(special.chain(pieces).collect(), None, false);
        let model = model.expect("a vocabulary without an unknown token is valid");
        Ok(Self::new(tokenizer(model)).expect("it was just made so"))
    }

    /// Encodes text. Special tokens in it are text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_chunks(&chunks(text))
    }

    /// Encodes texts, one after the other.
    pub(super) fn encode_chunks(&self, texts: &[&str]) -> Vec<u32> {
        let encodings = self.plain.encode_batch_fast(texts.to_vec(), false);
        let encodings = encodings.expect("a byte-level vocabulary covers every text");
        let ids = encodings.iter().flat_map(|encoding| encoding.get_ids());
        ids.copied().collect()
    }

    /// Encodes text in which special tokens may stand, such as `<extra_id_0>`.
    pub fn encode_marked(&self, text: &str) -> Vec<u32> {
        let encoding = self.marked.encode_fast(text, false);
        let encoding = encoding.expect("a byte-level vocabulary covers every text");
        encoding.get_ids().to_vec()
    }

    /// The number of tokens.
    pub fn size(&self) -> usize {
        self.pieces.len()
    }

    /// The bytes of token `index`, which must be below [`size`](Self::size); those of a special token are
    /// how it is written.
    pub(crate) fn piece(&self, index: usize) -> &[u8] {
        &self.pieces[index]
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), DataError> {
        save_tokenizer(&self.marked, path)
    }

    /// Wraps a tokenizer, or says why it is not one of ours.
    pub(super) fn new(marked: Tokenizer) -> Result<Self, String> {
        let chars = byte_chars();
        let byte_of = |c: char| chars.iter().position(|other| *other == c).map(|i| i as u8);
        let special = special_tokens();
        let piece = |id: usize| {
            let token = marked.id_to_token(id as u32);
            let token = token.ok_or(format!("no token has the id {id}"))?;
            match special.get(id) {
                Some(name) if *name == token => Ok(token.into_bytes()),
                Some(name) => Err(format!("token {id} is `{token}` and not `{name}`")),
                None => {
                    let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
                    bytes.ok_or(format!(
                        "token {id} (`{token}`) is not in the byte alphabet"
                    ))
                }
            }
        };
        let size = marked.get_vocab_size(true);
        let pieces = (0..size).map(piece).collect::<Result<Vec<_>, _>>()?;
        let lacks = |c: &char| marked.get_model().token_to_id(&c.to_string()).is_none();
        if let Some(byte) = chars.iter().position(lacks) {
            return Err(format!("no token stands for the byte 0x{byte:02X}"));
        }
        let mut plain = marked.clone();
        plain.set_encode_special_tokens(true);
        Ok(Self {
            plain: Arc::new(plain),
            marked: Arc::new(marked),
            pieces,
        })
    }
}

fn special_tokens() -> Vec<String> {
    let sentinels = (0..UnigramVocab::N_SENTINELS).map(|gap| format!("<extra_id_{gap}>"));
    ["<pad>", "</s>"]
        .map(str::to_owned)
        .into_iter()
        .chain(sentinels)
        .collect()
}

fn tokenizer(model: Unigram) -> Tokenizer {
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(words_of_bytes()));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let special: Vec<AddedToken> = special_tokens()
        .into_iter()
        .map(|token| AddedToken::from(token, true))
        .collect();
    tokenizer
        .add_special_tokens(special)
        .expect("the model has all of them");
    tokenizer
}

fn count_words<'a>(
    texts: impl Iterator<Item = &'a str>,
    stop: &AtomicBool,
) -> Result<BTreeMap<String, u32>, DataError> {
    let mut counts = BTreeMap::new();
    for chunk in texts.flat_map(chunks) {
        check_stop(stop)?;
        for word in words(chunk) {
            *counts.entry(word).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The pieces of a model with their scores, the likeliest first. Bytes that the text does not have are the
/// least likely.
fn canonical(model: &Unigram) -> Vec<(String, f64)> {
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    order_unseen(&mut pieces);
    let longer = pieces.iter().filter(|(piece, _)| !is_byte(piece));
    let least = longer.map(|(_, score)| *score).fold(0.0, f64::min);
    for (piece, score) in &mut pieces {
        if is_byte(piece) && *score < least {
            *score = least;
        }
    }
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    pieces
}

/// The step between the scores that the trainer gives to bytes that the text does not have.
const UNSEEN_STEP: f64 = 0.0001;

/// Deals the scores of bytes that the text does not have out in the order of the bytes. The trainer counts them up
/// from the least score of all pieces, in an order that changes from call to call.
fn order_unseen(pieces: &mut [(String, f64)]) {
    let least = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    let mut unseen = Vec::new();
    let mut above = 0.0;
    while let Some(at) = pieces
        .iter()
        .position(|(piece, score)| is_byte(piece) && *score == least + above)
    {
        unseen.push(at);
        above += UNSEEN_STEP;
    }
    let scores: Vec<f64> = unseen.iter().map(|&at| pieces[at].1).collect();
    unseen.sort_by(|&a, &b| pieces[a].0.cmp(&pieces[b].0));
    for (at, score) in unseen.into_iter().zip(scores) {
        pieces[at].1 = score;
    }
}

fn is_byte(piece: &str) -> bool {
    piece.chars().count() == 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::data::{Corpus, Split, Vocab};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// The test part of a domain: some thousands of different words.
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let corpus = Corpus::nine_domains();
        corpus.domains[0].part(Split::Test).into_owned()
    });

    static VOCAB: LazyLock<UnigramVocab> = LazyLock::new(|| {
        UnigramVocab::train([TEXT.as_str()].into_iter(), SIZE, &AtomicBool::new(false)).unwrap()
    });

    const SIZE: usize = 600;

    #[test]
    fn special_tokens_come_first_and_are_read_where_they_are_meant() {
        assert_eq!(VOCAB.size(), SIZE);
        assert_eq!(VOCAB.piece(0), b"<pad>");
        assert_eq!(VOCAB.piece(1), b"</s>");
        assert_eq!(VOCAB.piece(101), b"<extra_id_99>");
        assert_eq!(UnigramVocab::sentinel(3), 5);
        assert_eq!(UnigramVocab::gap(5), Some(3));
        assert_eq!([0, 1, 102].map(UnigramVocab::gap), [None; 3]);

        let marked = VOCAB.encode_marked("low<extra_id_0> newest<extra_id_12>");
        let gaps: Vec<usize> = marked
            .iter()
            .filter_map(|id| UnigramVocab::gap(*id))
            .collect();
        assert_eq!(gaps, [0, 12]);
        let plain = VOCAB.encode("low<extra_id_0></s>");
        assert!(
            plain
                .iter()
                .all(|id| *id as usize >= UnigramVocab::N_SPECIAL)
        );
    }

    #[test]
    fn frequent_words_are_pieces() {
        for word in [" the", " of"] {
            assert_eq!(VOCAB.encode(word).len(), 1, "{word}");
        }
        let rate = TEXT.len() as f64 / VOCAB.encode(&TEXT).len() as f64;
        assert!(rate > 1.5, "{rate} bytes a token");
    }

    #[test]
    fn the_same_text_gives_the_same_vocabulary() {
        let again = UnigramVocab::train([TEXT.as_str()].into_iter(), SIZE, &AtomicBool::new(false))
            .unwrap();
        assert_eq!(again.pieces, VOCAB.pieces);
        assert_eq!(again.encode(&TEXT), VOCAB.encode(&TEXT));
    }

    #[test]
    fn bytes_that_the_text_does_not_have_stand_in_one_order() {
        // all pieces that the text has, down to the rarest, which are as rare as these bytes
        let train = |size| {
            let texts = [TEXT.as_str()].into_iter();
            UnigramVocab::train(texts, size, &AtomicBool::new(false))
        };
        let Err(DataError::VocabTooLarge { reached, .. }) = train(4000) else {
            panic!("the text has fewer pieces");
        };
        let pieces = train(reached).unwrap().pieces;
        for _ in 0..3 {
            assert_eq!(train(reached).unwrap().pieces, pieces);
        }
    }

    #[test]
    fn scores_are_dealt_out_in_the_order_of_the_bytes() {
        // -9 and two steps above it are the trainer's; `d` has its own score
        let steps = [-9.0, -9.0 + UNSEEN_STEP, -9.0 + (UNSEEN_STEP + UNSEEN_STEP)];
        let dealt = |order: [&str; 3]| {
            let mut pieces = vec![("the".to_owned(), -2.0), ("d".to_owned(), -8.5)];
            pieces.extend(order.map(str::to_owned).into_iter().zip(steps));
            order_unseen(&mut pieces);
            pieces.sort_by(|a, b| a.0.cmp(&b.0));
            pieces
        };
        let expected = dealt(["a", "b", "c"]);
        assert_eq!(expected[0], ("a".to_owned(), steps[0]));
        assert_eq!(expected[3], ("d".to_owned(), -8.5));
        assert_eq!(dealt(["c", "a", "b"]), expected);
    }

    #[test]
    fn saves_and_loads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        Vocab::Unigram(VOCAB.clone()).save(&path).unwrap();
        let Vocab::Unigram(loaded) = Vocab::load(&path).unwrap() else {
            panic!("another kind of vocabulary");
        };
        assert_eq!(loaded.pieces, VOCAB.pieces);
        let text = "the lowest<extra_id_1> newest é</s>";
        assert_eq!(loaded.encode(text), VOCAB.encode(text));
        assert_eq!(loaded.encode_marked(text), VOCAB.encode_marked(text));
    }

    #[test]
    fn sizes_that_cannot_be_are_errors() {
        let error = |size| {
            let error = UnigramVocab::train(
                ["low lower newest"].into_iter(),
                size,
                &AtomicBool::new(false),
            );
            error.unwrap_err().to_string()
        };
        let small = error(358);
        assert!(
            small.contains("data.vocab_size = 358 is too small"),
            "{small}"
        );
        assert!(small.contains("use 359 or more"), "{small}");
        assert!(error(4000).contains("data.vocab_size = 4000 is too large"));
    }

    proptest! {
        #[test]
        fn any_text_round_trips(text in any::<String>()) {
            let vocab = Vocab::Unigram(VOCAB.clone());
            let ids = vocab.encode(&text);
            prop_assert_eq!(vocab.n_bytes(&ids), text.len());
            prop_assert_eq!(vocab.decode(&ids), text);
        }
    }
}
