//! The folder of a run: its name, its files and its lock.

use super::files::file_error;
use super::hold::{is_flocked, is_leased};
use super::{Hold, Lock, Owner, RunError};
use crate::config::RunConfig;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of a run: `<runs>/<name>/seed-<n>`. The name's hash decides: a folder with another name before it
/// is that of the same question.
pub fn run_folder(config: &RunConfig, runs_dir: &Path) -> PathBuf {
    let question = question_folder(&config.hash(), runs_dir);
    question
        .unwrap_or_else(|| runs_dir.join(config.run_name()))
        .join(format!("seed-{}", config.seed))
}

/// The folder of the question with a hash, whatever its name; the first of several.
fn question_folder(hash: &str, runs_dir: &Path) -> Option<PathBuf> {
    let end = format!("-{hash}");
    let entries = fs::read_dir(runs_dir).ok()?.filter_map(Result::ok);
    let folders = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.ends_with(&end)) && path.is_dir()
    });
    // folders are listed in any order, on which the answer must not depend
    folders.min()
}

/// The files of a run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder at a path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Versions, device, times.
    pub fn manifest(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// One line a logged step or evaluation.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Results of a finished run.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The hashes of the other files of a finished run.
    pub fn files(&self) -> PathBuf {
        self.path.join("files.json")
    }

    /// Events of the run, in words.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// The vocabulary that was learned from the text, if one was.
    pub fn vocabulary(&self) -> PathBuf {
        self.path.join("tokenizer.json")
    }

    /// A hash of the text and its vocabulary.
    pub fn data_hash(&self) -> PathBuf {
        self.path.join("data.sha256")
    }

    /// The folder of all checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The checkpoint after a step.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step}"))
    }

    /// State of the checkpoint after a step, beside tensors.
    pub fn state(&self, step: u64) -> PathBuf {
        self.checkpoint(step).join("state.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.path.join(".lock")
    }

    pub(super) fn owner_file(&self) -> PathBuf {
        self.path.join("owner.json")
    }

    /// The process that holds the folder, or held it when it was killed.
    pub fn owner(&self) -> Option<Owner> {
        Owner::read(&self.owner_file())
    }

    /// Tells whether a process trains the run now, which holds the folder as long as it does.
    pub fn is_locked(&self) -> bool {
        is_flocked(&self.lock()) || is_leased(&self.owner_file())
    }

    /// The steps of all whole checkpoints, in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder exists and cannot be read.
    pub fn checkpoint_steps(&self) -> Result<Vec<u64>, RunError> {
        let folder = self.checkpoints();
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder).map_err(file_error("list", &folder))?;
        let mut steps: Vec<u64> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            // leaves out checkpoints that are being written or deleted: their names begin with a dot
            .filter_map(|name| step_of(&name))
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Creates the folder and takes its lock, which lasts as long as what is returned and ends with the process,
    /// however that ends.
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold).
    pub fn create(&self) -> Result<Hold, RunError> {
        self.hold(Lock::Flock)
    }

    /// Creates the folder and keeps other processes out of it by the given means, as long as what is returned lasts.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be created, if another process holds it, or if its file system has no
    /// locks and one is asked for.
    pub fn hold(&self, lock: Lock) -> Result<Hold, RunError> {
        let folder = self.checkpoints();
        fs::create_dir_all(&folder).map_err(file_error("create", &folder))?;
        Hold::take(self, lock)
    }
}

/// The step of a checkpoint's name, as it is written.
pub(super) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    // `step-07` and `step-+7` are numbers too, and no names of ours
    (name == format!("step-{step}")).then_some(step)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_is_seen_and_none_is_made() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(runs.path().join("seed-0"));
        assert!(!folder.is_locked() && !folder.path().exists());
        let lock = folder.create().unwrap();
        assert!(folder.is_locked() && folder.is_locked());
        drop(lock);
        assert!(!folder.is_locked());
        drop(folder.create().unwrap());
    }

    #[test]
    fn a_folder_of_another_name_is_found_by_its_hash() {
        let config = RunConfig::with_router("switch").unwrap();
        let runs = tempfile::tempdir().unwrap();
        let expected = runs.path().join(config.run_name()).join("seed-0");
        assert_eq!(run_folder(&config, runs.path()), expected);
        let named = runs.path().join(format!("my-idea-{}", config.hash()));
        fs::create_dir(&named).unwrap();
        assert_eq!(run_folder(&config, runs.path()), named.join("seed-0"));
        let other = RunConfig::with_router("mixtral").unwrap();
        let expected = runs.path().join(other.run_name()).join("seed-0");
        assert_eq!(run_folder(&other, runs.path()), expected);
    }
}
