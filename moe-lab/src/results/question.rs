//! The question that a table is asked: its columns of arms, seeds and scores, and the rows that count.

use super::chart;
use super::direction::direction;
use super::error::{ResultsError, listed};
use super::lm_eval;
use super::names::Names;
use super::number::number;
use super::table::{Layout, Row, Table};
use crate::stats::Goal;

/// The columns and rows of a table that are compared. Columns that are not named are those of the table's layout.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The column of the scores.
    pub metric: Option<String>,
    /// The column of the arms' names.
    pub arm: Option<String>,
    /// The column of the seeds. Default: a column `seed`, and without one each row is a run of its own
    pub seed: Option<String>,
    /// The form of the names in the column of arms, if they hold the seed too.
    pub names: Option<Names>,
    /// The arm that the others are compared with. Default: that of the first row
    pub baseline: Option<String>,
    /// The better direction of the scores. Default: that which the table or the metric's name tells
    pub goal: Option<Goal>,
    /// The rows that count. Default: all
    pub filters: Vec<Filter>,
    /// The columns of costs, in which arms must agree.
    pub costs: Vec<String>,
    /// The column that says if a run is causal.
    pub causal: Option<String>,
    /// Compares the seeds alone that all arms have.
    pub only_shared: bool,
    /// Compares arms as independent samples, whatever their seeds.
    pub never_paired: bool,
}

/// A value that rows must have in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The column.
    pub column: String,
    /// The value, as text or as a number.
    pub value: String,
}

impl Filter {
    /// Reads `COLUMN=VALUE`; an empty value means an empty cell.
    ///
    /// # Errors
    ///
    /// Returns what is wrong without a `=`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (column, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}`: write it as COLUMN=VALUE, such as State=finished"))?;
        Ok(Self {
            column: column.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    }

    /// Takes empty cells.
    fn empty(column: &str) -> Self {
        Self {
            column: column.to_owned(),
            value: String::new(),
        }
    }

    /// Tells whether a cell has the value; `1` is `1.0`.
    fn holds(&self, cell: &str) -> bool {
        let numbers = number(cell).ok().zip(number(&self.value).ok());
        cell == self.value || numbers.is_some_and(|(a, b)| a == b)
    }
}

/// The places of the columns.
pub(super) struct Columns {
    pub(super) arm: usize,
    pub(super) seed: Option<usize>,
    pub(super) metric: usize,
    pub(super) costs: Vec<usize>,
    pub(super) causal: Option<usize>,
}

impl Question {
    /// Finds the columns.
    pub(super) fn columns(&self, table: &Table) -> Result<Columns, ResultsError> {
        let metric = table.column("--metric", self.metric_of(table)?)?;
        let arm = table.column("--arm", self.arm_of(table)?)?;
        let seed = match (&self.names, &self.seed) {
            (Some(_), None) => None,
            (Some(_), Some(_)) => {
                let what = "--names takes the seed from the names, and --seed from a column; leave one out";
                return Err(ResultsError::Question(what.to_owned()));
            }
            (None, Some(name)) => Some(table.column("--seed", name)?),
            (None, None) if table.header.iter().any(|name| name == "seed") => {
                Some(table.column("--seed", "seed")?)
            }
            (None, None) => None,
        };
        Ok(Columns {
            arm,
            seed,
            metric,
            costs: self.costs_of(table, metric)?,
            causal: self.causal_of(table)?,
        })
    }

    fn costs_of(&self, table: &Table, metric: usize) -> Result<Vec<usize>, ResultsError> {
        if !self.costs.is_empty() {
            let costs = self.costs.iter();
            return costs.map(|name| table.column("--cost", name)).collect();
        }
        let known = match table.layout {
            Layout::Ablation => ["steps", "tokens", "params_active"]
                .map(String::from)
                .to_vec(),
            Layout::Chart => vec![chart::step_of(&table.header[metric])],
            Layout::Rows | Layout::RunTable | Layout::LmEval => Vec::new(),
        };
        let header = table.header.iter().enumerate();
        let costs = header.filter(|(_, name)| known.contains(name));
        Ok(costs.map(|(place, _)| place).collect())
    }

    fn causal_of(&self, table: &Table) -> Result<Option<usize>, ResultsError> {
        match (&self.causal, table.layout) {
            (Some(name), _) => table.column("--causal", name).map(Some),
            (None, Layout::Ablation) => Ok(table.header.iter().position(|name| name == "causal")),
            (None, _) => Ok(None),
        }
    }

