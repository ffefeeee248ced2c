//! Errors of an ablation and of its comparison.

use super::{ClaimError, GridError};
use moe_train::config::ConfigError;
use moe_train::run::RunError;
use thiserror::Error;

/// Why results do not make a table.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// No arm was given.
    #[error("an ablation table needs a baseline arm; run the ablation first")]
    NoArms,
    /// An arm has no results.
    #[error("the arm `{label}` has no seeds; run it first")]
    NoSeeds {
        /// Name of the arm.
        label: String,
    },
    /// Two arms have the same name.
    #[error("two arms are called `{label}`; give each its own name")]
    DuplicateLabel {
        /// The name.
        label: String,
    },
    /// An arm has two results for one seed.
    #[error("the arm `{label}` has seed {seed} twice; keep one result a seed")]
    DuplicateSeed {
        /// Name of the arm.
        label: String,
        /// The seed.
        seed: u64,
    },
    /// An arm and the baseline have different seeds.
    #[error(
        "the arm `{label}` has seeds {seeds}, but the baseline `{baseline}` has \
         {baseline_seeds}; run the missing seeds, since arms are compared seed by seed"
    )]
    Unpaired {
        /// Name of the arm.
        label: String,
        /// Seeds of the arm.
        seeds: String,
        /// Name of the baseline.
        baseline: String,
        /// Seeds of the baseline.
        baseline_seeds: String,
    },
}

/// Why an ablation could not be made.
#[derive(Error, Debug)]
pub enum AblateError {
    /// An axis.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A claim.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A claim's curve.
    #[error("claim.sweep: no arm has the key `{key}`; {hint}")]
    Sweep {
        /// The key that the claim names.
        key: String,
        /// The nearest key, or those of its table.
        hint: String,
    },
    /// A claim whose decision would be drawn on seeds that were looked at.
    #[error("the claim cannot be decided: {0}")]
    Seen(String),
    /// A trend over arms without an order.
    #[error("a trend along `{key}`: {reason}; a trend needs arms with different numbers there")]
    Unordered {
        /// The key that is to order the arms.
        key: String,
        /// The arm without a number, or two with the same.
        reason: String,
    },
    /// A tuning.
    #[error("the tuning cannot be made: {0}")]
    Tune(String),
    /// The baseline at other budgets.
    #[error("the budgets cannot be used: {0}")]
    Scale(String),
    /// Seeds beyond the largest.
    #[error("{n_seeds} seeds from seed = {first} on are too many: no seed can be above 2^63 - 1")]
    Seeds {
        /// The first seed.
        first: u64,
        /// The number that was asked for.
        n_seeds: u64,
    },
    /// Results of other seeds than the plan's.
    #[error("the results are of the seeds {found:?}, and the plan's are {planned:?}")]
    OtherSeeds {
        /// The seeds of the results.
        found: Vec<u64>,
        /// The seeds of the plan.
        planned: Vec<u64>,
    },
    /// The configuration of an arm.
    #[error("arm {label}: {source}")]
    Arm {
        /// The arm.
        label: String,
        /// The fault.
        source: Box<ConfigError>,
    },
    /// A run.
    #[error("run {label} seed {seed}: {source}")]
    Run {
        /// The arm.
        label: String,
        /// The seed.
        seed: u64,
        /// The failure.
        source: Box<RunError>,
    },
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
}
