//! What rank 0 tells the others to do.

use crate::data::Split;
use crate::run::{CheckpointState, hostname};
use moe_parallel::{Mesh, broadcast, gather_values};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use thiserror::Error;

/// A part of a run that all ranks make together.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) enum Command {
    /// Load data and model of a run.
    Open(Box<Opening>),
    /// Make an optimizer step.
    Step,
    /// Score a part of the data.
    Evaluate {
        /// The part.
        split: Split,
        /// The most windows, images or pairs; none means all.
        most: Option<usize>,
    },
    /// Give rank 0 what it saves.
    Save,
    /// Leave the run.
    Close,
    /// Leave the program.
    Quit,
}

/// A run that begins or goes on.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(crate) struct Opening {
    /// The run folder with the resolved configuration, which all ranks see.
    pub folder: PathBuf,
    /// The hash of the data.
    pub data: String,
    /// The checkpoint that the run goes on from.
    pub state: Option<CheckpointState>,
}

/// A rank that could not do its part.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
#[error("rank {rank} on {host}: {what}")]
pub struct RankError {
    /// The rank.
    pub rank: usize,
    /// The host's name.
    pub host: String,
    /// The error there.
    pub what: String,
}

impl Command {
    /// Says to all ranks what comes next.
    pub fn say(&self, mesh: &Mesh) {
        if mesh.is_shared() {
            broadcast(&*mesh.world, &encoded(self));
        }
    }

    /// Hears from rank 0 what comes next.
    pub fn hear(mesh: &Mesh) -> Self {
        let bytes = broadcast(&*mesh.world, &[]);
        serde_json::from_slice(&bytes)
            .expect("all ranks run the same version, which was checked at the start")
    }
}

fn encoded(command: &Command) -> Vec<u8> {
    serde_json::to_vec(command).expect("commands hold names, numbers and paths in UTF-8")
}

/// Rank 0's hold on the others for the length of a run; they leave the run with it.
#[derive(Debug)]
pub(crate) struct Lead {
    mesh: Mesh,
}

impl Lead {
    /// Has all ranks open a run, and waits until they have.
    ///
    /// # Errors
    ///
    /// The first rank that could not.
    pub fn open(mesh: &Mesh, opening: Opening) -> Result<Self, RankError> {
        Command::Open(Box::new(opening)).say(mesh);
        let lead = Self { mesh: mesh.clone() };
        agree(mesh, Ok(()))?;
        Ok(lead)
    }

    /// Says what comes next.
    pub fn say(&self, command: &Command) {
        command.say(&self.mesh);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // while a panic unwinds the others may be in the middle of something; the engine ends them
        if !std::thread::panicking() {
            Command::Close.say(&self.mesh);
        }
    }
}

/// The first error of all ranks, if there is one.
pub(super) fn agree(mesh: &Mesh, mine: Result<(), String>) -> Result<(), RankError> {
    let mine = mine.map_err(|what| (hostname(), what));
    let all = gather_values(&*mesh.world, mine);
    let errors = all.into_iter().enumerate();
    let mut errors = errors.filter_map(|(rank, end)| Some((rank, end.err()?)));
    match errors.next() {
        Some((rank, (host, what))) => Err(RankError { rank, host, what }),
        None => Ok(()),
    }
}
