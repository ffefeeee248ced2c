//! Pairs of texts: what is read, and what is to be written about it.
//!
//! ```text
//! Corpus --Sampler--> window --corrupt--> (text with gaps, what was in the gaps)
//! table of two columns ------------------> (text, its translation)
//! ```

mod batch;
mod config;
mod data;
mod error;
mod spans;
mod table;
mod translation;

pub use batch::{Pair, PairBatch};
pub use config::{PairConfig, PairName};
pub use data::{PairBatches, PairData};
pub use error::PairError;
pub use spans::{SpanShape, corrupt, fills, fills_between};
pub use translation::TranslationData;
