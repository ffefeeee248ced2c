//! The data of a run: a corpus, split and encoded.

use super::config::TextConfig;
use crate::data::fingerprint::Fingerprint;
use crate::data::{
    Corpus, DataError, DataSummary, Domain, DomainSummary, EvalWindows, Sampler, Split, Tokens,
    Vocab, VocabConfig,
};
use std::sync::atomic::AtomicBool;

/// A corpus, split and encoded.
#[derive(Clone, Debug)]
pub struct TextData {
    corpus: String,
    vocab: Vocab,
    domain_names: Vec<String>,
    /// Parts of each domain, in the order of [`Split::ALL`].
    parts: Vec<[Part; 3]>,
    /// Parts that are all of their texts, in the order of [`Split::ALL`].
    is_whole: [bool; 3],
    seq_length: usize,
}

/// One part of one domain.
#[derive(Clone, Debug)]
struct Part {
    tokens: Tokens,
    n_bytes: usize,
}

/// Tokens that are hashed at once.
const HASHED: usize = 1 << 14;

impl TextData {
    /// Reads, splits and encodes the text of `config`; a BPE vocabulary is learned from its train parts.
    ///
    /// # Errors
    ///
    /// What is wrong with the text or the vocabulary; a part that does not fill one window of
    /// `seq_length + 1` tokens; a request to stop.
    pub fn load(
        config: &TextConfig,
        seq_length: usize,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        let corpus = config.corpus(stop)?;
        let vocab = VocabConfig {
            kind: config.vocab,
            size: config.vocab_size,
        };
        let vocab = vocab.init(&corpus, stop)?;
        Self::new(corpus, vocab, seq_length, stop)
    }

    /// Splits and encodes `corpus` with a vocabulary at hand, such as that of a checkpoint. Each domain is
    /// dropped as soon as it is encoded.
    ///
    /// # Errors
    ///
    /// If a part does not fill one window of `seq_length + 1` tokens, or a label does not fit the domains;
    /// a request to stop.
    ///
    /// # Panics
    ///
    /// Panics if the corpus has no domain.
    pub fn new(
        corpus: Corpus,
        vocab: Vocab,
        seq_length: usize,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        let n_domains = corpus.domains.len();
        assert!(n_domains > 0, "a corpus needs at least one domain");
        if n_domains > usize::from(u16::MAX) + 1 {
            return Err(DataError::TooManyDomains { n_domains });
        }
        let names = corpus.domains.iter().map(|domain| domain.name.clone());
        let domain_names = names.collect();
        let is_whole = |split| corpus.domains.iter().any(|domain| domain.is_whole(split));
        let is_whole = Split::ALL.map(is_whole);
        let domains = corpus.domains.into_iter();
        let parts: Result<_, DataError> =
            domains.map(|domain| encode(domain, &vocab, stop)).collect();
        let data = Self {
            corpus: corpus.name,
            domain_names,
            parts: parts?,
            is_whole,
            vocab,
            seq_length,
        };
        data.check_lengths()?;
        Ok(data)
    }

    /// The vocabulary.
    pub fn vocab(&self) -> &Vocab {
        &self.vocab
    }

    /// The names of the domains; the place in this list is the label of a window.
    pub fn domain_names(&self) -> &[String] {
        &self.domain_names
    }

    /// Tokens that a window predicts.
    pub fn seq_length(&self) -> usize {
        self.seq_length
    }

    /// The tokens of a part of a domain.
    ///
    /// # Panics
    ///
    /// Panics if there is no such domain.
    pub fn tokens(&self, domain: usize, split: Split) -> &Tokens {
        &self.parts[domain][split as usize].tokens
    }

