//! The runs of a table: the arm and the seed of each row that counts.

use super::error::ResultsError;
use super::lm_eval;
use super::number::{is_nothing, seed};
use super::question::{Columns, Kept, Question};
use super::table::{Layout, Row, Table};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A run of a table.
pub(super) struct Run<'a> {
    pub(super) row: &'a Row,
    pub(super) arm: String,
    /// The seed; `None` if each row is a run of its own.
    pub(super) seed: Option<String>,
}

impl Question {
    /// The rows that count as runs; remarks are added.
    pub(super) fn runs<'a>(
        &self,
        table: &Table,
        columns: &Columns,
        kept: &mut Kept<'a>,
    ) -> Result<Vec<Run<'a>>, ResultsError> {
        let mut runs = Vec::with_capacity(kept.rows.len());
        for &row in &kept.rows {
            let name = cell(table, row, columns.arm)?;
            let (arm, own_seed) = match &self.names {
                None => (name, None),
                Some(names) => {
                    let parts = names
                        .split(&name)
                        .map_err(|what| table.fault_at(row, what))?;
                    (parts.arm.to_owned(), Some(parts.seed.to_owned()))
                }
            };
            let column = columns
                .seed
                .map(|place| cell(table, row, place))
                .transpose()?;
            let seed = own_seed.or(column).map(|text| seed(&text));
            runs.push(Run { row, arm, seed });
        }
        if table.layout == Layout::LmEval && self.seed.is_none() && self.names.is_none() {
            take_evaluation_seeds(table, &mut runs);
        }
        if runs.iter().all(|run| run.seed.is_none()) {
            let what = "no column of seeds: each row counts as a run of its own.";
            kept.remarks.push(what.to_owned());
        }
        check_twice(table, columns, &runs)?;
        Ok(runs)
    }
}

/// A cell that must hold a name.
fn cell(table: &Table, row: &Row, place: usize) -> Result<String, ResultsError> {
    let text = row.cells[place].trim();
    let what = if text.is_empty() {
        "it is empty; fill it in, or leave the row out with --where"
    } else if text.chars().any(char::is_control) {
        "a line break or another control character is in it"
    } else {
        return Ok(text.to_owned());
    };
    Err(table.fault_at(row, format!("column `{}`: {what}", table.header[place])))
}

/// Gives the runs of lm-eval its random seeds, if they tell the files of a model apart: it is 0 where nobody set it.
fn take_evaluation_seeds(table: &Table, runs: &mut [Run<'_>]) {
    let Some(place) = table.header.iter().position(|name| name == lm_eval::SEED) else {
        return;
    };
    let text = |run: &Run<'_>| run.row.cells[place].to_owned();
    let mut seen = BTreeSet::new();
    let differ = runs
        .iter()
        .all(|run| !is_nothing(&text(run)) && seen.insert((run.arm.clone(), text(run))));
    let several = seen.len()
        > seen
            .iter()
            .map(|(arm, _)| arm)
            .collect::<BTreeSet<_>>()
            .len();
    if differ && several {
        for run in runs {
            run.seed = Some(seed(&run.row.cells[place]));
        }
    }
}

/// Refuses two rows of one arm and one seed, and says in which column they differ.
fn check_twice(table: &Table, columns: &Columns, runs: &[Run<'_>]) -> Result<(), ResultsError> {
    let mut seen: HashMap<(&str, &str), &Row> = HashMap::new();
    for run in runs {
        let Some(seed) = &run.seed else { continue };
        let Some(first) = seen.insert((&run.arm, seed), run.row) else {
            continue;
        };
        let hint = match telling(table, columns.metric, first, run.row) {
            Some(place) => format!(
                "; they differ in `{name}`: if a row is no run, choose rows with --where '{name}={}'",
                &run.row.cells[place],
                name = table.header[place]
            ),
            None => "; keep one of them".to_owned(),
        };
        let what = format!(
            "the arm `{}` has seed {seed} for the second time, first in {}{hint}",
            run.arm, first.place
        );
        return Err(table.fault_at(run.row, what));
    }
    Ok(())
}

/// The column besides that of the scores in which two rows differ, and which has the fewest values: a task, and not a name.
fn telling(table: &Table, metric: usize, a: &Row, b: &Row) -> Option<usize> {
    let differing = (0..table.header.len()).filter(|&i| i != metric && a.cells[i] != b.cells[i]);
    differing.min_by_key(|&place| {
        let values: BTreeSet<&str> = table.rows.iter().map(|row| &row.cells[place]).collect();
        values.len()
    })
}

/// The numbers of seeds: their own, or that of their name.
pub(super) struct Numbers {
    /// The names by number; none if seeds are numbers.
    pub(super) names: Vec<String>,
    places: BTreeMap<String, u64>,
}

impl Numbers {
    /// Numbers the seeds of all runs.
    pub(super) fn of(runs: &[Run<'_>]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut places = BTreeMap::new();
        let mut are_numbers = true;
        for seed in runs.iter().filter_map(|run| run.seed.as_ref()) {
            are_numbers &= seed.parse::<u64>().is_ok();
            if !places.contains_key(seed) {
                places.insert(seed.clone(), names.len() as u64);
                names.push(seed.clone());
            }
        }
        if are_numbers {
            names.clear();
            places
                .iter_mut()
                .for_each(|(name, number)| *number = name.parse().unwrap_or(*number));
        }
        Self { names, places }
    }

    /// The number of a run's seed, or its place among those of its arm.
    pub(super) fn of_run(&self, run: &Run<'_>, place: usize) -> u64 {
        let number = run.seed.as_ref().and_then(|seed| self.places.get(seed));
        number.copied().unwrap_or(place as u64)
    }

    /// The name of a seed by its number.
    pub(super) fn name(&self, number: u64) -> String {
        let name = usize::try_from(number)
            .ok()
            .and_then(|place| self.names.get(place));
        name.cloned().unwrap_or_else(|| number.to_string())
    }
}
