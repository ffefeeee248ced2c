//! From the paths of a command line to run folders.

use super::ReportError;
use moe_train::run::RunFolder;
use std::fs;
use std::path::{Path, PathBuf};

/// The run folders below a path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Folders of runs, by name.
    pub folders: Vec<PathBuf>,
    /// Folders beside them that hold no run.
    pub others: Vec<PathBuf>,
}

/// Finds the runs at a path: a run's folder, a question's (with `seed-*` in it), or a folder of questions.
///
/// # Errors
///
/// Returns an error if the path does not exist, cannot be listed or holds no run.
pub fn find_runs(path: &Path) -> Result<Found, ReportError> {
    if !path.exists() {
        return Err(ReportError::Missing(path.to_owned()));
    }
    let found = if path.is_dir() {
        below(path)?
    } else {
        Found::default()
    };
    if found.folders.is_empty() {
        Err(ReportError::NoRun(path.to_owned()))
    } else {
        Ok(found)
    }
}

fn below(path: &Path) -> Result<Found, ReportError> {
    let mut found = Found::default();
    if is_run(path) {
        found.folders.push(path.to_owned());
        return Ok(found);
    }
    found.folders = seeds(path)?;
    if !found.folders.is_empty() {
        return Ok(found);
    }
    for folder in folders(path)? {
        let seeds = seeds(&folder)?;
        if seeds.is_empty() {
            found.others.push(folder)
        } else {
            found.folders.extend(seeds)
        }
    }
    Ok(found)
}

fn is_run(path: &Path) -> bool {
    let is_seed = path
        .file_name()
        .is_some_and(|name| seed_of(&name.to_string_lossy()).is_some());
    RunFolder::new(path).config().is_file() || is_seed
}

/// The folders of seeds in a question's folder, by number.
fn seeds(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let mut seeds: Vec<(u64, PathBuf)> = folders(path)?
        .into_iter()
        .filter_map(|folder| {
            let seed = seed_of(&folder.file_name()?.to_string_lossy())?;
            Some((seed, folder))
        })
        .collect();
    seeds.sort();
    Ok(seeds.into_iter().map(|(_, folder)| folder).collect())
}

/// The seed of a folder's name.
pub(crate) fn seed_of(name: &str) -> Option<u64> {
    name.strip_prefix("seed-")?.parse().ok()
}

/// The folders in a folder, by name.
fn folders(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let list = |source| ReportError::List {
        path: path.to_owned(),
        source,
    };
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(list)? {
        let path = entry.map_err(list)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_questions_and_folders_of_them_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["b/seed-10", "b/seed-2", "a/seed-0", "figures"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("a/seed-0/config.toml"), "").unwrap();

        let all = find_runs(dir.path()).unwrap();
        assert_eq!(
            all.folders,
            [at("a/seed-0"), at("b/seed-2"), at("b/seed-10")]
        );
        assert_eq!(all.others, [at("figures")]);
        let folders = |name| find_runs(&at(name)).unwrap().folders;
        assert_eq!(folders("b"), [at("b/seed-2"), at("b/seed-10")]);
        assert_eq!(folders("a/seed-0"), [at("a/seed-0")]);

        let error = |name| find_runs(&at(name)).unwrap_err().to_string();
        assert!(error("figures").contains("figures` holds no run"));
        assert!(error("none").starts_with("there is nothing at"));
        assert!(error("a/seed-0/config.toml").contains("holds no run"));
    }
}
