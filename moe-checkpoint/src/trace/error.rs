//! Errors of traces.

use crate::CheckpointError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a trace cannot be read or written.
#[derive(Error, Debug)]
pub enum TraceError {
    /// The file: not there, damaged, or not in the safetensors format.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// A safetensors file that is no trace, or one of another version.
    #[error("{path} is no trace: {what}. The format is described in docs/reference/traces.md")]
    Format {
        /// The file.
        path: PathBuf,
        /// Description of what is not as it should be, with the tensor or the key.
        what: String,
    },
    /// Experts of another engine that are not as they should be.
    #[error("{path}: {what}")]
    Import {
        /// The file.
        path: PathBuf,
        /// Description of what is not as it should be.
        what: String,
    },
    /// Tokens that do not continue those before.
    #[error("a trace cannot be written: {0}")]
    Chunk(String),
    /// The system.
    #[error("cannot write the trace: {0}")]
    Write(#[from] io::Error),
}
