//! A report: runs, read and put side by side.

use super::{Difference, Merit, Paired, Question, ReportError, Run, find_runs};
use moe_train::run::RunError;
use serde::Serialize;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs side by side. Serialises to the numbers that a page shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The number that the runs are compared by.
    pub merit: Merit,
    /// Things missing or left out, in words.
    pub missing: Vec<String>,
    /// The runs by configuration; the first is the baseline.
    pub questions: Vec<Question>,
    /// Keys in which the configurations differ.
    pub differences: Vec<Difference>,
    /// The comparison with the first.
    pub paired: Paired,
}

impl Report {
    /// Reads the runs at and below some paths. Questions come in the order of the paths; below one path
    /// in the order in which they were begun, so that the baseline of an ablation comes first.
    ///
    /// # Errors
    ///
    /// Returns an error if a path holds no run, if none of the runs has begun, or if a file of a run is
    /// damaged or of another run.
    pub fn read(paths: &[PathBuf]) -> Result<Self, ReportError> {
        let (mut runs, mut missing) = (Vec::new(), Vec::new());
        let mut seen: Vec<PathBuf> = Vec::new();
        for path in paths {
            let found = find_runs(path)?;
            let mut of_path = Vec::new();
            for folder in found.folders {
                let place = fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
                if seen.contains(&place) {
                    continue;
                }
                seen.push(place);
                match Run::read(&folder) {
                    Ok(run) => of_path.push(run),
                    Err(RunError::NotARun(folder)) => missing.push(format!(
                        "{} has not begun: it has no config.toml",
                        folder.display()
                    )),
                    Err(error) => return Err(error.into()),
                }
            }
            runs.extend(by_begin(of_path));
            let no_run = |other: &PathBuf| format!("{} holds no run", other.display());
            missing.extend(found.others.iter().map(no_run));
        }
        if runs.is_empty() {
            return Err(ReportError::NothingBegun(missing.join("; ")));
        }
        Ok(Self::of(runs, missing))
    }

    fn of(runs: Vec<Run>, mut missing: Vec<String>) -> Self {
        let merit = Merit::of_task(runs[0].config.model.task());
        missing.extend(runs.iter().filter_map(|run| {
            let shortfall = run.shortfall()?;
            Some(format!("{}: {shortfall}", run.folder.display()))
        }));
        missing.extend(runs.iter().filter(|run| run.lines.unread > 0).map(|run| {
            format!(
                "{}: {} of metrics.jsonl cannot be read",
                run.folder.display(),
                lines(run.lines.unread)
            )
        }));
        let (questions, differences, twins) = Question::group(runs, &merit);
        missing.extend(twins);
        missing.extend(missing_seeds(&questions));
        Self {
            paired: Paired::of(&questions),
            merit,
            missing,
            questions,
            differences,
        }
    }

    /// All runs.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.questions.iter().flat_map(|question| &question.runs)
    }
}

fn lines(n: usize) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} line{plural}")
}

/// Orders runs by when the first run of their question was begun, and those of a question by seed.
fn by_begin(mut runs: Vec<Run>) -> Vec<Run> {
    let question = |run: &Run| run.folder.parent().map(Path::to_owned);
    let mut begun: HashMap<Option<PathBuf>, u64> = HashMap::new();
    for run in &runs {
        let started = run.manifest.as_ref().map_or(u64::MAX, |m| m.started_at);
        let first = begun.entry(question(run)).or_insert(started);
        *first = started.min(*first);
    }
    runs.sort_by_key(|run| {
        let question = question(run);
        (begun[&question], question, run.config.seed)
    });
    runs
}

/// The seeds that another question has.
fn missing_seeds(questions: &[Question]) -> Vec<String> {
    let mut all: Vec<u64> = questions.iter().flat_map(Question::seeds).collect();
    all.sort_unstable();
    all.dedup();
    let note = |question: &Question| {
        let seeds = question.seeds();
        let missing: Vec<String> = all
            .iter()
            .filter(|seed| !seeds.contains(seed))
            .map(u64::to_string)
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "{} was not run with the seed{} {}",
                question.label,
                if missing.len() == 1 { "" } else { "s" },
                missing.join(", ")
            )
        })
    };
    questions.iter().filter_map(note).collect()
}
