//! A run as its folder tells it.

use super::LoadMap;
use crate::MetricLines;
use crate::logged::has_diverged;
use moe_train::config::RunConfig;
use moe_train::run::{Manifest, RunError, RunFolder, Summary, read_manifest, read_summary};
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// A run as its folder tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The run folder.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: RunConfig,
    /// The state it came to.
    pub state: RunState,
    /// Where, when and with what it was made, if that can be read.
    pub manifest: Option<Manifest>,
    /// The summary, if it is finished.
    pub summary: Option<Summary>,
    /// The logged lines.
    pub lines: MetricLines,
}

/// The state that a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RunState {
    /// All steps were made, and the last evaluation.
    Finished,
    /// Steps are missing: it is being made, or was stopped.
    Unfinished {
        /// The last step that was logged.
        step: u64,
        /// The last step that a checkpoint holds.
        saved: u64,
    },
    /// Its loss was not a number any more.
    Diverged {
        /// The last step that was logged.
        step: u64,
    },
}

impl Run {
    /// Reads a run folder.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no run yet, or if a file of it is damaged or of another run.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let folder = RunFolder::new(path);
        if !folder.config().is_file() {
            return Err(RunError::NotARun(path.to_owned()));
        }
        let config = RunConfig::load_resolved(&folder.config())?;
        let summary = read_summary(&folder, &config)?;
        let lines = MetricLines::read(&folder);
        Ok(Self {
            state: state(&folder, summary.is_some(), &lines),
            folder: path.to_owned(),
            config,
            manifest: read_manifest(&folder).ok(),
            summary,
            lines,
        })
    }

    /// The missing part of the run, in words; nothing if it is finished.
    pub fn shortfall(&self) -> Option<String> {
        let steps = self.config.train.steps;
        match self.state {
            RunState::Finished => None,
            RunState::Unfinished { step, saved } => Some(format!(
                "not finished: step {step} of {steps} was logged, step {saved} is saved"
            )),
            RunState::Diverged { step } => Some(format!(
                "diverged after step {step} of {steps}: its loss is not a number"
            )),
        }
    }
}

fn state(folder: &RunFolder, is_finished: bool, lines: &MetricLines) -> RunState {
    let step = lines.last_step();
    match (is_finished, has_diverged(folder)) {
        (true, _) => RunState::Finished,
        (false, true) => RunState::Diverged { step },
        (false, false) => {
            let steps = folder.checkpoint_steps().unwrap_or_default();
            let saved = steps.last().copied().unwrap_or(0);
            RunState::Unfinished { step, saved }
        }
    }
}

/// Without the logged lines, which curves and loads sum up.
impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            folder: &'a Path,
            seed: u64,
            state: RunState,
            manifest: &'a Option<Manifest>,
            summary: &'a Option<Summary>,
            loads: Vec<LoadMap>,
        }
        Document {
            folder: &self.folder,
            seed: self.config.seed,
            state: self.state,
            manifest: &self.manifest,
            summary: &self.summary,
            loads: LoadMap::of(self),
        }
        .serialize(serializer)
    }
}
