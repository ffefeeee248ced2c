//! The section on what would travel if the experts were spread over ranks.

use super::super::html::{Column, Html, Table};
use crate::communication::{RANKS, notes, rank_cells, row_cells, row_columns};
use moe_lab::analyze::Communication;

/// A row a number of ranks, and three rows with what would be sent.
pub fn communication(found: &Communication) -> Html {
    let notes = Html::list("notes", &notes(found));
    if found.worlds.is_empty() {
        return notes;
    }
    let mut ranks = Table::new("Experts in consecutive blocks on ranks");
    for name in RANKS {
        ranks = ranks.column(Column::Number, name);
    }
    let mut rows = Table::new("Rows a token that leave a rank");
    for (i, name) in row_columns(found).into_iter().enumerate() {
        let column = if i == 1 { Column::Name } else { Column::Number };
        rows = rows.column(column, name);
    }
    for world in &found.worlds {
        ranks.row(rank_cells(world).iter().map(|cell| Html::text(cell)));
        for cells in row_cells(world) {
            rows.row(cells.iter().map(|cell| Html::text(cell)));
        }
    }
    ranks.finish().then(rows.finish()).then(notes)
}
