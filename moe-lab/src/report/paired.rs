//! The table of an ablation, of runs that were made before.

use super::{Question, Run, RunState};
use crate::ablate::{AblationConfig, AblationReport, ArmResult, SeedResult};
use serde::Serialize;
use std::collections::BTreeSet;

/// The questions compared with the first, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paired {
    /// The table; none if the questions cannot be paired.
    pub table: Option<AblationReport>,
    /// Remarks on what was left out of it, or why there is none.
    pub notes: Vec<String>,
}

impl Paired {
    /// Pairs the runs that are finished (or have diverged) in all questions that have such.
    pub fn of(questions: &[Question]) -> Self {
        match Self::arms(questions) {
            Ok((arms, notes)) => match AblationReport::new(&arms, &AblationConfig::default()) {
                Ok(table) => Self {
                    table: Some(table),
                    notes,
                },
                Err(error) => Self::none(error.to_string()),
            },
            Err(reason) => Self::none(reason),
        }
    }

    /// The arms with the seeds that all have, and what was left out; or why there is nothing to pair.
    fn arms(questions: &[Question]) -> Result<(Vec<ArmResult>, Vec<String>), String> {
        if let Some(reason) = other_data(questions) {
            return Err(reason);
        }
        let arms = questions.iter().map(Arm::of);
        let (mut arms, empty): (Vec<Arm>, Vec<Arm>) = arms.partition(|arm| !arm.results.is_empty());
        if arms.len() < 2 {
            return Err("a comparison needs two configurations with finished runs".to_owned());
        }
        let common = common_seeds(&arms);
        if common.is_empty() {
            return Err(
                "no seed is finished in every configuration, so no two runs can be paired"
                    .to_owned(),
            );
        }
        let left_out =
            |arm: Arm| format!("{} has no finished run and is not in the table", arm.label);
        let mut notes: Vec<String> = empty.into_iter().map(left_out).collect();
        for arm in &mut arms {
            notes.extend(arm.restrict(&common));
        }
        let result = |arm: Arm| ArmResult {
            label: arm.label,
            evaluation: None,
            seeds: arm.results,
        };
        Ok((arms.into_iter().map(result).collect(), notes))
    }

    fn none(reason: String) -> Self {
        Self {
            table: None,
            notes: vec![reason],
        }
    }
}

struct Arm {
    label: String,
    results: Vec<SeedResult>,
}

impl Arm {
    fn of(question: &Question) -> Self {
        Self {
            label: question.label.clone(),
            results: question.runs.iter().filter_map(result).collect(),
        }
    }

    fn seeds(&self) -> BTreeSet<u64> {
        self.results.iter().map(|result| result.seed).collect()
    }

    /// Keeps the seeds that all arms have, and says which it had besides.
    fn restrict(&mut self, common: &BTreeSet<u64>) -> Option<String> {
        let more: Vec<String> = self
            .seeds()
            .difference(common)
            .map(u64::to_string)
            .collect();
        self.results.retain(|result| common.contains(&result.seed));
        let (seeds, are) = match more.len() {
            0 => return None,
            1 => ("seed", "is"),
            _ => ("seeds", "are"),
        };
        let (label, more) = (&self.label, more.join(", "));
        Some(format!(
            "{label}: {seeds} {more} {are} not in the table, because another arm has not finished with it"
        ))
    }
}

fn result(run: &Run) -> Option<SeedResult> {
    match (run.state, &run.summary) {
        (RunState::Diverged { .. }, _) => Some(SeedResult::diverged(&run.config)),
        (_, Some(summary)) => Some(SeedResult::new(
            &run.config,
            summary,
            &run.manifest.clone().unwrap_or_default(),
            &run.lines,
        )),
        _ => None,
    }
}

fn common_seeds(arms: &[Arm]) -> BTreeSet<u64> {
    let mut sets = arms.iter().map(Arm::seeds);
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |common, seeds| &common & &seeds)
}

/// Why losses do not compare, if data differ.
fn other_data(questions: &[Question]) -> Option<String> {
    let first = questions.first()?;
    let data = |question: &Question| {
        let data = &question.config.data;
        (data.name(), data.path().to_owned())
    };
    let other = questions.iter().find(|other| data(other) != data(first))?;
    Some(format!(
        "{} was trained on other data than {}, so their figures do not compare",
        other.label, first.label
    ))
}
