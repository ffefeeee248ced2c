//! Pages that stand alone: no script, no link to outside, light and dark, readable on a phone. The same
//! input gives the same bytes.

mod analysis;
mod arms;
mod chart;
mod file;
mod heat;
mod html;
mod level;
mod page;
mod place;
mod report;

pub use analysis::{GENERATOR as ANALYZE, analysis_page};
pub use file::Target;
pub use report::{GENERATOR as REPORT, report_page};
