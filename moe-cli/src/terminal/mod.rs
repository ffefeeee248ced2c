//! Output of the commands: results, progress, errors.

mod output;
mod progress;

pub use output::{print, print_json, print_raw, say};
pub use progress::Progress;
