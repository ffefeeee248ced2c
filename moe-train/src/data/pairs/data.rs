//! The pairs of a run.

use super::{PairBatch, PairConfig, PairName, SpanShape, TranslationData, corrupt};
use crate::data::fingerprint::Fingerprint;
use crate::data::{
    Batches, DataError, DataSummary, DomainSummary, Split, TextData, UnigramVocab, Vocab,
};
use moe_router::parts::mix_seed;
use std::sync::atomic::AtomicBool;

/// Apart from the order of windows, which the same seed draws.
const SPANS: u64 = 0x0073_7061_6e73;

/// The pairs of a run, split and encoded.
#[derive(Debug, Clone)]
pub struct PairData {
    config: PairConfig,
    vocab: Vocab,
    source: Source,
}

/// Source of the pairs.
#[derive(Debug, Clone)]
enum Source {
    /// Windows of a text, and the shape of their gaps.
    Spans(TextData, SpanShape),
    /// A table.
    Translation(TranslationData),
}

/// Training batches in a row.
#[derive(Debug, Clone)]
pub enum PairBatches<'a> {
    /// Windows of a text, whose gaps depend on the seed and the window's place in the run.
    Spans {
        /// The windows.
        windows: Batches<'a>,
        /// The shape of their gaps.
        shape: SpanShape,
        /// The seed of the gaps.
        seed: u64,
    },
    /// The pairs of a table.
    Translation {
        /// The table.
        data: &'a TranslationData,
        /// The seed of the order.
        seed: u64,
        /// The pairs used so far.
        consumed: u64,
        /// The pairs of a batch.
        batch_size: usize,
    },
}

impl PairData {
    /// Reads the texts of a configuration; the vocabulary is learned from their train parts unless there
    /// is one.
    ///
    /// # Errors
    ///
    /// What is wrong with the texts or the vocabulary.
    pub fn load(
        config: &PairConfig,
        seq_length: usize,
        vocab: Option<&Vocab>,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        let vocab = match vocab {
            Some(Vocab::Unigram(vocab)) => Some(vocab),
            _ => None,
        };
        let (source, vocab) = match config.name {
            PairName::Spans => {
                let (text, vocab) = spans(config, seq_length, vocab, stop)?;
                let shape = config.span_shape(seq_length);
                (Source::Spans(text, shape), vocab)
            }
            PairName::Translation => {
                let (data, vocab) = TranslationData::load(config, seq_length, vocab, stop)?;
                (Source::Translation(data), vocab)
            }
        };
        Ok(Self {
            config: config.clone(),
            vocab: Vocab::Unigram(vocab),
            source,
        })
    }

    /// Kind of the pairs.
    pub fn name(&self) -> PairName {
        self.config.name
    }

    /// The vocabulary.
    pub fn vocab(&self) -> &Vocab {
        &self.vocab
    }

    /// The names of the domains; the place in this list is the label of a pair.
    pub fn domain_names(&self) -> Vec<String> {
        match &self.source {
            Source::Spans(text, _) => text.domain_names().to_vec(),
            Source::Translation(_) => vec!["translation".to_owned()],
        }
    }

