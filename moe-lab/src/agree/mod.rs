//! Agreement of engines: the same weights on the same tokens by two devices, precisions or batch sizes. Which tokens go
//! to other experts, and does rounding explain it?
//!
//! A token that takes its `k` best experts by the scores `r` takes others only if scores moved by at least half the
//! gap between the `k`-th and the next:
//!
//! ```text
//! g_t     = r_(k) - r_(k+1)                     the gap, in the reference
//! delta_t = max over experts e of |r_e - r'_e|   by what the other engine's scores differ
//! a flip  =>  g_t <= 2 delta_t, unless an engine does not take its own best
//! ```
//!
//! So a flip is of one of four kinds. An engine does not take the best of its own scores: a fault of its selection. Its
//! scores differ by more than rounding does: a fault before the selection. They differ by as little as rounding, and the
//! gap is smaller still: rounding. Or something of the same sequence went elsewhere in an earlier layer, so that other
//! numbers came in: a consequence of an earlier flip, which is judged there.

mod compare;
mod comparison;
mod engine;
pub(crate) mod flips;
mod reading;
mod seen;

pub use compare::compare;
pub use comparison::{Comparison, GapBin, GreedyText, LayerAgreement};
pub use engine::{Engine, Rounding};
pub use reading::{Windows, greedy, see_images, see_pairs, see_text};
pub use seen::{Seen, SeenLayer};

#[cfg(test)]
mod tests;
