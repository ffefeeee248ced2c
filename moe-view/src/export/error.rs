//! Reasons why numbers could not be exported.

use moe_train::run::RunError;
use thiserror::Error;

/// Reason why numbers could not be exported.
#[derive(Error, Debug)]
pub enum ExportError {
    /// A file of a run could not be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The export could not be written.
    // not transparent: a reader of a pipe who has gone is known by this cause
    #[error("{0}")]
    Write(#[from] std::io::Error),
}