    /// Training batches of `batch_size` pairs from `consumed` of them on: a pure function of the data and
    /// the arguments.
    pub fn batches(&self, seed: u64, consumed: u64, batch_size: usize) -> PairBatches<'_> {
        match &self.source {
            Source::Spans(text, shape) => PairBatches::Spans {
                windows: text.sampler(seed).batches(consumed, batch_size),
                shape: *shape,
                seed: mix_seed(seed, SPANS),
            },
            Source::Translation(data) => PairBatches::Translation {
                data,
                seed,
                consumed,
                batch_size,
            },
        }
    }

    /// The pairs of a part, each once and always the same, `batch_size` at a time; at most `most` of them
    /// if given, evenly spaced.
    pub fn eval_batches(
        &self,
        split: Split,
        most: Option<usize>,
        batch_size: usize,
    ) -> Vec<PairBatch> {
        match &self.source {
            Source::Spans(text, shape) => {
                let windows = text.eval_windows(split, 0, most);
                let batches = windows.batches(batch_size).enumerate();
                batches
                    .map(|(i, eval)| {
                        let first = (i * batch_size) as u64;
                        span_batch(&eval.batch, shape, mix_seed(0, SPANS), first)
                    })
                    .collect()
            }
            Source::Translation(data) => {
                let n_pairs = data.pairs(split).len();
                let n_kept = most.map_or(n_pairs, |most| most.min(n_pairs));
                let places: Vec<usize> = (0..n_kept).map(|i| i * n_pairs / n_kept).collect();
                let batches = places.chunks(batch_size);
                batches.map(|places| data.batch(split, places)).collect()
            }
        }
    }

    /// The number of pairs of a part in an evaluation of all of it.
    pub fn n_eval(&self, split: Split) -> usize {
        match &self.source {
            Source::Spans(text, _) => text.eval_windows(split, 0, None).len(),
            Source::Translation(data) => data.pairs(split).len(),
        }
    }

    /// A hash of all tokens and of how gaps are made.
    ///
    /// # Errors
    ///
    /// [`DataError::Interrupted`] soon after `stop` is set.
    pub fn fingerprint(&self, stop: &AtomicBool) -> Result<String, DataError> {
        match &self.source {
            Source::Spans(text, _) => text.fingerprint(stop),
            Source::Translation(data) => {
                let mut hash = Fingerprint::new(stop);
                for pair in Split::ALL.iter().flat_map(|split| data.pairs(*split)) {
                    for ids in [&pair.input, &pair.target] {
                        hash.length(ids.len());
                        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
                        hash.bytes(&bytes)?;
                    }
                }
                Ok(hash.finish())
            }
        }
    }

    /// Bytes and tokens of every domain and part; of a table those of both columns.
    pub fn describe(&self) -> DataSummary {
        match &self.source {
            Source::Spans(text, _) => text.describe(),
            Source::Translation(data) => {
                let ids = |split| data.pairs(split).iter().flat_map(|p| [&p.input, &p.target]);
                DataSummary {
                    corpus: self.config.path.clone(),
                    vocab_size: self.vocab.size(),
                    domains: vec![DomainSummary {
                        name: "translation".to_owned(),
                        bytes: Split::ALL
                            .map(|split| ids(split).map(|ids| self.bytes_of(ids)).sum()),
                        tokens: Split::ALL.map(|split| ids(split).map(Vec::len).sum()),
                    }],
                }
            }
        }
    }

    /// The bytes of a text, without its end.
    fn bytes_of(&self, ids: &[u32]) -> usize {
        self.vocab.n_bytes(&ids[..ids.len() - 1])
    }
}

fn spans(
    config: &PairConfig,
    seq_length: usize,
    vocab: Option<&UnigramVocab>,
    stop: &AtomicBool,
) -> Result<(TextData, UnigramVocab), DataError> {
    let corpus = config.text().corpus(stop)?;
    let vocab = match vocab {
        Some(vocab) => vocab.clone(),
        None => {
            let domains = corpus.domains.iter();
            let train: Vec<_> = domains.map(|domain| domain.part(Split::Train)).collect();
            let texts = train.iter().map(|part| part.as_ref());
            UnigramVocab::train(texts, config.vocab_size, stop)?
        }
    };
    let text = TextData::new(corpus, Vocab::Unigram(vocab.clone()), seq_length, stop)?;
    Ok((text, vocab))
}

/// The windows of a batch with gaps, those of window `first + i` by a seed of its own.
fn span_batch(batch: &crate::data::Batch, shape: &SpanShape, seed: u64, first: u64) -> PairBatch {
    let windows = batch.inputs.chunks(batch.seq_length).zip(first..);
    PairBatch {
        pairs: windows
            .map(|(window, place)| corrupt(window, shape, mix_seed(seed, place)))
            .collect(),
        domains: batch.domains.clone(),
    }
}

