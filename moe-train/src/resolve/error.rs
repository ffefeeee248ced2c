//! Reasons why a configuration could not be resolved.

use std::path::PathBuf;

/// Reason why a configuration could not be resolved.
///
/// Every message says what is wrong, where (file and line, or the text of the override) and what
/// to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no file at the path.
    #[error("there is no configuration file `{}`; {hint}", path.display())]
    FileMissing {
        /// The path as it was given.
        path: PathBuf,
        /// The nearest file name in the same directory, or what the directory holds.
        hint: String,
    },
    /// The path is a folder.
    #[error("`{}` is a folder; give a configuration file: {hint}", path.display())]
    Folder {
        /// The path as it was given.
        path: PathBuf,
        /// The files that it holds.
        hint: String,
    },
    /// The file is a claim, which is no configuration of one run.
    #[error("{}: this is a claim, not a configuration: `moe ablate {}`", path.display(), path.display())]
    Claim {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The file exists and cannot be read.
    #[error("cannot read the configuration file `{}`: {source}", path.display())]
    FileUnreadable {
        /// The path as it was given.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}:{column}: this is not valid TOML: {message}", path.display())]
    Syntax {
        /// The path as it was given.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// Message of the TOML parser.
        message: String,
    },
    /// An override is not of the form `key=value`.
    #[error("the override `{text}` cannot be read: {reason}")]
    OverrideSyntax {
        /// The override as it was given.
        text: String,
        /// Fault, with what to write instead.
        reason: String,
    },
    /// A key that the defaults do not have.
    #[error("{place}: unknown key `{key}`; {hint}")]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// File and line, or the override.
        place: String,
        /// The nearest known key, or the keys of the table.
        hint: String,
    },
    /// A value of another type than its default.
    #[error("{place}: `{key}` must be {expected}, but this is {given}{hint}")]
    WrongType {
        /// The dotted key.
        key: String,
        /// File and line, or the override.
        place: String,
        /// The type of the default, in words.
        expected: &'static str,
        /// The given value and its type, in words.
        given: String,
        /// Text to write instead; empty where nothing is obvious.
        hint: String,
    },
    /// A selector names a choice that does not exist.
    #[error("{place}: `{key}` has no choice `{value}`; {hint}")]
    UnknownChoice {
        /// The dotted key of the selector.
        key: String,
        /// The value given for it.
        value: String,
        /// File and line, or the override.
        place: String,
        /// The nearest choice and the list of them.
        hint: String,
    },
    /// A resolved configuration breaks a rule of its types.
    #[error("the configuration is not valid: {reason}")]
    Invalid {
        /// Fault, with the key and what to do.
        reason: String,
    },
}
