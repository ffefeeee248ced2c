//! Checks of a run's data that take no time to speak of and little memory, for what only plans.

use super::TaskData;
use crate::config::RunConfig;
use crate::data::{
    Corpus, DataConfig, DataError, ImageData, PairName, Split, TextData, Vocab, VocabKind,
};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A vocabulary of more text than this takes a while to learn, bytes.
const QUICK: u64 = 1 << 16;

/// More data than this takes a while to read, bytes.
const READABLE: u64 = 1 << 28;

/// Extent to which data was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// As training will, with the windows, images or pairs of the validation part.
    Whole {
        /// Their number, if they were counted.
        n_validation: Option<usize>,
    },
    /// Without the vocabulary, which takes a while to learn.
    WithoutVocabulary,
    /// Only that it is there.
    Unread,
}

impl Checked {
    /// Description of what was left out.
    pub fn remark(self) -> Option<&'static str> {
        match self {
            Self::Whole { .. } => None,
            Self::WithoutVocabulary => {
                Some("the vocabulary is not learned yet, so data.vocab_size is not checked")
            }
            Self::Unread => Some("the data is large and not read yet, so only its path is checked"),
        }
    }
}

impl TaskData {
    /// Checks the data of a configuration as far as that is quick.
    ///
    /// # Errors
    ///
    /// What is wrong with the data.
    pub fn check(config: &RunConfig) -> Result<Checked, DataError> {
        let (bytes, seq_length) = (bytes_of(config), config.train.seq_length);
        let stop = &AtomicBool::new(false);
        if !config.data.is_embedded() && bytes > READABLE {
            return Ok(Checked::Unread);
        }
        if let DataConfig::Images(images) = &config.data {
            return ImageData::check(images, stop).map(|()| Checked::Whole { n_validation: None });
        }
        let is_quick = bytes <= QUICK && !config.data.is_embedded();
        let corpus: Corpus = match &config.data {
            DataConfig::Text(text) if text.vocab == VocabKind::Bpe && !is_quick => {
                text.corpus(stop)?
            }
            DataConfig::Pairs(pairs) if pairs.name == PairName::Spans && !is_quick => {
                pairs.text().corpus(stop)?
            }
            // a table is read line by line, and nothing else of it can be checked without its vocabulary
            DataConfig::Pairs(_) if !is_quick => return Ok(Checked::WithoutVocabulary),
            _ => {
                let n_validation = Some(Self::load(config, stop)?.n_eval(Split::Validation));
                return Ok(Checked::Whole { n_validation });
            }
        };
        // a token has at least one byte: what is too short in bytes is too short
        TextData::new(corpus, Vocab::Bytes, seq_length, stop)?;
        Ok(Checked::WithoutVocabulary)
    }
}

/// The bytes of all files of the data; a path that is not there counts as nothing, and reading says so.
fn bytes_of(config: &RunConfig) -> u64 {
    let validation = match &config.data {
        DataConfig::Text(text) => text.validation_path.as_str(),
        DataConfig::Images(_) | DataConfig::Pairs(_) => "",
    };
    bytes_at(config.data.path()) + bytes_at(validation)
}

/// The bytes of the files at a path, or at several that commas separate.
fn bytes_at(path: &str) -> u64 {
    if Path::new(path).exists() {
        return bytes_below(Path::new(path), 0);
    }
    path.split(',')
        .map(|part| bytes_below(Path::new(part.trim()), 0))
        .sum()
}

/// The bytes of the files in a folder, at most so many folders deep that links in circles end.
fn bytes_below(path: &Path, depth: usize) -> u64 {
    let Ok(metadata) = fs::metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|_| depth < 8)
        .map(|entry| bytes_below(&entry.path(), depth + 1))
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn checked(bytes: usize, more: &[&str]) -> Result<Checked, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.txt");
        fs::write(&path, "a quick brown fox ".repeat(bytes / 18)).unwrap();
        let path = format!("data.path={}", path.display());
        let config = RunConfig::of_overrides(&[&["data.name=text", &path], more].concat());
        TaskData::check(&config.unwrap())
    }

    #[test]
    fn a_vocabulary_is_learned_of_little_text_alone() {
        let bpe = ["data.vocab=bpe", "data.vocab_size=260"];
        let is_whole = |checked| {
            matches!(
                checked,
                Ok(Checked::Whole {
                    n_validation: Some(1..)
                })
            )
        };
        assert!(is_whole(checked(20_000, &bpe)));
        assert_eq!(checked(90_000, &bpe).unwrap(), Checked::WithoutVocabulary);
        assert!(is_whole(checked(90_000, &[])));
        let long = ["data.vocab=bpe", "train.seq_length=20000"];
        assert!(matches!(
            checked(90_000, &long),
            Err(DataError::TooShort { .. })
        ));
    }

    #[test]
    fn pairs_of_the_embedded_text_are_quick() {
        let config = RunConfig::of_overrides(&["model.family=switch"]).unwrap();
        assert_eq!(
            TaskData::check(&config).unwrap(),
            Checked::WithoutVocabulary
        );
    }

    #[test]
    fn pictures_are_checked_one_by_one_whatever_their_size() {
        let dir = tempfile::tempdir().unwrap();
        for class in ["a", "b"] {
            fs::create_dir(dir.path().join(class)).unwrap();
            for picture in 0..5 {
                let path = dir.path().join(format!("{class}/{picture}.png"));
                image::RgbImage::new(3, 3).save(path).unwrap();
            }
        }
        let path = format!("data.path={}", dir.path().display());
        let overrides = [
            "model.family=vmoe",
            "model.patch_size=512",
            "data.name=images",
            "data.image_size=4096",
            "data.n_classes=2",
            "data.shift=7",
            &path,
        ];
        let config = RunConfig::of_overrides(&overrides).unwrap();
        // ten pictures of 50 MB each, of which a pixel is kept
        assert!(matches!(
            TaskData::check(&config).unwrap(),
            Checked::Whole { .. }
        ));
        fs::write(dir.path().join("b/4.png"), "no picture").unwrap();
        let error = TaskData::check(&config).unwrap_err().to_string();
        assert!(error.contains("4.png"), "{error}");
        fs::remove_file(dir.path().join("b/4.png")).unwrap();
        let error = TaskData::check(&config).unwrap_err().to_string();
        assert_eq!(
            error,
            TaskData::load(
                &RunConfig::of_overrides(&[&overrides[..], &["data.image_size=512"]].concat())
                    .unwrap(),
                &AtomicBool::new(false)
            )
            .unwrap_err()
            .to_string()
        );
    }
}
