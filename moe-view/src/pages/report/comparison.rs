//! The paired comparison of a report: its table and its figure.

use super::super::html::{Column, Html, Table};
use crate::ablation::{AblationTable, FigureConfig, figure};
use moe_lab::ablate::AblationReport;
use moe_lab::report::Report;

/// The paired table with its figure, or why there is none.
pub fn comparison(report: &Report) -> Html {
    let notes = Html::list("", &report.paired.notes);
    match &report.paired.table {
        None => Html::paragraph("", "No paired comparison:").then(notes),
        Some(table) => {
            let notes = if report.paired.notes.is_empty() {
                Html::default()
            } else {
                notes
            };
            let figure = figure(table, &FigureConfig::default());
            let text = AblationTable(table);
            let footnotes: Vec<String> = text.notes().into_iter().chain(text.reasons()).collect();
            paired(table)
                .then(notes)
                .then(at_full_width("Score and balance of each seed", &figure))
                .then(further(table))
                .then(Html::list("notes", &footnotes))
        }
    }
}

/// The columns that decide.
fn paired(report: &AblationReport) -> Html {
    let seeds: Vec<String> = report.seeds.iter().map(u64::to_string).collect();
    let caption = format!(
        "Each arm against {}, seed by seed; seeds {}; {} is {}",
        report.baseline,
        seeds.join(", "),
        report.merit.quantity(),
        report.metric
    );
    let rows = AblationTable(report).main_rows();
    let last = rows[0].len() - 1;
    table(&caption, &rows, |i| {
        if i == last {
            Column::Name
        } else {
            Column::Number
        }
    })
}

/// The table of what else was measured, if arms differ in it.
fn further(report: &AblationReport) -> Html {
    let rows = AblationTable(report).further_rows();
    if rows[0].len() < 2 {
        return Html::default();
    }
    table("Balance and speed of each arm", &rows, |_| Column::Number)
}

fn table(caption: &str, rows: &[Vec<String>], column: impl Fn(usize) -> Column) -> Html {
    let (head, rows) = rows.split_first().expect("a table has a header");
    let mut table = Table::new(caption);
    for (i, name) in head.iter().enumerate() {
        let column = if i == 0 { Column::Name } else { column(i) };
        table = table.column(column, name);
    }
    for row in rows {
        table.row(row.iter().map(|cell| Html::text(cell)));
    }
    table.finish()
}

/// A figure as wide as the page, at least in its own size and at most half as large again.
fn at_full_width(label: &str, svg: &str) -> Html {
    let width = svg.split(" width=\"").nth(1);
    let width = width.and_then(|rest| rest.split('"').next());
    let attributes = format!(
        "class=\"scroll wide\" style=\"--width:{}px\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"",
        width.unwrap_or("0")
    );
    Html::element("div", &attributes, Html::raw(svg)).line()
}
