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

/// The columns of the table that a chart becomes, before those of its metrics.
pub(super) const NAME: &str = "Name";
pub(super) const STEP: &str = "Step";

/// Between the name of a run and that of a metric.
const BETWEEN: &str = " - ";

/// A row for each run of a chart; any other table as it is.
pub(super) fn melted(table: Table) -> Result<Table, ResultsError> {
    let lines = lines(&table.header);
    if lines.is_empty() || table.layout != Layout::Rows {
        return Ok(table);
    }
    let mut metrics: Vec<&str> = lines.iter().map(|line| line.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let runs = runs(&lines);
    let mut rows = Vec::new();
    for run in runs {
        let mut cells = vec![run.to_owned(), String::new()];
        cells.resize(2 + metrics.len(), String::new());
        for line in lines.iter().filter(|line| line.run == run) {
            let Some(last) = last(&table, line)? else {
                continue;
            };
            let metric = metrics.iter().position(|metric| *metric == line.metric);
            cells[2 + metric.unwrap_or(0)] = last.value;
            cells[1] = last.step;
        }
        rows.push(Row {
            place: Place::Column(run.to_owned()),
            cells: StringRecord::from(cells),
        });
    }
    let header = [NAME, STEP].into_iter().chain(metrics);
    Ok(Table {
        layout: Layout::Chart,
        header: header.map(str::to_owned).collect(),
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
            (table.layout, table.header.join(" ")),
            (Layout::Chart, "Name Step val/loss".into())
        );
        let cells: Vec<Vec<&str>> = table
            .rows
            .iter()
            .map(|row| row.cells.iter().collect())
            .collect();
        assert_eq!(cells, [["a - s0", "2", "1.5"], ["b", "1", "3"]]);
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