impl PairBatches<'_> {
    /// The next batch.
    pub fn draw(&mut self) -> PairBatch {
        match self {
            Self::Spans {
                windows,
                shape,
                seed,
            } => {
                let first = windows.consumed();
                span_batch(&windows.draw(), shape, *seed, first)
            }
            Self::Translation {
                data,
                seed,
                consumed,
                batch_size,
            } => {
                let n_pairs = data.pairs(Split::Train).len() as u64;
                let mut places = Vec::with_capacity(*batch_size);
                let mut order: Option<(u64, Vec<usize>)> = None;
                for position in *consumed..*consumed + *batch_size as u64 {
                    let (epoch, place) = (position / n_pairs, (position % n_pairs) as usize);
                    if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
                        order = Some((epoch, data.order(*seed, epoch)));
                    }
                    places.extend(order.as_ref().map(|(_, order)| order[place]));
                }
                *consumed += *batch_size as u64;
                data.batch(Split::Train, &places)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn text() -> (tempfile::TempDir, PairConfig) {
        let dir = tempfile::tempdir().unwrap();
        let words = ["alpha", "beta", "gamma", "delta", "epsilon"];
        let text: String = (0..4000usize)
            .map(|i| format!("{} ", words[(i * i / 7 + i) % 5]))
            .collect();
        std::fs::write(dir.path().join("words.txt"), text).unwrap();
        let config = PairConfig {
            path: dir.path().to_string_lossy().into_owned(),
            vocab_size: 359,
            ..PairConfig::default()
        };
        (dir, config)
    }

    #[test]
    fn a_batch_is_a_function_of_seed_and_position() {
        let (_dir, config) = text();
        let data = PairData::load(&config, 16, None, &AtomicBool::new(false)).unwrap();
        let all: Vec<PairBatch> = {
            let mut batches = data.batches(5, 0, 4);
            (0..3).map(|_| batches.draw()).collect()
        };
        assert_eq!(data.batches(5, 8, 4).draw(), all[2]);
        assert_ne!(data.batches(6, 8, 4).draw(), all[2]);
        // one at a time gives the same pairs
        let mut single = data.batches(5, 4, 1);
        let singles: Vec<_> = (0..4).flat_map(|_| single.draw().pairs).collect();
        assert_eq!(singles, all[1].pairs);
        let shape = config.span_shape(16);
        assert!(
            all[0]
                .pairs
                .iter()
                .all(|pair| pair.target.len() == shape.target_length())
        );
    }

    #[test]
    fn evaluation_is_always_the_same_and_whole() {
        let (_dir, config) = text();
        let data = PairData::load(&config, 16, None, &AtomicBool::new(false)).unwrap();
        let all = data.eval_batches(Split::Validation, None, 4);
        assert_eq!(all, data.eval_batches(Split::Validation, None, 4));
        let one_by_one = data.eval_batches(Split::Validation, None, 1);
        let pairs = |batches: &[PairBatch]| -> Vec<_> {
            batches
                .iter()
                .flat_map(|batch| batch.pairs.clone())
                .collect()
        };
        assert_eq!(pairs(&all), pairs(&one_by_one));
        assert_eq!(pairs(&data.eval_batches(Split::Test, Some(3), 2)).len(), 3);
    }

    #[test]
    fn a_vocabulary_at_hand_gives_the_same_data() {
        let (_dir, config) = text();
        let data = PairData::load(&config, 16, None, &AtomicBool::new(false)).unwrap();
        let again =
            PairData::load(&config, 16, Some(data.vocab()), &AtomicBool::new(false)).unwrap();
        let hash = |data: &PairData| data.fingerprint(&AtomicBool::new(false)).unwrap();
        assert_eq!(hash(&again), hash(&data));
        assert_eq!(again.describe(), data.describe());
    }

    #[test]
    fn a_table_is_drawn_over_the_end_of_an_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.tsv");
        let table: String = (0..20)
            .map(|i| format!("the number {i}\tel número {i}\n"))
            .collect();
        std::fs::write(&path, table).unwrap();
        let config = PairConfig {
            name: PairName::Translation,
            path: path.to_string_lossy().into_owned(),
            vocab_size: 359,
            ..PairConfig::default()
        };
        let data = PairData::load(&config, 32, None, &AtomicBool::new(false)).unwrap();
        let mut batches = data.batches(1, 0, 7);
        let drawn: Vec<_> = (0..6).flat_map(|_| batches.draw().pairs).collect();
        assert_eq!(data.batches(1, 14, 7).draw().pairs, drawn[14..21]);
        // 18 training pairs: the first epoch has each of them once
        let mut first: Vec<_> = drawn[..18].iter().map(|pair| pair.input.clone()).collect();
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 18);
        assert_eq!(data.describe().domains[0].name, "translation");
        assert_eq!(data.eval_batches(Split::Test, None, 8).len(), 1);
    }
}
