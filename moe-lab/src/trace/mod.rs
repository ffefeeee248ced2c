//! Traces of routings: recording them, and what they show, whoever wrote them.

mod agreement;
mod chains;
mod check;
mod counts;
mod error;
mod kinds;
mod record;
mod shown;
#[cfg(test)]
mod testing;

pub use agreement::{AgreeOptions, TraceAgreement, agree};
pub use chains::{Chains, Link};
pub use check::{CheckOptions, Law, LawFound, TraceCheck, check};
pub use error::TraceReadError;
pub use record::{Recorder, TracedTokens};
pub use shown::{ShowOptions, ShownLayer, TraceShow, show};
