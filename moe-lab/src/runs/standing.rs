//! The state of each run of a plan, by the run folders alone: nothing is trained or written.

use super::{EntryState, RunEntry};
use crate::ablate::{AblateError, Plan, PlannedRun};
use moe_train::run::{Owner, RunFolder, run_folder};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The state of a plan's runs.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// A line a run: the trials of a tuning first.
    pub runs: Vec<RunStanding>,
    /// The number of runs in each state.
    pub totals: Totals,
    /// The runs that follow a tuning, which are not known before its last trial is made.
    pub later: usize,
}

/// The state of a run of a plan.
#[derive(Debug, Serialize)]
pub struct RunStanding {
    /// The name of its arm, with the value of a trial or the budget behind it.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// The state.
    pub state: RunStandingState,
    /// The last step that was logged or saved.
    pub step: u64,
    /// The steps of the whole run.
    pub steps: u64,
    /// The run folder, which may not be there yet.
    pub folder: PathBuf,
    /// The process that trains it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Fault of a damaged run, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The plan's own word on the run.
    #[serde(skip)]
    pub planned: PlannedRun,
}

/// A state of a run, as a sweep sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStandingState {
    /// Nobody makes it: it was not begun, or was stopped on its way.
    Missing,
    /// A process trains it now.
    Running,
    /// All of it is made.
    Finished,
    /// Its loss was not a number any more.
    Diverged,
    /// A file of it is damaged or of another run.
    Damaged,
}

/// The number of runs in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Runs that nobody makes.
    pub missing: usize,
    /// Runs that a process trains now.
    pub running: usize,
    /// Runs that are made.
    pub finished: usize,
    /// Runs whose loss was not a number any more.
    pub diverged: usize,
    /// Runs that cannot be read.
    pub damaged: usize,
}

impl Standing {
    /// Reads the state of all runs. Those that follow a tuning are among them once its trials are made.
    ///
    /// # Errors
    ///
    /// Returns an error if an evaluation does not go with the value that a tuning chose.
    pub fn read(plan: &Plan, runs_dir: &Path) -> Result<Self, AblateError> {
        let (planned, later) = plan.named(runs_dir)?;
        let stand = |run| RunStanding::read(run, runs_dir);
        let runs: Vec<RunStanding> = planned.into_iter().map(stand).collect();
        let mut totals = Totals::default();
        runs.iter().for_each(|run| totals.count(run.state));
        Ok(Self {
            runs,
            totals,
            later,
        })
    }

    /// The runs that nobody makes.
    pub fn missing(&self) -> impl Iterator<Item = &RunStanding> {
        let runs = self.runs.iter();
        runs.filter(|run| run.state == RunStandingState::Missing)
    }
}

impl RunStanding {
    fn read(planned: PlannedRun, runs_dir: &Path) -> Self {
        let config = &planned.config;
        let path = run_folder(config, runs_dir);
        let entry = RunEntry::read(&path);
        let state = match entry.state {
            EntryState::Finished => RunStandingState::Finished,
            EntryState::Training => RunStandingState::Running,
            EntryState::Interrupted | EntryState::NotBegun => RunStandingState::Missing,
            EntryState::Diverged => RunStandingState::Diverged,
            EntryState::Damaged => RunStandingState::Damaged,
        };
        let owner = RunFolder::new(&path).owner();
        Self {
            arm: planned.label.clone(),
            seed: config.seed,
            state,
            step: entry.step.unwrap_or(0),
            steps: config.train.steps,
            folder: path,
            // a process that was killed has left its name
            owner: owner.filter(|_| state == RunStandingState::Running),
            reason: entry.reason,
            planned,
        }
    }
}

impl Totals {
    fn count(&mut self, state: RunStandingState) {
        *match state {
            RunStandingState::Missing => &mut self.missing,
            RunStandingState::Running => &mut self.running,
            RunStandingState::Finished => &mut self.finished,
            RunStandingState::Diverged => &mut self.diverged,
            RunStandingState::Damaged => &mut self.damaged,
        } += 1;
    }
}
