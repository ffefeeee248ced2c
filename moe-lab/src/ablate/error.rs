//! Errors of a comparison.

/// Why results do not make a table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
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
