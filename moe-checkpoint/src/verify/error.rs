//! Errors of verifying a checkpoint.

use crate::CheckpointError;

use std::path::PathBuf;
use thiserror::Error;

/// Reason why a checkpoint could not be held to its goldens.
#[derive(Error, Debug)]
pub enum VerifyError {
    /// The checkpoint, or the file of goldens.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Goldens that cannot be used.
    #[error("{path}: {what}; docs/reference/goldens.md describes the format")]
    Goldens {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        what: String,
    },
}