    /// Training batches in an order that `seed` decides.
    pub fn sampler(&self, seed: u64) -> Sampler<'_> {
        Sampler::new(self, seed)
    }

    /// Evaluation windows, as [`EvalWindows::new`] explains.
    ///
    /// # Panics
    ///
    /// Panics if `context` is not below the sequence length, or `max_windows` is zero.
    pub fn eval_windows(
        &self,
        split: Split,
        context: usize,
        max_windows: Option<usize>,
    ) -> EvalWindows<'_> {
        EvalWindows::new(self, split, context, max_windows)
    }

    /// A hash of all tokens of all parts: equal for equal text under an equal vocabulary.
    ///
    /// # Errors
    ///
    /// [`DataError::Interrupted`] soon after `stop` is set.
    pub fn fingerprint(&self, stop: &AtomicBool) -> Result<String, DataError> {
        let mut hash = Fingerprint::new(stop);
        for part in self.parts.iter().flatten() {
            // with the lengths, the same tokens cut into other parts have another hash
            hash.length(part.tokens.len());
            for start in (0..part.tokens.len()).step_by(HASHED) {
                let end = part.tokens.len().min(start + HASHED);
                let tokens = part.tokens.to_vec(start..end);
                let bytes: Vec<u8> = tokens.iter().flat_map(|id| id.to_le_bytes()).collect();
                hash.bytes(&bytes)?;
            }
        }
        Ok(hash.finish())
    }

    /// Bytes and tokens of every domain and part.
    pub fn describe(&self) -> DataSummary {
        let domains = self.domain_names.iter().zip(&self.parts);
        DataSummary {
            corpus: self.corpus.clone(),
            vocab_size: self.vocab.size(),
            domains: domains
                .map(|(name, parts)| DomainSummary {
                    name: name.clone(),
                    bytes: parts.each_ref().map(|part| part.n_bytes),
                    tokens: parts.each_ref().map(|part| part.tokens.len()),
                })
                .collect(),
        }
    }

    fn check_lengths(&self) -> Result<(), DataError> {
        let needed = self.seq_length + 1;
        for (name, parts) in self.domain_names.iter().zip(&self.parts) {
            for (split, part) in Split::ALL.into_iter().zip(parts) {
                if part.tokens.len() < needed {
                    let (tokens, bytes) = (part.tokens.len(), part.n_bytes);
                    let of_part = Split::part_bytes(needed, bytes, tokens);
                    return Err(DataError::TooShort {
                        domain: name.clone(),
                        split,
                        tokens,
                        bytes,
                        needed,
                        in_all: if self.is_whole[split as usize] {
                            of_part
                        } else {
                            split.file_bytes(of_part)
                        },
                    });
                }
            }
        }
        Ok(())
    }
}

/// The parts of a domain. Bytes of a single file stay where they are.
fn encode(domain: Domain, vocab: &Vocab, stop: &AtomicBool) -> Result<[Part; 3], DataError> {
    if matches!(vocab, Vocab::Bytes) {
        let parts = domain.into_parts();
        return Ok(parts.map(|(text, range)| Part {
            n_bytes: range.len(),
            tokens: Tokens::of_bytes(&text, range),
        }));
    }
    let encoded = |split: Split| -> Result<Part, DataError> {
        let text = domain.part(split);
        Ok(Part {
            tokens: Tokens::encode(&text, vocab, stop)?,
            n_bytes: text.len(),
        })
    };
    let [train, validation, test] = Split::ALL;
    Ok([encoded(train)?, encoded(validation)?, encoded(test)?])
}

