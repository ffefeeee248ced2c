//! Runs whose numbers leave this workbench.

use super::entry::name_of;
use super::{MetricReader, RunsError};
use crate::report::find_runs;
use moe_train::config::RunConfig;
use moe_train::run::{RunError, RunFolder, read_manifest, read_summary};
use std::fs;
use std::path::{Path, PathBuf};

/// A run that is exported: its files belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedRun {
    /// The run folder.
    pub folder: PathBuf,
    /// The name of the question: that of the folder above.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// Start of the run or of its last continuation, seconds since 1970; 0 if that cannot be read.
    pub started_at: u64,
    /// Seconds of training; 0 of a run that is not finished.
    pub wall_s: f64,
    /// The steps of a finished run.
    pub steps: u64,
}

impl ExportedRun {
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
        read_summary(&folder, &config)?;
        let manifest = read_manifest(&folder).unwrap_or_default();
        Ok(Self {
            folder: path.to_owned(),
            name: name_of(path),
            seed: config.seed,
            started_at: manifest.started_at,
            wall_s: manifest.wall_s,
            steps: config.train.steps,
        })
    }

    /// The logged lines, read one at a time.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened.
    pub fn lines(&self) -> Result<MetricReader, RunError> {
        MetricReader::open(&RunFolder::new(&self.folder).metrics())
    }

    /// Time of a step, seconds since 1970. Steps are not logged with a time, so it is the share of the whole
    /// training; of a run that is not finished it is the start.
    pub fn time_of(&self, step: u64) -> f64 {
        let share = step as f64 / self.steps.max(1) as f64;
        self.started_at as f64 + self.wall_s * share
    }
}

/// Reads the runs at and below some paths, each once, in the order of the paths. Returns besides, in words, the
/// folders that hold no logged step.
///
/// # Errors
///
/// Returns an error if a path holds no run, if a file of a run is damaged or of another run, or if two different runs
/// have the same name and seed.
pub fn exported_runs(paths: &[PathBuf]) -> Result<(Vec<ExportedRun>, Vec<String>), RunsError> {
    let (mut runs, mut notes): (Vec<ExportedRun>, Vec<String>) = Default::default();
    for path in paths {
        for folder in find_runs(path)?.folders {
            if runs.iter().any(|run| place(&run.folder) == place(&folder)) {
                continue;
            }
            let has_logged = RunFolder::new(&folder).metrics().is_file();
            let run = match ExportedRun::read(&folder) {
                Ok(run) if has_logged => run,
                Ok(_) | Err(RunError::NotARun(_)) => {
                    notes.push(format!("{} has logged no step", folder.display()));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let is_twin = |other: &&ExportedRun| (&other.name, other.seed) == (&run.name, run.seed);
            if let Some(twin) = runs.iter().find(is_twin) {
                return Err(RunsError::SameName {
                    first: twin.folder.clone(),
                    second: folder,
                });
            }
            runs.push(run);
        }
    }
    Ok((runs, notes))
}

/// A path without links and detours.
fn place(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_come_once_and_twins_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let config = RunConfig::of_overrides(&["seed=1"]).unwrap().to_toml();
        for name in ["a/q/seed-1", "b/q/seed-1"] {
            fs::create_dir_all(at(name)).unwrap();
            fs::write(at(name).join("config.toml"), &config).unwrap();
            fs::write(at(name).join("metrics.jsonl"), "").unwrap();
        }
        fs::create_dir_all(at("a/q/seed-2")).unwrap();
        let (runs, notes) = exported_runs(&[at("a"), at("a/q"), at("a/q/seed-1")]).unwrap();
        assert_eq!(
            (runs.len(), runs[0].name.as_str(), runs[0].seed),
            (1, "q", 1)
        );
        assert!(notes[0].ends_with("seed-2 has logged no step"), "{notes:?}");
        let twins = exported_runs(&[at("a"), at("b")]).unwrap_err();
        assert!(matches!(twins, RunsError::SameName { .. }), "{twins}");
    }

    #[test]
    fn steps_share_the_time_of_training() {
        let run = ExportedRun {
            folder: PathBuf::new(),
            name: "q".to_owned(),
            seed: 0,
            started_at: 1000,
            wall_s: 20.0,
            steps: 10,
        };
        // 5 of 10 steps take half of 20 s
        assert_eq!((run.time_of(0), run.time_of(5)), (1000.0, 1010.0));
    }
}
