//! The words for kinds of parameters, the same for every model that is counted.

use moe_view::{significant, thousands};

/// All that a token passes through.
pub const ACTIVE: &str = "  active a token (1)";
/// The same, less the embedding table.
pub const ACTIVE_HEAD_ONLY: &str = "  active, without embedding (2)";
/// The same, less the head as well.
pub const ACTIVE_NO_EMBEDDING: &str = "  active, without embedding and head (3)";
/// The tables.
pub const EMBEDDING: &str = "  embedding and head";
/// Modules that predict further tokens.
pub const MTP: &str = "  multi-token prediction (MTP), not counted above";

/// The meaning of the words, and their keys in JSON.
pub const FOOTNOTES: &str = "\
(1) params_active: what one token passes through; of the experts those chosen for it and the shared ones
(2) params_active_head_only: (1) less the embedding table, of which a token reads one row
(3) params_active_no_embedding: (2) less the output head; of published decoders (2) and (3) leave out the final norm";

/// The number of parameters that a token passes through, and their share of all.
pub fn active(params_active: usize, params_total: usize) -> String {
    let share = 100.0 * params_active as f64 / params_total as f64;
    let count = thousands(params_active as u64);
    format!("{count} ({} %)", significant(share, 3))
}
