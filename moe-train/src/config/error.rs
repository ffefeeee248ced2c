//! Reasons why a configuration is refused.

use crate::data::DataError;
use crate::resolve::ResolveError;
use moe_checkpoint::trace::TraceError;
use moe_models::ModelError;
use thiserror::Error;

/// Errors of a run's configuration.
#[derive(Error, Debug)]
pub enum ConfigError {
    /// A file, a key or a value.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Sizes that do not fit together, or a router that a decoder refuses.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file of a trace that is to be replayed.
    #[error("router.trace: {0}")]
    Trace(#[from] TraceError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data that the family cannot learn from.
    #[error("data.name = \"{data}\" is no data of model.family = \"{family}\": choose {names}")]
    OtherData {
        /// The family.
        family: String,
        /// The name of the data.
        data: String,
        /// The names of the family's data.
        names: String,
    },
    /// A key that is no value of the router, for evaluation.
    #[error(
        "`{text}` cannot change a trained run: an evaluation takes values of [router], such as router.capacity_factor=0.5; train another run to change more"
    )]
    NotOfRouter {
        /// The override.
        text: String,
    },
    /// Values of the router that need other weights than those that were trained.
    #[error(
        "`{texts}` gives the router other parameters than the run has trained; leave it out, or train another run with it"
    )]
    OtherParameters {
        /// The overrides.
        texts: String,
    },
    /// A value outside its range.
    #[error("{key} = {value} is out of range: it must be {range}")]
    Range {
        /// The key.
        key: &'static str,
        /// The value given.
        value: f64,
        /// Range of valid values.
        range: &'static str,
    },
    /// A size with which the model could not be counted.
    #[error("{key} = {value} is too large: it must be {rule}")]
    TooLarge {
        /// The key.
        key: String,
        /// The value given.
        value: String,
        /// Rule that it must follow.
        rule: String,
    },
    /// A negative integer, where only counts and sizes stand.
    #[error("`{key}` = {value} must be at least {least}")]
    Negative {
        /// The key.
        key: String,
        /// The value given.
        value: i64,
        /// The smallest that it can be.
        least: i64,
    },
}
