//! Runs that were made, read back and put side by side: curves over seeds, loads over time, what their
//! configurations differ in, and the paired table.
//!
//! ```text
//! paths --find--> folders --read--> Run --by configuration--> Question --> Report
//! ```
//!
//! Nothing is trained or scored here: everything is read from `config.toml`, `manifest.json`,
//! `metrics.jsonl`, `summary.json` and `log.txt` of the run folders. A run that is not finished is
//! part of the report and says so; a file that is damaged or of another run is an error.

mod curve;
mod difference;
mod error;
mod find;
mod loads;
mod merit;
mod paired;
mod question;
mod run;
mod whole;

pub use curve::{BandPoint, Curve, CurveKind, MOST_POINTS};
pub(crate) use difference::differences_with_seed;
pub use difference::{Difference, differences};
pub use error::ReportError;
pub(crate) use find::seed_of;
pub use find::{Found, find_runs};
pub use loads::{LoadColumn, LoadMap, MOST_COLUMNS};
pub use merit::Merit;
pub use paired::Paired;
pub use question::Question;
pub use run::{Run, RunState};
pub use whole::Report;
