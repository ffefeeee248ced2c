//! The runs folder: a list of what is in it, the keys in which two configurations differ, and the logged numbers of
//! runs as one long table.
//!
//! ```text
//! runs folder --filters--> RunList        two paths --> Comparison        paths --> ExportedRun --> MetricLine
//! plan of an ablation --> Standing
//! ```
//!
//! Nothing is trained, scored or written here. A damaged folder is an entry of the list, and an error of the other two.

mod compare;
mod entry;
mod error;
mod export;
mod filter;
mod lines;
mod list;
mod standing;

pub use compare::{Comparison, Side, SideKind};
pub use entry::{EntryState, RunEntry, Score};
pub use error::RunsError;
pub use export::{ExportedRun, exported_runs};
pub use filter::Filter;
pub use lines::{MetricLine, MetricReader, MetricRow};
pub use list::RunList;
pub use standing::{RunStanding, RunStandingState, Standing, Totals};
