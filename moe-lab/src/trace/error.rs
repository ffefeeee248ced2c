//! Errors of reading what a trace holds.

use moe_checkpoint::trace::TraceError;
use thiserror::Error;

/// Why a trace does not show anything.
#[derive(Error, Debug)]
pub enum TraceReadError {
    /// The file.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Two traces that are not of one model and one text.
    #[error("{0}: give two traces of the same model and the same text")]
    NotAlike(String),
    /// An expert that does not exist.
    #[error(
        "layer {layer} sends token {token} to expert {expert}, and there are {n_experts}, from 0: `moe trace check` names what is wrong"
    )]
    Expert {
        /// The layer.
        layer: usize,
        /// The token.
        token: u64,
        /// The expert.
        expert: i32,
        /// The number of experts.
        n_experts: usize,
    },
}
