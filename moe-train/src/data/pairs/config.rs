//! The table `[data]` of a run that reads pairs of texts.

use super::{PairError, SpanShape};
use crate::data::{TextConfig, TextName, UnigramVocab, VocabKind};
use serde::{Deserialize, Serialize};

/// Kinds of pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairName {
    /// Texts with gaps, and what was in them.
    #[default]
    Spans,
    /// Tables with two columns: a text and its translation.
    Translation,
}

/// The table `[data]` of an encoder with a decoder. The vocabulary is always a Unigram one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairConfig {
    /// Kind of pairs: spans or translation. Default: spans
    pub name: PairName,
    /// Data to read. For spans your own text, a file, a folder or several separated by commas, or empty for
    /// the nine domains; for translation a table of two columns divided by a tab. Default: empty
    pub path: String,
    /// Column that holds the text of spans, where the files are tables (.csv, .tsv, .jsonl). Default: empty
    #[serde(skip_serializing_if = "String::is_empty")]
    pub column: String,
    /// Tokens of the vocabulary, the 256 bytes, the padding, the end and 100 sentinels included.
    /// Default: 4000
    pub vocab_size: usize,
    /// Share of the tokens that is cut out, for spans. Default: 0.15
    pub noise_density: f64,
    /// Mean number of tokens of a gap, for spans. Default: 3.0
    pub mean_span_length: f64,
    /// The most tokens of a translation, its end included; those of a text are train.seq_length. Default:
    /// 64
    pub target_length: usize,
}

impl PairName {
    /// The names of all kinds.
    pub const NAMES: &'static [&'static str] = &["spans", "translation"];

    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Translation => "translation",
        }
    }
}

impl Default for PairConfig {
    fn default() -> Self {
        Self {
            name: PairName::Spans,
            path: String::new(),
            column: String::new(),
            vocab_size: 4000,
            noise_density: 0.15,
            mean_span_length: 3.0,
            target_length: 64,
        }
    }
}

impl PairConfig {
    /// Returns `true` if the data is part of the program, and so cannot change.
    pub fn is_embedded(&self) -> bool {
        self.name == PairName::Spans && self.path.is_empty()
    }

    /// The text that spans are cut out of.
    pub fn text(&self) -> TextConfig {
        TextConfig {
            name: if self.path.is_empty() {
                TextName::NineDomains
            } else {
                TextName::Text
            },
            path: self.path.clone(),
            column: self.column.clone(),
            vocab: VocabKind::Bytes,
            ..TextConfig::default()
        }
    }

    /// The gaps of windows of `seq_length` tokens.
    pub fn span_shape(&self, seq_length: usize) -> SpanShape {
        SpanShape::new(seq_length, self.noise_density, self.mean_span_length)
    }

    /// The most tokens of a text that the model reads, of windows of `seq_length` tokens.
    pub fn input_length(&self, seq_length: usize) -> usize {
        match self.name {
            PairName::Spans => self.span_shape(seq_length).input_length(),
            PairName::Translation => seq_length,
        }
    }

    /// The most tokens of a target, of windows of `seq_length` tokens.
    pub fn output_length(&self, seq_length: usize) -> usize {
        match self.name {
            PairName::Spans => self.span_shape(seq_length).target_length(),
            PairName::Translation => self.target_length,
        }
    }

    /// Checks that the values fit together.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self, seq_length: usize) -> Result<(), PairError> {
        let range = |key, value, range| Err(PairError::Range { key, value, range });
        if !(self.noise_density > 0.0 && self.noise_density < 1.0) {
            return range("noise_density", self.noise_density, "above 0 and below 1");
        }
        if !(self.mean_span_length >= 1.0 && self.mean_span_length.is_finite()) {
            return range("mean_span_length", self.mean_span_length, "at least 1");
        }
        if self.target_length < 2 {
            return range("target_length", self.target_length as f64, "at least 2");
        }
        if self.name == PairName::Translation && self.path.is_empty() {
            return Err(PairError::NoTable);
        }
        if self.name == PairName::Translation && !self.column.is_empty() {
            return Err(PairError::UnusedColumn(self.column.clone()));
        }
        if self.name == PairName::Spans && seq_length >= 2 {
            let n_spans = self.span_shape(seq_length).n_spans;
            if n_spans > UnigramVocab::N_SENTINELS {
                return Err(PairError::ManySpans {
                    length: seq_length,
                    n_spans,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_named() {
        let error = |config: PairConfig, length| {
            let error = config.validate(length).expect_err("it cannot be");
            error.to_string()
        };
        let config = PairConfig::default;
        assert_eq!(config().validate(128), Ok(()));
        let dense = PairConfig {
            noise_density: 1.0,
            ..config()
        };
        assert!(error(dense, 128).contains("data.noise_density = 1 is out of range"));
        let short = PairConfig {
            mean_span_length: 0.5,
            ..config()
        };
        assert!(error(short, 128).contains("data.mean_span_length = 0.5"));
        // 15 % of 2048 are 307, in 102 spans
        assert!(error(config(), 2048).contains("would have 102 gaps"));
        let table = PairConfig {
            name: PairName::Translation,
            ..config()
        };
        assert!(error(table, 128).contains("set data.path"));
        let column = PairConfig {
            name: PairName::Translation,
            path: "a.tsv".to_owned(),
            column: "text".to_owned(),
            ..config()
        };
        assert!(error(column, 128).contains("data.column = \"text\" is not read"));
    }

    #[test]
    fn lengths_follow_from_the_windows() {
        let config = PairConfig::default();
        assert_eq!(
            (config.input_length(128), config.output_length(128)),
            (116, 26)
        );
        let config = PairConfig {
            name: PairName::Translation,
            ..config
        };
        assert_eq!(
            (config.input_length(128), config.output_length(128)),
            (128, 64)
        );
    }
}
