//! Statistics of a comparison over seeds.
//!
//! Two arms train with the same seeds, so seed `s` gives one difference
//! `d_s = arm_s - baseline_s`, and everything here is a function of those few differences:
//!
//! ```text
//! interval: Student's t of mean(d)                    how large is the effect?
//! p:        exact sign-flip test of mean(d) = 0       could it be chance?
//! p_holm:   Holm's correction over all arms           ... given how many arms were tried?
//! p_equal:  two one-sided t tests against a margin    is it too small to matter?
//! visible:  effect that 80 % of such studies find     what would have been seen?
//! verdict:  one rule from them, in words
//! ```
//!
//! Arms of other seeds have two samples and no differences ([`compare_unpaired`]): Welch's t stands in place of Student's,
//! and p is the larger of its and of the exact permutation test's. The rule of the verdict is the same.
//!
//! Ordered arms have a [`trend`], and a difference of losses is worth a [`multiplier`] of compute.

mod behrens_fisher;
mod bootstrap;
mod holm;
mod looks;
mod paired;
mod permutation;
mod power;
mod ranks;
mod scaling;
mod sign_flip;
mod student;
mod summary;
mod trend;
mod unpaired;
mod unpaired_power;
mod verdict;
mod welch;

pub use bootstrap::{BootstrapConfig, mean_interval};
pub use holm::{holm, seeds_needed, smallest_holm};
pub use looks::level_of_looks;
pub use moe_train::task::Goal;
pub use paired::{CompareConfig, Comparison, compare};
pub use permutation::{permutation, smallest_permutation_p};
pub use power::{IntervalPower, POWER, seeds_to_find, verdict_effect, verdict_power};
pub use ranks::spearman;
pub use scaling::{Multiplier, multiplier};
pub use sign_flip::{sign_flip, smallest_p};
pub use student::{Interval, p_above, p_equal, t_interval, t_quantile};
pub use summary::{mean, median, sample_std};
pub use trend::{TREND_ARMS, Trend, trend, trend_effect};
pub use unpaired::{Unpaired, compare_unpaired, unpaired_seeds_needed};
pub use verdict::{Evidence, Verdict};
pub use welch::Welch;
