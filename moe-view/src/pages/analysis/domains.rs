//! The section on domains or classes and their experts.

use super::super::html::{Column, Html, Table};
use super::super::level::Level;
use super::badge::badge;
use crate::significant;
use moe_lab::analyze::Domains;

/// The shares of domains, or classes, in what each expert computed.
pub fn domain_table(domains: &Domains, names: &[String], what: &str) -> Html {
    let mut table = Table::new(&format!(
        "Each {what} of what an expert computed, %; colour: over that of all experts. The expert tells {} bits of the {what}, of {} at most",
        significant(domains.information.bits, 3),
        significant(domains.information.entropy, 3)
    ))
    .column(Column::Name, "expert");
    for name in names {
        table = table.column(Column::Number, name);
    }
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    for (expert, row) in domains.share.iter().enumerate() {
        let cell = |(share, base): (&f64, &f64)| {
            Level::of(share / base.max(f64::MIN_POSITIVE)).cell(&percent(*share))
        };
        let cells = row.iter().zip(&domains.base).map(cell);
        table.row([badge(expert)].into_iter().chain(cells));
    }
    let base = domains.base.iter();
    let base = base.map(|share| Html::text(&percent(*share)));
    table.row([Html::text("all")].into_iter().chain(base));
    table.finish()
}