    fn arm_of<'a>(&'a self, table: &'a Table) -> Result<&'a str, ResultsError> {
        let has = |name: &str| table.header.iter().any(|other| other == name);
        match (&self.arm, table.layout) {
            (Some(name), _) => Ok(name),
            (None, Layout::LmEval) => Ok(lm_eval::MODEL),
            (None, Layout::Chart) if self.names.is_some() => Ok(chart::NAME),
            (None, Layout::Chart) => Err(table.fault(format!(
                "the runs of a chart have names and no columns; say how a name holds arm and seed: --names \
                 '{{arm}}-seed{{seed}}' for `adam-seed3`; the first name here is `{}`",
                table.rows.first().map_or("", |row| &row.cells[0])
            ))),
            (None, _) if has("arm") => Ok("arm"),
            (None, _) => Err(table.fault(format!(
                "--arm COL: say which column names what is compared; the columns are {}",
                listed(table.header.iter().map(String::as_str))
            ))),
        }
    }

    /// The column of the scores.
    fn metric_of<'a>(&'a self, table: &'a Table) -> Result<&'a str, ResultsError> {
        if let Some(name) = &self.metric {
            return Ok(name);
        }
        let first = |place: &usize| {
            table
                .rows
                .first()
                .is_some_and(|row| number(&row.cells[*place]).is_ok())
        };
        let places = (0..table.header.len()).filter(first);
        let names: Vec<&str> = places.map(|place| table.header[place].as_str()).collect();
        Err(table.fault(format!(
            "--metric COL: say which column holds the scores; columns of numbers are {}",
            listed(names)
        )))
    }

    /// The better direction of a column.
    pub(super) fn goal_of(&self, table: &Table, metric: &str) -> Result<Goal, ResultsError> {
        let told = table.goals.get(metric).copied();
        self.goal.or(told).or_else(|| direction(metric)).ok_or_else(|| {
            table.fault(format!(
                "the name `{metric}` does not tell which direction is better; add --lower or --higher"
            ))
        })
    }

    /// The rows that count, and a remark on those that do not.
    pub(super) fn rows<'a>(&self, table: &'a Table) -> Result<Kept<'a>, ResultsError> {
        let mut kept = Kept {
            rows: table.rows.iter().collect(),
            remarks: Vec::new(),
        };
        let names = |column: &str| self.filters.iter().any(|f| f.column == column);
        if table.layout == Layout::Ablation && !names("tuning") {
            // runs of a tuning decide nothing
            kept.filter(table, &Filter::empty("tuning"))?;
        }
        for filter in &self.filters {
            kept.filter(table, filter)?;
        }
        if table.layout == Layout::RunTable && !names("State") {
            check_states(table, &kept)?;
        }
        Ok(kept)
    }
}

/// The rows that count.
pub(super) struct Kept<'a> {
    pub(super) rows: Vec<&'a Row>,
    pub(super) remarks: Vec<String>,
}

impl Kept<'_> {
    /// Leaves out the rows that have another value.
    fn filter(&mut self, table: &Table, filter: &Filter) -> Result<(), ResultsError> {
        let Filter { column, value } = filter;
        let place = table.column("--where", column)?;
        let before = self.rows.len();
        self.rows.retain(|row| filter.holds(&row.cells[place]));
        if self.rows.is_empty() {
            return Err(table.fault(format!(
                "--where {column}={value}: no row has it{}",
                values_of(table, place)
            )));
        }
        let left_out = before - self.rows.len();
        if left_out > 0 {
            let value = if value.is_empty() { "nothing" } else { value };
            self.remarks.push(format!(
                "left out: {left_out} of {before} rows, whose `{column}` is not {value}."
            ));
        }
        Ok(())
    }
}

fn values_of(table: &Table, place: usize) -> String {
    let mut values: Vec<&str> = table.rows.iter().map(|row| &row.cells[place]).collect();
    values.sort_unstable();
    values.dedup();
    format!("; its values are {}", listed(values))
}

/// Refuses runs of W&B that have not ended well: their numbers are not those of a whole run.
fn check_states(table: &Table, kept: &Kept<'_>) -> Result<(), ResultsError> {
    let Some(place) = table.header.iter().position(|name| name == "State") else {
        return Ok(());
    };
    let unfinished = |row: &&&Row| row.cells[place].to_lowercase() != "finished";
    match kept.rows.iter().find(unfinished) {
        None => Ok(()),
        Some(row) => Err(table.fault_at(
            row,
            format!(
                "the run `{}` is `{}`, so its numbers are not those of a whole run; leave such runs out with --where \
                 State=finished, which the table then says",
                &row.cells[0], &row.cells[place]
            ),
        )),
    }
}
