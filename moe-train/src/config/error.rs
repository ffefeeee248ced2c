use crate::data::DataError;
use crate::resolve::ResolveError;
use moe_models::ModelError;
use thiserror::Error;

/// What is wrong with a run's configuration.
#[derive(Error, Debug)]
pub enum ConfigError {
    /// A file, a key or a value.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Sizes that do not fit together, or a router that a decoder refuses.
    #[error(transparent)]
    Model(#[from] ModelError),
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
    /// A value outside its range.
    #[error("{key} = {value} is out of range: it must be {range}")]
    Range {
        /// The key.
        key: &'static str,
        /// The value given.
        value: f64,
        /// What it must be.
        range: &'static str,
    },
}