/// Byte-level data for tests: one domain a size, of that many bytes, no two windows of eight bytes alike by rule.
#[cfg(test)]
pub(crate) fn test_data(sizes: &[usize], seq_length: usize) -> TextData {
    let domain = |(i, size): (usize, &usize)| Domain {
        name: format!("domain{i}"),
        files: vec![
            (0..*size)
                .map(|n| char::from(b'!' + ((n * n / 7 + n * (i + 3)) % 90) as u8))
                .collect::<String>()
                .into(),
        ],
        validation: Vec::new(),
        test: Vec::new(),
    };
    let corpus = Corpus {
        name: "test".into(),
        domains: sizes.iter().enumerate().map(domain).collect(),
    };
    TextData::new(corpus, Vocab::Bytes, seq_length, &AtomicBool::new(false))
        .expect("the sizes fill a window")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::data::{TextName, VocabKind};

    fn text_config(path: impl Into<String>) -> TextConfig {
        TextConfig {
            name: TextName::Text,
            path: path.into(),
            ..TextConfig::default()
        }
    }

    fn message(config: &TextConfig, seq_length: usize) -> String {
        TextData::load(config, seq_length, &AtomicBool::new(false))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn bytes_of_the_nine_domains() {
        let data = TextData::load(&TextConfig::default(), 128, &AtomicBool::new(false)).unwrap();
        let total = data.describe().total();
        assert_eq!(total.bytes, total.tokens);
        // The sum of the nine files, in 90, 5 and 5 percent.
        assert_eq!(total.bytes.iter().sum::<usize>(), 2_357_613);
        assert!((total.bytes[0] as f64 / 2_357_613.0 - 0.9).abs() < 1e-4);
        assert_eq!(data.domain_names()[6], "poetry_zh");
        assert_eq!(
            data.tokens(0, Split::Train).to_vec(0..6),
            b"Hamlet".map(u32::from)
        );
    }

    #[test]
    fn bpe_learns_from_the_train_parts_alone() {
        // `xyz` is frequent, but only in the test part, the last 5 % of 4000 bytes.
        let text = "ab cd ".repeat(634)[..3800].to_string() + &"xyz ".repeat(50);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.txt");
        std::fs::write(&path, text).unwrap();
        let config = TextConfig {
            vocab: VocabKind::Bpe,
            vocab_size: 260,
            ..text_config(path.to_string_lossy())
        };
        let data = TextData::load(&config, 16, &AtomicBool::new(false)).unwrap();
        let pieces: Vec<String> = (256..data.vocab().size() as u32)
            .map(|id| data.vocab().token_text(id))
            .collect();
        // The whole train part has four pairs: (a,b), (c,d), (space,ab), (space,cd).
        assert!(
            pieces.contains(&" ab".to_string()) && pieces.contains(&" cd".to_string()),
            "{pieces:?}"
        );
        let summary = data.describe();
        assert_eq!(summary.domains[0].bytes, [3600, 200, 200]);
        assert!(summary.domains[0].tokens[0] < 1300 && summary.domains[0].tokens[2] == 200);
    }

    #[test]
    fn a_short_part_says_what_it_has_and_needs() {
        // 1000 bytes: 900 train, 50 validation, 50 test; a window of 64 needs 65 = 5 % of 1300.
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("small.txt"), "a".repeat(1000)).unwrap();
        let text = message(&text_config(dir.path().to_string_lossy()), 64);
        assert!(
            text.contains("domain `small`: its validation part has 50 tokens (50 bytes)"),
            "{text}"
        );
        assert!(
            text.contains("needs 65 (train.seq_length + 1); add text (about 1300 bytes in all)"),
            "{text}"
        );
        assert!(text.contains("make train.seq_length smaller"), "{text}");
    }

    #[test]
    fn more_domains_than_labels_are_an_error() {
        let domain = |i| Domain {
            name: format!("{i}"),
            files: vec!["a".into()],
            validation: Vec::new(),
            test: Vec::new(),
        };
        let corpus = Corpus {
            name: "many".into(),
            domains: (0..=65536).map(domain).collect(),
        };
        let text = TextData::new(corpus, Vocab::Bytes, 8, &AtomicBool::new(false))
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("65537 domains are too many, at most 65536"),
            "{text}"
        );
        assert!(text.contains("group the files in folders"), "{text}");
    }

    #[test]
    fn name_and_path_must_agree() {
        let no_path = message(&text_config(""), 64);
        assert!(no_path.contains("data.path is empty"), "{no_path}");
        let config = TextConfig {
            path: "mine.txt".into(),
            ..TextConfig::default()
        };
        let unused = message(&config, 64);
        assert!(
            unused.contains("data.path = \"mine.txt\" is not read"),
            "{unused}"
        );
        assert!(unused.contains("set data.name = \"text\""), "{unused}");
    }
}
