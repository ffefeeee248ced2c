//! Output of the commands: numbers, tables, progress, colours.

mod analysis;
mod colour;
mod numbers;
mod output;
mod progress;
mod scores;
mod table;
mod visible;

pub use analysis::analysis_text;
pub use colour::{EXPERT_COLOURS, ExpertColour, ExpertStyle, has_colour};
pub use numbers::{bytes, counted, duration, si, significant, thousands};
pub use output::{print, print_json, print_raw, say, width};
pub use progress::Progress;
pub use scores::{domain_table, evaluated_with, layer_table, writing};
pub use table::{Align, columns, markdown, pairs, paragraph};
pub use visible::visible;
