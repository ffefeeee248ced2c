//! Traces of routings: recording them, and what they show, whoever wrote them.

mod chains;
mod counts;
mod error;
mod kinds;
mod record;
mod shown;

pub use chains::{Chains, Link};
pub use error::TraceReadError;
pub use record::{Recorder, TracedTokens};
pub use shown::{ShowOptions, ShownLayer, TraceShow, show};
