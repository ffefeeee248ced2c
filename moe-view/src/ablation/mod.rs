//! An ablation as a table and as a figure.

mod figures;
mod svg;
mod text;

pub use svg::{FigureConfig, Panel, figure};
pub use text::{AblationTable, TableConfig};
