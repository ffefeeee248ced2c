//! An ablation as a table and as a figure.

mod cells;
mod claim;
mod export;
mod figures;
mod given;
mod matrix;
mod notes;
mod over_ranks;
mod svg;
mod text;
mod title;
mod tuning;

pub use figures::signed;
pub use svg::{DecidedClaim, FigureConfig, Panel, effects, figure};
pub use text::{AblationTable, TableConfig};
pub use title::differences_text;
