//! Errors of an analysis.

use moe_checkpoint::trace::TraceError;
use moe_train::run::RunError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a run cannot be analyzed.
#[derive(Error, Debug)]
pub enum AnalyzeError {
    /// The run, its data, or a capacity that its router does not take.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The trace that was to be written.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A trace of two streams of tokens.
    #[error(
        "an encoder and a decoder read different tokens, and a trace has one row for each token in all layers: leave out --trace"
    )]
    TwoStreams,
    /// A model without experts.
    #[error("{0} has no layer with experts, so there is nothing to show of them")]
    NoExperts(PathBuf),
    /// Capacities for a model that has none to change.
    #[error("the capacity of {what} cannot be changed: leave out --capacity")]
    NoCapacity {
        /// The router, or the kind of run.
        what: String,
    },
}
