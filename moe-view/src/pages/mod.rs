//! Pages that stand alone: no script, no link to outside, light and dark, readable on a phone. The same
//! input gives the same bytes.

mod analysis;
mod arms;
mod chart;
mod heat;
mod html;
mod level;
mod page;
mod place;
mod report;

pub use analysis::{analysis_page, trace_page};
pub use report::report_page;
