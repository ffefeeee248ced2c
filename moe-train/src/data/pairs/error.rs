//! Errors of pairs of texts: each message says what, where and what to do.

use std::path::PathBuf;
use thiserror::Error;

/// Errors of a table of translations, or of the keys of `[data]` for pairs.
#[derive(Debug, Error, PartialEq)]
pub enum PairError {
    /// Translations without a file.
    #[error(
        "data.path is empty, but data.name = \"translation\" reads a file; set data.path to a table with two columns, divided by a tab"
    )]
    NoTable,
    /// A column of a table that has two without names.
    #[error(
        "data.column = \"{0}\" is not read, because data.name = \"translation\" reads two columns without names; remove it"
    )]
    UnusedColumn(String),
    /// A file without a line.
    #[error("`{0}` is empty; write a text, a tab and its translation into each line")]
    Empty(PathBuf),
    /// A line with another number of columns.
    #[error(
        "`{path}`, line {line}: {found} where there should be two columns, a text and its translation, divided by a tab"
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Content that was found.
        found: String,
    },
    /// A column without a text.
    #[error(
        "`{path}`, line {line}: column {column} is empty; write a text there, or remove the line"
    )]
    EmptyColumn {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, 1 or 2.
        column: usize,
    },
    /// A line that is not UTF-8.
    #[error(
        "`{path}`, line {line}: column {column} is not UTF-8; convert the file (`iconv -t utf-8`)"
    )]
    InvalidUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, 1 or 2.
        column: usize,
    },
    /// Too few pairs for three parts.
    #[error(
        "`{path}` has {n_pairs} pairs; of every 20 one is held out for validation and one for the test, so there must be at least 20"
    )]
    FewPairs {
        /// The file.
        path: PathBuf,
        /// The pairs.
        n_pairs: usize,
    },
    /// A text that is longer than the longest allowed.
    #[error(
        "`{path}`, line {line}: column {column} has {tokens} tokens with its end; raise {key} = {most}, or remove the line"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, 1 or 2.
        column: usize,
        /// Its tokens.
        tokens: usize,
        /// The key that limits them.
        key: &'static str,
        /// Its value.
        most: usize,
    },
    /// A key out of its range.
    #[error("data.{key} = {value} is out of range: it must be {range}")]
    Range {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// Range of valid values.
        range: &'static str,
    },
    /// More gaps than there are sentinels.
    #[error(
        "a window of train.seq_length = {length} tokens would have {n_spans} gaps, and there are 100 sentinels: lower train.seq_length or data.noise_density, or raise data.mean_span_length"
    )]
    ManySpans {
        /// The tokens of a window.
        length: usize,
        /// Its gaps.
        n_spans: usize,
    },
}
