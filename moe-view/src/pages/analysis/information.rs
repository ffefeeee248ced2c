//! The section on what experts tell about the class and the domain of tokens.

use super::super::html::{Column, Html, Table};
use crate::information::{COLUMNS, cells, notes};
use moe_lab::analyze::TextAnalysis;

/// A row a layer.
pub fn information(analysis: &TextAnalysis) -> Html {
    let mut table =
        Table::new("What the expert of a token tells about it").column(Column::Name, "layer");
    for name in COLUMNS {
        table = table.column(Column::Number, name);
    }
    for found in &analysis.layers {
        let name = found.layer.name.clone();
        let texts = [name].into_iter().chain(cells(found));
        table.row(texts.map(|text| Html::text(&text)));
    }
    table.finish().then(Html::list("notes", &notes()))
}
