//! Errors of tables of other programs.

use std::path::PathBuf;
use thiserror::Error;

/// Why a table of results gives no scores.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// A path that cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    File {
        /// The file or the folder.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// A fault at a place of the table.
    #[error("{table}, {place}: {fault}")]
    At {
        /// The table.
        table: String,
        /// The line, the column or the file.
        place: String,
        /// The fault, and what to do.
        fault: String,
    },
    /// A fault of the whole table.
    #[error("{table}: {fault}")]
    Table {
        /// The table.
        table: String,
        /// The fault, and what to do.
        fault: String,
    },
    /// A fault of the question.
    #[error("{0}")]
    Question(String),
}

/// The most names of a message.
const MOST_NAMES: usize = 12;

/// Names for a message; at most twelve of them.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    let rest = names.len() - shown.len();
    match (shown.len(), rest) {
        (0, _) => "none".to_owned(),
        (_, 0) => shown.join(", "),
        _ => format!("{} and {rest} more", shown.join(", ")),
    }
}
