//! Reasons why runs cannot be listed, compared or exported.

use crate::report::ReportError;
use moe_train::resolve::ResolveError;
use moe_train::run::RunError;
use std::path::PathBuf;
use thiserror::Error;

/// Reason why runs cannot be listed, compared or exported.
#[derive(Error, Debug)]
pub enum RunsError {
    /// The folder of all runs does not exist.
    #[error(
        "there is no folder `{0}`; train a run first, `moe train CONFIG`, or name another folder with --runs"
    )]
    NoFolder(PathBuf),
    /// A filter cannot be read, or its key does not exist.
    #[error(transparent)]
    Filter(#[from] ResolveError),
    /// A path holds no run.
    #[error(transparent)]
    Find(#[from] ReportError),
    /// A file of a run is damaged, or a configuration cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Two runs of one name and seed, which a table would mix.
    #[error(
        "`{first}` and `{second}` have the same name and seed, so a table would mix them; export one at a time"
    )]
    SameName {
        /// The run that came first.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
}
