//! Errors of a run: why it could not be made, continued or read.

use super::Diverged;
use crate::config::ConfigError;
use crate::data::DataError;
use crate::parallel::RankError;
use crate::task::OtherTask;
use moe_models::NotFinite;
use moe_parallel::MeshError;
use std::path::PathBuf;
use thiserror::Error;

/// Reason why a run could not go on.
#[derive(Error, Debug)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A number of processes that cannot share the run out.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Another process of the run that could not open it.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// A run folder that this process does not see.
    #[error(
        "the run folder {0} is not there: all processes of a run need it, on a file system that their hosts share"
    )]
    NotShared(PathBuf),
    /// Data of another task than the model's.
    #[error(transparent)]
    OtherTask(#[from] OtherTask),
    /// A file of the run folder could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// Action that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A file of the run folder does not hold what it should.
    #[error(
        "{path} is damaged: {what}. Restore it from a copy, or move the folder {folder} aside to train anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Fault of the file.
        what: String,
        /// The run folder.
        folder: PathBuf,
    },
    /// A file of the run folder is of another run, or was changed.
    #[error(
        "{path} does not belong to this run: {what}. Restore what was changed, or move the folder {folder} aside to train anew"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Difference.
        what: String,
        /// The run folder.
        folder: PathBuf,
    },
    /// No run where one was expected.
    #[error(
        "{0} is not a run: it has no config.toml. Give the folder of a run (runs/NAME/seed-N) or one of its checkpoints"
    )]
    NotARun(PathBuf),
    /// Weights of a model of other sizes than the one that is to start from them.
    #[error(
        "cannot start from {path}: {what}. Give both models the same family, sizes, router and vocabulary size"
    )]
    OtherShapes {
        /// The checkpoint.
        path: PathBuf,
        /// The first difference.
        what: String,
    },
    /// A run without a checkpoint.
    #[error("{0} has no checkpoint yet: train it first")]
    NoCheckpoint(PathBuf),
    /// The data is not that which the run began with.
    #[error(
        "what lies at data.path has changed since the run {folder} began (hash {then}, now {now}): restore it, or move that folder aside to train on the new data"
    )]
    DataChanged {
        /// The run folder.
        folder: PathBuf,
        /// The hash of the data that the run began with.
        then: String,
        /// The hash of the data as it is.
        now: String,
    },
    /// A checkpoint could not be written.
    #[error(
        "cannot write {path}: {what}. The last checkpoint is kept: make room or allow writing there, and give the same command again"
    )]
    Save {
        /// The file.
        path: PathBuf,
        /// Message of the system.
        what: String,
    },
    /// Another process is training the same run.
    #[error(
        "another process is training {0}: wait for it, or stop it and call again to go on from its checkpoint"
    )]
    Busy(PathBuf),
    /// Numbers of the training are not finite any more.
    #[error(transparent)]
    Diverged(#[from] Diverged),
    /// A checkpoint with weights that are not finite.
    #[error(
        "{path}: `{parameter}` holds infinities or what is not a number. The training had diverged, or the file is damaged: restore it, or train anew with a lower train.lr"
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The path of the first such parameter.
        parameter: String,
    },
    /// A model that computes what is no number.
    #[error("{folder}: {source}. Train anew with a lower train.lr")]
    NoScore {
        /// The run folder.
        folder: PathBuf,
        /// Where, and what it computes.
        source: NotFinite,
    },
}
