//! The paired comparison of a report: its table and its figure.

use super::super::html::{Column, Html, Table};
use crate::ablation::{FigureConfig, figure, notes as footnotes, rows};
use moe_lab::ablate::AblationReport;
use moe_lab::report::Report;

/// The paired table with its figure, or why there is none.
pub fn comparison(report: &Report) -> Html {
    let notes = Html::list("", &report.paired.notes);
    match &report.paired.table {
        None => Html::paragraph("", "No paired comparison:").then(notes),
        Some(table) => {
            let notes = match report.paired.notes.is_empty() {
                true => Html::default(),
                false => notes,
            };
            paired(table)
                .then(notes)
                .then(scrolling(
                    "Score and balance of each seed",
                    &figure(table, &FigureConfig::default()),
                ))
                .then(Html::list("notes", &footnotes(table)))
        }
    }
}

fn paired(report: &AblationReport) -> Html {
    let rows = rows(report);
    let (head, rows) = rows.split_first().expect("a table has a header");
    let seeds: Vec<String> = report.seeds.iter().map(u64::to_string).collect();
    let mut table = Table::new(&format!(
        "Each arm against {}, seed by seed; seeds {}; {} is {}",
        report.baseline,
        seeds.join(", "),
        report.merit.quantity(),
        report.metric
    ));
    // what decides comes next to the name: at the end it would be out of sight on a phone
    let verdict_second = |row: &[String]| {
        let mut row = row.to_vec();
        row[1..].rotate_right(1);
        row
    };
    for (i, name) in verdict_second(head).iter().enumerate() {
        let column = match i {
            0 => Column::Name,
            1 => Column::Words,
            _ => Column::Number,
        };
        table = table.column(column, name);
    }
    for row in rows {
        table.row(verdict_second(row).iter().map(|cell| Html::text(cell)));
    }
    table.finish()
}

fn scrolling(label: &str, svg: &str) -> Html {
    let attributes =
        format!("class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"");
    Html::element("div", &attributes, Html::raw(svg)).line()
}
