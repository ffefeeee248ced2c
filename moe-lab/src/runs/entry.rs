//! A run as a line of a list.

use crate::report::{Run, RunState, seed_of};
use moe_train::config::RunConfig;
use moe_train::run::{EvalMetrics, RunError, RunFolder, read_manifest, read_summary};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// A run as a line of a list: also one that is not finished, and one that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunEntry {
    /// The run folder.
    pub folder: PathBuf,
    /// The name of the question: that of the folder above.
    pub name: String,
    /// The seed, by the configuration or else by the folder's name.
    pub seed: Option<u64>,
    /// The state that it came to.
    pub state: EntryState,
    /// Fault of a damaged run, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last step that was logged or saved.
    pub step: Option<u64>,
    /// The steps of a finished run.
    pub steps: Option<u64>,
    /// The score of a finished run on its validation part.
    pub score: Option<Score>,
    /// Start of the run or of its last continuation, seconds since 1970.
    pub started_at: Option<u64>,
    /// The bytes of all its files.
    pub bytes: u64,
    /// The configuration; none if it cannot be read.
    #[serde(skip)]
    pub config: Option<RunConfig>,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// All steps were made, and the last evaluation.
    Finished,
    /// A process trains it now.
    Training,
    /// Steps are missing, and no process makes them.
    Interrupted,
    /// Its loss was not a number any more.
    Diverged,
    /// Its folder has no configuration yet.
    NotBegun,
    /// A file of it is damaged or of another run.
    Damaged,
}

/// A score as tables show it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// The value, in its unit.
    pub value: f64,
    /// The unit.
    pub unit: &'static str,
}

impl Score {
    /// The score of an evaluation.
    pub fn of(eval: &EvalMetrics) -> Self {
        let merit = eval.merit();
        Self {
            value: merit.scale() * eval.score(),
            unit: merit.unit(),
        }
    }
}

impl RunEntry {
    /// Reads a run folder; a fault of it becomes part of the entry.
    pub fn read(path: &Path) -> Self {
        let folder = RunFolder::new(path);
        let mut entry = Self::bare(&folder);
        if !folder.config().is_file() {
            if folder.is_locked() {
                entry.state = EntryState::Training;
            }
            return entry;
        }
        let config = RunConfig::load_resolved(&folder.config()).map_err(RunError::from);
        let read = config.and_then(|config| {
            entry.seed = Some(config.seed);
            entry.steps = Some(config.train.steps);
            let config = entry.config.insert(config).clone();
            entry.come_to(&folder, &config)
        });
        if let Err(error) = read {
            entry.state = EntryState::Damaged;
            entry.reason = Some(error.to_string());
        }
        entry
    }

    /// The entry by names, times and sizes alone.
    fn bare(folder: &RunFolder) -> Self {
        let path = folder.path();
        Self {
            folder: path.to_owned(),
            name: name_of(path),
            seed: path.file_name().and_then(|name| seed_of(name.to_str()?)),
            state: EntryState::NotBegun,
            reason: None,
            step: None,
            steps: None,
            score: None,
            started_at: read_manifest(folder).ok().map(|m| m.started_at),
            bytes: size(path),
            config: None,
        }
    }

    /// Reads the state, the step and the score.
    fn come_to(&mut self, folder: &RunFolder, config: &RunConfig) -> Result<(), RunError> {
        if let Some(summary) = read_summary(folder, config)? {
            self.state = EntryState::Finished;
            self.step = Some(summary.steps);
            self.score = Some(Score::of(&summary.validation));
            return Ok(());
        }
        let is_locked = folder.is_locked();
        let (state, step) = match Run::read(folder.path())?.state {
            // a process has finished it since
            RunState::Finished => (EntryState::Finished, config.train.steps),
            RunState::Diverged { step } => (EntryState::Diverged, step),
            RunState::Unfinished { step, saved } => (EntryState::Interrupted, step.max(saved)),
        };
        self.step = Some(step);
        self.state = if is_locked && state != EntryState::Finished {
            EntryState::Training
        } else {
            state
        };
        Ok(())
    }
}

/// The name of the question that a run folder is of.
pub(super) fn name_of(run: &Path) -> String {
    let above = |path: &Path| {
        let name = path.parent()?.file_name()?;
        Some(name.to_string_lossy().into_owned())
    };
    // a path such as `seed-0` has no folder above before it is whole
    let of_whole = || above(&fs::canonicalize(run).ok()?);
    above(run).or_else(of_whole).unwrap_or_default()
}

/// The bytes of the files in a folder and those below it. Links are not followed.
fn size(folder: &Path) -> u64 {
    let mut folders = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        // a process that trains the run may have just deleted a checkpoint
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => (),
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_without_a_run_is_an_entry() {
        let runs = tempfile::tempdir().unwrap();
        let folder = runs.path().join("text-mixtral-0/seed-7");
        fs::create_dir_all(folder.join("checkpoints")).unwrap();
        let entry = RunEntry::read(&folder);
        assert_eq!(
            (entry.name.as_str(), entry.seed),
            ("text-mixtral-0", Some(7))
        );
        assert_eq!((entry.state, entry.bytes), (EntryState::NotBegun, 0));
        let lock = RunFolder::new(&folder).create().unwrap();
        assert_eq!(RunEntry::read(&folder).state, EntryState::Training);
        drop(lock);

        fs::write(folder.join("config.toml"), "seed = = 1\n").unwrap();
        let entry = RunEntry::read(&folder);
        assert_eq!((entry.state, entry.bytes), (EntryState::Damaged, 11));
        assert!(entry.reason.unwrap().contains("not valid TOML"));

        let config = RunConfig::of_overrides(&["seed=7", "train.steps=30"]).unwrap();
        fs::write(folder.join("config.toml"), config.to_toml()).unwrap();
        let entry = RunEntry::read(&folder);
        assert_eq!(entry.state, EntryState::Interrupted);
        assert_eq!((entry.step, entry.steps), (Some(0), Some(30)));
        fs::write(
            folder.join("log.txt"),
            "step 3: diverged: the loss is NaN\n",
        )
        .unwrap();
        assert_eq!(RunEntry::read(&folder).state, EntryState::Diverged);
    }
}
