//! Results of other programs: a table of runs, read as it is, to the scores of arms.
//!
//! ```text
//! CSV, JSONL, a W&B export, lm-eval's folder --Table::read--> Table --Question::scores--> Scores --report--> AblationReport
//! ```
//!
//! A table is text until a question names its columns. Whatever cannot be read for certain is an error that names its
//! line and column: a comparison of wrong numbers looks like one of right ones.

mod chart;
mod claim;
mod claim_file;
mod direction;
mod error;
mod json;
mod lm_eval;
mod names;
mod number;
mod question;
mod runs;
mod scores;
mod seeds;
mod separated;
mod table;

pub use claim::ResultsClaim;
pub use error::ResultsError;
pub use names::Names;
pub use question::{Filter, Question};
pub use scores::Scores;
pub use table::{Layout, Table};
