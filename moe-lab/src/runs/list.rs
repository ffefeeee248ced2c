//! The list of the runs in a folder.

use super::{EntryState, Filter, RunEntry, RunsError};
use crate::report::{ReportError, find_runs};
use moe_train::config::RunConfig;
use std::path::Path;
use toml::Table;

/// The runs of a folder that pass all filters.
#[derive(Debug, Clone, PartialEq)]
pub struct RunList {
    /// The runs, by name and then by seed.
    pub runs: Vec<RunEntry>,
    /// Remarks on damaged runs, and on filters that find nothing.
    pub notes: Vec<String>,
}

impl RunList {
    /// Reads the runs in a folder: that of all runs, or that of one question.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder does not exist or cannot be listed, or if a filter cannot be read or has a
    /// key that no configuration has.
    pub fn read(folder: &Path, filters: &[String]) -> Result<Self, RunsError> {
        let filters = filters.iter().map(|text| Filter::parse(text));
        let filters: Vec<Filter> = filters.collect::<Result<_, _>>()?;
        if !folder.is_dir() {
            return Err(RunsError::NoFolder(folder.to_owned()));
        }
        let folders = match find_runs(folder) {
            Err(ReportError::NoRun(_)) => Vec::new(),
            found => found?.folders,
        };
        let runs: Vec<RunEntry> = folders.iter().map(|path| RunEntry::read(path)).collect();
        Self::of(runs, &filters)
    }

    fn of(runs: Vec<RunEntry>, filters: &[Filter]) -> Result<Self, RunsError> {
        let configs: Vec<Option<Table>> = runs
            .iter()
            .map(|run| run.config.as_ref().map(RunConfig::table))
            .collect();
        let known: Vec<Table> = configs.iter().flatten().cloned().collect();
        filters.iter().try_for_each(|filter| filter.check(&known))?;
        let passes = |config: &Option<Table>| match config {
            Some(config) => filters.iter().all(|filter| filter.matches(config)),
            None => filters.is_empty(),
        };
        let n_found = runs.len();
        let mut passed: Vec<RunEntry> = runs
            .into_iter()
            .zip(&configs)
            .filter(|(_, config)| passes(config))
            .map(|(run, _)| run)
            .collect();
        passed.sort_by(|a, b| (&a.name, a.seed).cmp(&(&b.name, b.seed)));
        let mut notes: Vec<String> = passed.iter().filter_map(fault).collect();
        let n_unread = n_found - known.len();
        if n_unread > 0 && !filters.is_empty() {
            notes.push(format!(
                "{n_unread} of {n_found} folders have no configuration that can be read, and pass no filter"
            ));
        }
        if passed.is_empty() {
            notes.push(nothing_passed(filters, &known, n_found));
        }
        Ok(Self {
            runs: passed,
            notes,
        })
    }
}

/// The fault of a damaged run, in words.
fn fault(run: &RunEntry) -> Option<String> {
    let reason = run.reason.as_ref()?;
    let is_damaged = run.state == EntryState::Damaged;
    is_damaged.then(|| format!("{} is damaged: {reason}", run.folder.display()))
}

/// The reason why a list is empty, with the values that there are of a key whose value no run has.
fn nothing_passed(filters: &[Filter], configs: &[Table], n_found: usize) -> String {
    if n_found == 0 {
        return "there is no run yet".to_owned();
    }
    let is_vain = |filter: &&Filter| !configs.iter().any(|config| filter.matches(config));
    let Some(vain) = filters.iter().find(is_vain) else {
        return format!("none of {n_found} runs has all of these values");
    };
    let mut values: Vec<String> = configs
        .iter()
        .filter_map(|config| Some(vain.value_in(config)?.to_string()))
        .collect();
    values.sort();
    values.dedup();
    let (text, key) = (vain.text(), vain.key());
    if values.is_empty() {
        format!("none of {n_found} runs has the key `{key}`")
    } else {
        let values = values.join(", ");
        format!("none of {n_found} runs has `{text}`; the values of `{key}` are {values}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    /// Runs of two routers that have not made a step, and a damaged one.
    fn runs() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let at = move |name: &str| root.join(name);
        for (name, router, seed) in [
            ("b/seed-10", "switch", 10),
            ("b/seed-2", "switch", 2),
            ("a/seed-0", "mixtral", 0),
        ] {
            fs::create_dir_all(at(name)).unwrap();
            let overrides = [format!("router.name={router}"), format!("seed={seed}")];
            let config = RunConfig::of_overrides(&overrides).unwrap();
            fs::write(at(name).join("config.toml"), config.to_toml()).unwrap();
        }
        fs::create_dir_all(at("c/seed-0")).unwrap();
        fs::write(at("c/seed-0/config.toml"), "[rooter]\n").unwrap();
        (dir, at)
    }

    fn names(list: &RunList) -> Vec<(&str, u64)> {
        let runs = list.runs.iter();
        runs.map(|run| (run.name.as_str(), run.seed.unwrap()))
            .collect()
    }

    #[test]
    fn runs_are_sorted_and_a_damaged_one_is_among_them() {
        let (dir, _) = runs();
        let list = RunList::read(dir.path(), &[]).unwrap();
        assert_eq!(names(&list), [("a", 0), ("b", 2), ("b", 10), ("c", 0)]);
        assert_eq!(list.runs[3].state, EntryState::Damaged);
        assert!(
            list.notes[0].contains("unknown key `rooter`"),
            "{:?}",
            list.notes
        );
        assert_eq!(list.notes.len(), 1);
    }

    #[test]
    fn filters_leave_runs_out_and_say_why_none_is_left() {
        let (dir, at) = runs();
        let read = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
            RunList::read(dir.path(), &filters).unwrap()
        };
        let list = read(&["router.name=switch", "seed=10"]);
        assert_eq!(names(&list), [("b", 10)]);
        let unread = "1 of 4 folders have no configuration that can be read, and pass no filter";
        assert_eq!(list.notes, [unread]);
        let note = |filters: &[&str]| read(filters).notes.pop().unwrap();
        assert_eq!(
            note(&["router.name=swich"]),
            "none of 4 runs has `router.name=swich`; the values of `router.name` are \"mixtral\", \"switch\""
        );
        assert_eq!(
            note(&["router.name=mixtral", "seed=2"]),
            "none of 4 runs has all of these values"
        );
        let none = RunList::read(&at("none"), &[]).unwrap_err();
        assert!(matches!(none, RunsError::NoFolder(_)), "{none}");
        fs::create_dir(at("d")).unwrap();
        let empty = RunList::read(&at("d"), &[]).unwrap();
        assert_eq!(
            (empty.runs.len(), empty.notes[0].as_str()),
            (0, "there is no run yet")
        );
    }
}
