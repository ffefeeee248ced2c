//! Why there is nothing to report on.

use moe_train::run::RunError;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is nothing to report on.
#[derive(Error, Debug)]
pub enum ReportError {
    /// A path does not exist.
    #[error("there is nothing at `{0}`; give the folder of a run, or a folder of runs")]
    Missing(PathBuf),
    /// A path is no folder of runs.
    #[error(
        "`{0}` holds no run: neither it nor a folder in it has a config.toml or a seed-N. Give the folder of a run (runs/NAME/seed-N), of a configuration (runs/NAME) or of all runs"
    )]
    NoRun(PathBuf),
    /// A folder cannot be listed.
    #[error("cannot list {path}: {source}")]
    List {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of a run is damaged or of another run, so that a table without it would be another table.
    #[error(transparent)]
    Run(#[from] RunError),
    /// None of the runs has begun.
    #[error("none of the runs has begun. {0}")]
    NothingBegun(String),
}
