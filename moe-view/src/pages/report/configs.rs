//! The section on configurations and their differences.

use super::super::html::{Column, Html, Table};
use moe_lab::report::{Difference, Report};

/// The keys that differ, and each configuration as a whole.
pub fn configs(report: &Report) -> Html {
    let whole: Html = report
        .questions
        .iter()
        .map(|question| {
            let toml = Html::text(&question.config.to_toml());
            Html::details(
                &format!("All keys of {}", question.label),
                Html::element("pre", "tabindex=\"0\"", toml).line(),
            )
        })
        .collect();
    differences(report).then(whole)
}

fn differences(report: &Report) -> Html {
    if report.differences.is_empty() {
        let text = "All runs have one configuration and differ in their seed alone.";
        return Html::paragraph("", text);
    }
    let mut table =
        Table::new("Keys in which the arms differ; – where an arm does not have the key")
            .column(Column::Name, "key");
    for question in &report.questions {
        table = table.column(Column::Number, &question.short);
    }
    for Difference { key, values } in &report.differences {
        let values = values
            .iter()
            .map(|value| Html::text(value.as_deref().unwrap_or("–")));
        let key = Html::element("code", "", Html::text(key));
        table.row([key].into_iter().chain(values));
    }
    table.finish()
}
