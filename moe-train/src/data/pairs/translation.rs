//! Translations: the pairs of a table, in an order that is a pure function of the seed.

use super::table::{Line, read_table};
use super::{Pair, PairBatch, PairConfig, PairError};
use crate::data::read::check_stop;
use crate::data::{DataError, Split, UnigramVocab};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The pairs of a table, split and encoded. Of every 20 lines the 19th is held out for validation and the
/// 20th for the test.
#[derive(Debug, Clone)]
pub struct TranslationData {
    /// The pairs of each part, in the order of [`Split::ALL`].
    parts: [Vec<Pair>; 3],
}

impl TranslationData {
    /// Reads a table, and learns a vocabulary from both columns of its train part unless there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with the table, and where; a text that is longer than the configuration allows.
    pub fn load(
        config: &PairConfig,
        seq_length: usize,
        vocab: Option<&UnigramVocab>,
        stop: &AtomicBool,
    ) -> Result<(Self, UnigramVocab), DataError> {
        let path = Path::new(&config.path);
        let lines = read_table(path, stop)?;
        if lines.len() < 20 {
            return Err(PairError::FewPairs {
                path: path.to_owned(),
                n_pairs: lines.len(),
            }
            .into());
        }
        let vocab = match vocab {
            Some(vocab) => vocab.clone(),
            None => {
                let train = lines
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| part(*i) == Split::Train);
                let texts = train.flat_map(|(_, line)| &line.texts).map(String::as_str);
                UnigramVocab::train(texts, config.vocab_size, stop)?
            }
        };
        let most = [
            ("train.seq_length", seq_length),
            ("data.target_length", config.target_length),
        ];
        let mut parts: [Vec<Pair>; 3] = Default::default();
        for (i, line) in lines.iter().enumerate() {
            check_stop(stop)?;
            parts[part(i) as usize].push(encode(path, line, &vocab, most)?);
        }
        Ok((Self { parts }, vocab))
    }

    /// The pairs of a part.
    pub fn pairs(&self, split: Split) -> &[Pair] {
        &self.parts[split as usize]
    }

    /// The training pair at a position of the data: every pair once an epoch, each epoch in an order of
    /// its own.
    pub(super) fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(epoch);
        let mut order: Vec<usize> = (0..self.pairs(Split::Train).len()).collect();
        order.shuffle(&mut rng);
        order
    }

    /// A batch of pairs of a part.
    pub(super) fn batch(&self, split: Split, places: &[usize]) -> PairBatch {
        let pairs = self.pairs(split);
        PairBatch {
            pairs: places.iter().map(|&i| pairs[i].clone()).collect(),
            domains: vec![0; places.len()],
        }
    }
}

fn part(line: usize) -> Split {
    match line % 20 {
        18 => Split::Validation,
        19 => Split::Test,
        _ => Split::Train,
    }
}

fn encode(
    path: &Path,
    line: &Line,
    vocab: &UnigramVocab,
    most: [(&'static str, usize); 2],
) -> Result<Pair, PairError> {
    let side = |i: usize| {
        let mut ids = vocab.encode(&line.texts[i]);
        ids.push(UnigramVocab::END);
        let (key, most) = most[i];
        if ids.len() <= most {
            return Ok(ids);
        }
        Err(PairError::TooLong {
            path: path.to_owned(),
            line: line.line,
            column: i + 1,
            tokens: ids.len(),
            key,
            most,
        })
    };
    Ok(Pair {
        input: side(0)?,
        target: side(1)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::HashSet;

    fn config(text: &str, vocab_size: usize) -> (tempfile::TempDir, PairConfig) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.tsv");
        std::fs::write(&path, text).unwrap();
        let config = PairConfig {
            name: super::super::PairName::Translation,
            path: path.to_string_lossy().into_owned(),
            vocab_size,
            ..PairConfig::default()
        };
        (dir, config)
    }

    fn table(n: usize) -> String {
        (0..n)
            .map(|i| format!("the number {i}\tel número {i}\n"))
            .collect()
    }

    #[test]
    fn every_twentieth_pair_is_held_out() {
        let (_dir, config) = config(&table(45), 359);
        let (data, vocab) =
            TranslationData::load(&config, 64, None, &AtomicBool::new(false)).unwrap();
        let sizes = Split::ALL.map(|split| data.pairs(split).len());
        assert_eq!(sizes, [41, 2, 2]);
        let held = &data.pairs(Split::Validation)[1];
        assert_eq!(
            held.target[..held.target.len() - 1],
            vocab.encode("el número 38")
        );
        assert_eq!(held.target.last(), Some(&UnigramVocab::END));
        let order = data.order(3, 0);
        assert_eq!(order.iter().collect::<HashSet<_>>().len(), 41);
        assert_eq!(order, data.order(3, 0));
        assert_ne!(order, data.order(3, 1));
        assert_ne!(order, data.order(4, 0));
    }

    #[test]
    fn long_lines_and_few_lines_are_errors() {
        let (_dir, few) = config(&table(19), 359);
        let error = TranslationData::load(&few, 64, None, &AtomicBool::new(false))
            .unwrap_err()
            .to_string();
        assert!(error.contains("has 19 pairs"), "{error}");
        let (_dir, long) = config(&(table(30) + "a\tb\n" + &"word ".repeat(99) + "\tb\n"), 359);
        let error = TranslationData::load(&long, 64, None, &AtomicBool::new(false))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 32: column 1 has"), "{error}");
        assert!(error.contains("raise train.seq_length = 64"), "{error}");
    }
}
