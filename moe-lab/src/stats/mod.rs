//! Statistics of a paired comparison over seeds.
//!
//! Two arms train with the same seeds, so seed `s` gives one difference
//! `d_s = arm_s - baseline_s`, and everything here is a function of those few differences:
//!
//! ```text
//! interval: percentile bootstrap of mean(d)          how large is the effect?
//! p:        exact sign-flip test of mean(d) = 0       could it be chance?
//! p_holm:   Holm's correction over all arms           ... given how many arms were tried?
//! verdict:  one rule from the three, in words
//! ```

mod bootstrap;
mod holm;
mod paired;
mod sign_flip;
mod summary;
mod verdict;

pub use bootstrap::{BootstrapConfig, Interval, mean_interval};
pub use holm::{holm, seeds_needed, smallest_holm};
pub use moe_train::task::Goal;
pub use paired::{Comparison, compare};
pub use sign_flip::{sign_flip, smallest_p};
pub use summary::{mean, median, sample_std};
pub use verdict::{Evidence, Verdict};
