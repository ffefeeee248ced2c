//! The lines of a chart as W&B exports them: a column of steps, and three for each run.
//!
//! ```text
//! "Step","<run> - <metric>","<run> - <metric>__MIN","<run> - <metric>__MAX", ...
//! ```
//!
//! A run's score is its value at its last step. MIN and MAX differ from it where the point is a mean, over several steps or
//! over a group of runs, and a mean of runs has no seeds.

use super::error::ResultsError;
use super::number::number;
use super::table::{Layout, Place, Row, Table};
use csv::StringRecord;
use std::collections::BTreeMap;

/// The first column of the table that a chart becomes; each metric has two behind it, its last step and its value there.
pub(super) const NAME: &str = "Name";

/// Between the name of a run and that of a metric.
const BETWEEN: &str = " - ";

/// The column of the last steps of a metric: a run may log it at other steps than another.
pub(super) fn step_of(metric: &str) -> String {
    format!("Step of {metric}")
}

/// A row for each run of a chart; any other table as it is.
pub(super) fn melted(table: Table) -> Result<Table, ResultsError> {
    if table.layout != Layout::Rows {
        return Ok(table);
    }
    let lines = lines(&table.header);
    if lines.is_empty() {
        return Ok(table);
    }
    let mut metrics: Vec<&str> = lines.iter().map(|line| line.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let runs = runs(&lines);
    let mut rows = Vec::new();
    for run in runs {
        let mut cells = vec![run.to_owned()];
        cells.resize(1 + 2 * metrics.len(), String::new());
        for line in lines.iter().filter(|line| line.run == run) {
            let Some(last) = last(&table, line)? else {
                continue;
            };
            let metric = metrics.iter().position(|metric| *metric == line.metric);
            let place = 1 + 2 * metric.unwrap_or(0);
            cells[place] = last.step;
            cells[place + 1] = last.value;
        }
        rows.push(Row {
            place: Place::Column(run.to_owned()),
            cells: StringRecord::from(cells),
        });
    }
    let columns = |metric: &str| [step_of(metric), metric.to_owned()];
    let header = std::iter::once(NAME.to_owned()).chain(metrics.into_iter().flat_map(columns));
    Ok(Table {
        layout: Layout::Chart,
        header: header.collect(),
        rows,
        name: table.name.clone(),
        goals: BTreeMap::new(),
        own: None,
    })
}

/// The runs in the order of their columns.
fn runs(lines: &[Line]) -> Vec<&str> {
    let mut runs: Vec<&str> = Vec::new();
    for line in lines {
        if !runs.contains(&line.run.as_str()) {
            runs.push(&line.run);
        }
    }
    runs
}

/// A line of the chart with the places of its columns.
struct Line {
    run: String,
    metric: String,
    /// The value, the least and the most.
    places: [usize; 3],
}

fn lines(header: &[String]) -> Vec<Line> {
    let place = |name: &str| header.iter().position(|other| other == name);
    let line = |(i, name): (usize, &String)| {
        let (run, metric) = name.rsplit_once(BETWEEN)?;
        let [least, most] = ["__MIN", "__MAX"].map(|end| place(&format!("{name}{end}")));
        Some(Line {
            run: run.trim().to_owned(),
            metric: metric.trim().to_owned(),
            places: [i, least?, most?],
        })
    };
    header.iter().enumerate().skip(1).filter_map(line).collect()
}

/// The last point of a line.
struct Point {
    step: String,
    value: String,
}

fn last(table: &Table, line: &Line) -> Result<Option<Point>, ResultsError> {
    let [value, least, most] = line.places;
    let mut last: Option<(f64, &Row)> = None;
    for row in &table.rows {
        if row.cells[value].is_empty() {
            continue;
        }
        let step = number(&row.cells[0])
            .and_then(|step| {
                let what = || format!("`{}` is no step", &row.cells[0]);
                Some(step).filter(|step| !step.is_nan()).ok_or_else(what)
            })
            .map_err(|what| table.fault_at(row, format!("{}: {what}", table.header[0])))?;
        match last {
            Some((latest, _)) if step == latest => {
                let what = format!(
                    "the step {} stands there for the second time",
                    &row.cells[0]
                );
                return Err(table.fault_at(row, what));
            }
            Some((latest, _)) if step < latest => (),
            _ => last = Some((step, row)),
        }
    }
    let Some((_, row)) = last else {
        return Ok(None);
    };
    if row.cells[least] != row.cells[value] || row.cells[most] != row.cells[value] {
        let what = format!(
            "the last point of `{}` is a mean, for its MIN and MAX differ: export single runs, not groups, and without \
             smoothing or averaging, or the table of runs",
            table.header[value]
        );
        return Err(table.fault_at(row, what));
    }
    Ok(Some(Point {
        step: row.cells[0].to_owned(),
        value: row.cells[value].to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::results::{Names, Question};

    /// A chart of two runs; `b` ends earlier.
    fn chart(last: &str) -> String {
        let run = |run: &str| {
            ["", "__MIN", "__MAX"]
                .map(|end| format!("\"{run} - val/loss{end}\""))
                .join(",")
        };
        format!(
            "\"Step\",{},{}\n2,1.5,1.5,1.5,,,\n1,2,2,2,3,3,{last}\n",
            run("a - s0"),
            run("b")
        )
    }

    #[test]
    fn a_run_has_its_last_value() {
        let table = Table::parse("a.csv", chart("3").as_bytes()).unwrap();
        assert_eq!(
            (table.layout, table.header.join("|")),
            (Layout::Chart, "Name|Step of val/loss|val/loss".into())
        );
        let cells: Vec<Vec<&str>> = table
            .rows
            .iter()
            .map(|row| row.cells.iter().collect())
            .collect();
        assert_eq!(cells, [["a - s0", "2", "1.5"], ["b", "1", "3"]]);
    }

    #[test]
    fn each_metric_has_its_own_last_step() {
        // a logs both metrics at the step 100 and the second alone at 200; b both at 100
        let columns = |name: &str| {
            ["", "__MIN", "__MAX"]
                .map(|end| format!("{name}{end}"))
                .join(",")
        };
        let header = ["a - acc", "a - loss", "b - acc", "b - loss"]
            .map(columns)
            .join(",");
        let text = format!("Step,{header}\n100,1,1,1,2,2,2,3,3,3,4,4,4\n200,,,,5,5,5,,,,,,\n");
        let table = Table::parse("a.csv", text.as_bytes()).unwrap();
        assert_eq!(
            table.header,
            ["Name", "Step of acc", "acc", "Step of loss", "loss"]
        );
        let cells: Vec<Vec<&str>> = table
            .rows
            .iter()
            .map(|row| row.cells.iter().collect())
            .collect();
        assert_eq!(
            cells,
            [["a", "100", "1", "200", "5"], ["b", "100", "3", "100", "4"]]
        );
        let costs = |metric: &str| {
            let question = Question {
                metric: Some(metric.into()),
                names: Some(Names::parse("{arm}-{seed}").unwrap()),
                ..Question::default()
            };
            question.columns(&table).unwrap().costs
        };
        assert_eq!((costs("acc"), costs("loss")), (vec![1], vec![3]));
    }

    #[test]
    fn a_step_must_be_a_number() {
        let text = chart("3").replace("\n1,", "\nNaN,");
        let error = Table::parse("a.csv", text.as_bytes())
            .unwrap_err()
            .to_string();
        assert_eq!(error, "a.csv, line 3: Step: `NaN` is no step");
    }

    #[test]
    fn a_mean_of_runs_is_refused() {
        let error = Table::parse("a.csv", chart("4").as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 3: the last point of `b - val/loss` is a mean"),
            "{error}"
        );
    }
}
