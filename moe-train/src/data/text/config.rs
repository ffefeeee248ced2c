//! The text of a run: where it comes from and what it is cut into.

use crate::data::{Corpus, DataError, VocabKind};
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// Source of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextName {
    /// The embedded corpus, [`Corpus::nine_domains`].
    #[default]
    NineDomains,
    /// Letters without any order, [`Corpus::random_text`]: a loss below 4 bits a byte proves that a model sees the
    /// future.
    RandomText,
    /// The user's own text, [`Corpus::from_path`].
    Text,
}

/// The table `[data]` of a run that reads text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// The embedded corpus, random letters or your own text: nine_domains, random_text or text. Default: `nine_domains`.
    pub name: TextName,
    /// Your own text: a file, a folder, or several separated by commas, as in [`Corpus::from_path`].
    /// Default: empty.
    pub path: String,
    /// The column that holds the text, where the files are tables (.csv, .tsv, .jsonl). Default: empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub column: String,
    /// Your own text for validation, as `path`. The files at `path` then have no validation part: their first 95 %
    /// train. Default: empty, the 5 % of each file before its test part.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub validation_path: String,
    /// Default: `bytes`.
    pub vocab: VocabKind,
    /// Tokens of a `bpe` vocabulary, the 256 bytes included. Default: 2048.
    pub vocab_size: usize,
}

impl TextName {
    /// The names of all sources.
    pub const NAMES: &'static [&'static str] = &["nine_domains", "random_text", "text"];

    /// The source's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NineDomains => "nine_domains",
            Self::RandomText => "random_text",
            Self::Text => "text",
        }
    }
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            name: TextName::NineDomains,
            path: String::new(),
            column: String::new(),
            validation_path: String::new(),
            vocab: VocabKind::Bytes,
            vocab_size: 2048,
        }
    }
}

impl TextConfig {
    /// Refuses the keys of text from files.
    fn check_no_path(&self) -> Result<(), DataError> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if let Some(column) = given(&self.column) {
            return Err(DataError::UnusedColumn { column });
        }
        if let Some(path) = given(&self.validation_path) {
            return Err(DataError::UnusedValidationPath { path });
        }
        match given(&self.path) {
            Some(path) => Err(DataError::UnusedPath {
                path,
                name: self.name.name(),
            }),
            None => Ok(()),
        }
    }

    /// Reads the text without encoding it.
    ///
    /// # Errors
    ///
    /// If name and path contradict each other, or [`Corpus::from_path`] fails.
    pub fn corpus(&self, stop: &AtomicBool) -> Result<Corpus, DataError> {
        let path = self.path.as_str();
        let column = self.column.as_str();
        if self.name != TextName::Text {
            self.check_no_path()?;
        }
        match self.name {
            TextName::NineDomains => Ok(Corpus::nine_domains()),
            TextName::RandomText => Ok(Corpus::random_text()),
            TextName::Text if path.is_empty() => Err(DataError::EmptyPath),
            TextName::Text => {
                let corpus = Corpus::from_path(path, column, stop)?;
                if self.validation_path.is_empty() {
                    return Ok(corpus);
                }
                corpus.with_validation(Corpus::from_path(&self.validation_path, column, stop)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn configuration_reads_and_refuses_unknown_keys() {
        let config: TextConfig = toml::from_str("vocab = \"bpe\"\nvocab_size = 512").unwrap();
        assert_eq!(config.name, TextName::NineDomains);
        assert_eq!((config.vocab, config.vocab_size), (VocabKind::Bpe, 512));
        assert_eq!(
            toml::from_str::<TextConfig>(&toml::to_string(&config).unwrap()).unwrap(),
            config
        );
        assert!(toml::from_str::<TextConfig>("vocabulary = \"bpe\"").is_err());
    }
}
