//! The section on experts that compute the same tokens.

use super::super::html::{Column, Html, Table};
use super::super::level::Level;
use super::badge::badge;
use moe_lab::analyze::{Companions, LayerAnalysis};

/// Tables of more experts than this are behind a line that opens them.
const MANY: usize = 16;

/// Experts that compute the same tokens.
pub fn companions(layer: &LayerAnalysis) -> Html {
    let Some(found) = &layer.companions else {
        let text = "No two experts compute the same token by choice here, so none are companions.";
        return Html::paragraph("note", text);
    };
    let table = table(found);
    if found.share.len() > MANY {
        Html::details("Which experts compute the same tokens", table)
    } else {
        table
    }
}

fn table(found: &Companions) -> Html {
    let mut table = Table::new(
        "Of the tokens of the expert at the left, how many the one above computes too, %; colour: over what it would be if companions were drawn by their loads",
    )
    .column(Column::Name, "expert");
    for expert in 0..found.share.len() {
        table = table.column(Column::Number, &format!("e{expert}"));
    }
    for (a, (shares, lifts)) in found.share.iter().zip(&found.lift).enumerate() {
        let cell = |(b, (share, lift)): (usize, (&f64, &f64))| {
            if a == b {
                Html::text("–")
            } else {
                Level::of(*lift).cell(&format!("{:.1}", 100.0 * share))
            }
        };
        let cells = shares.iter().zip(lifts).enumerate().map(cell);
        table.row([badge(a)].into_iter().chain(cells));
    }
    table.finish()
}
