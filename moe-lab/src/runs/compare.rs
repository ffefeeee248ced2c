//! Two runs or configurations: the keys in which they differ, and their scores.

use super::Score;
use crate::report::{Difference, differences_with_seed};
use moe_train::config::RunConfig;
use moe_train::run::{RunError, RunFolder, read_summary};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Two runs or configurations side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The two that are compared.
    pub sides: [Side; 2],
    /// The keys in which they differ, those that choose a table's defaults first.
    pub differences: Vec<Difference>,
}

/// A run or a configuration of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The path of the folder or of the file.
    pub path: PathBuf,
    /// The kind of thing that the path names.
    pub kind: SideKind,
    /// The score of a finished run.
    pub score: Option<Score>,
    #[serde(skip)]
    config: RunConfig,
}

/// The kind of thing that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SideKind {
    /// The folder of a run, or of one of its checkpoints.
    Run,
    /// A configuration file.
    Configuration,
}

impl Side {
    /// Reads the run in a folder, or the configuration in a file.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no run, if a file of it is damaged, or if a configuration is not valid.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        if !path.is_dir() {
            return Ok(Self {
                path: path.to_owned(),
                kind: SideKind::Configuration,
                score: None,
                config: RunConfig::load_resolved(path)?,
            });
        }
        // a checkpoint lies two folders below its run
        let mut folders = path.ancestors().take(3).map(RunFolder::new);
        let folder = folders
            .find(|folder| folder.config().is_file())
            .ok_or_else(|| RunError::NotARun(path.to_owned()))?;
        let config = RunConfig::load_resolved(&folder.config())?;
        let summary = read_summary(&folder, &config)?;
        Ok(Self {
            path: path.to_owned(),
            kind: SideKind::Run,
            score: summary.map(|summary| Score::of(&summary.validation)),
            config,
        })
    }

    /// Tells of a run that is not finished.
    pub fn is_unfinished(&self) -> bool {
        self.kind == SideKind::Run && self.score.is_none()
    }
}

impl Comparison {
    /// Compares two.
    pub fn of(sides: [Side; 2]) -> Self {
        let [a, b] = &sides;
        Self {
            differences: differences_with_seed(&[&a.config, &b.config]),
            sides,
        }
    }

    /// The scores, if both are finished runs.
    pub fn scores(&self) -> Option<[Score; 2]> {
        let [a, b] = &self.sides;
        Some([a.score?, b.score?])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn a_run_and_a_file_differ_in_resolved_keys_the_seed_among_them() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("a/seed-1");
        fs::create_dir_all(run.join("checkpoints")).unwrap();
        let config = RunConfig::of_overrides(&["seed=1", "train.keep=all"]).unwrap();
        fs::write(run.join("config.toml"), config.to_toml()).unwrap();
        let file = dir.path().join("b.toml");
        fs::write(&file, "[router]\nname = \"mixtral\"\n").unwrap();

        let read = |path: &Path| Side::read(path).unwrap();
        let found = Comparison::of([read(&run), read(&file)]);
        let keys: Vec<&str> = found.differences.iter().map(|d| d.key.as_str()).collect();
        assert_eq!(keys, ["seed", "train.keep"]);
        let values = found.differences[1].values.clone();
        assert_eq!(values, [Some("all".to_owned()), Some("last".to_owned())]);
        assert!(found.scores().is_none() && found.sides[0].is_unfinished());
        assert!(!found.sides[1].is_unfinished());

        let inside = read(&run.join("checkpoints"));
        let same = Comparison::of([read(&run), inside]);
        assert!(same.differences.is_empty());
        assert!(matches!(Side::read(dir.path()), Err(RunError::NotARun(_))));
    }
}
