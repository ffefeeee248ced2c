//! The page of a trace.

use super::super::heat::legend;
use super::super::html::{Column, Html, Table};
use super::super::level::Level;
use super::super::page::Page;
use super::badge::badge;
use super::communication::communication;
use super::domains::domain_table;
use super::tokens::tokens;
use crate::generation::expert_styles;
use crate::trace::{
    CHAIN_COLUMNS, CHAIN_NOTE, LAYER_COLUMNS, LAYER_NOTE, chain_cells, head, layer_cells,
};
use moe_lab::trace::{ShownLayer, TraceShow};

/// The page of what experts do in a trace.
pub fn trace_page(shown: &TraceShow) -> String {
    let mut page = Page::new("What the experts take: a trace")
        .style(&expert_styles(shown.n_experts))
        .head(Html::paragraph("lead", &format!("{}.", head(shown))))
        .section("layers", "All layers", layers(shown));
    for (i, layer) in shown.layers.iter().enumerate() {
        if let Some(body) = takings(shown, layer) {
            page = page.section(&format!("layer-{i}"), &format!("Layer {i}"), body);
        }
    }
    if !shown.chains.is_empty() {
        page = page.section("chains", "From layer to layer", chains(shown));
    }
    if let Some(found) = &shown.communication {
        page = page.section("ranks", "Experts on ranks", communication(found));
    }
    page.finish()
}

/// A row a layer, and the load of every expert in every layer.
fn layers(shown: &TraceShow) -> Html {
    let mut table = Table::new("Each layer with a router").column(Column::Name, LAYER_COLUMNS[0]);
    for name in &LAYER_COLUMNS[1..] {
        table = table.column(Column::Number, name);
    }
    for (i, layer) in shown.layers.iter().enumerate() {
        table.row(layer_cells(i, layer).iter().map(|cell| Html::text(cell)));
    }
    let notes = Html::list("notes", &[LAYER_NOTE.to_owned()]);
    table.finish().then(notes).then(loads(shown))
}

fn loads(shown: &TraceShow) -> Html {
    let caption =
        "Share of each expert in what a layer's experts computed, %; colour: over an even one";
    let mut table = Table::new(caption).column(Column::Name, "expert");
    for i in 0..shown.layers.len() {
        table = table.column(Column::Number, &format!("layer {i}"));
    }
    let sums: Vec<f64> = (shown.layers.iter())
        .map(|layer| layer.computed.iter().sum::<f64>().max(1.0))
        .collect();
    for expert in 0..shown.n_experts {
        let layers = shown.layers.iter().zip(&sums);
        let shares = layers.map(|(layer, sum)| layer.computed[expert] / sum);
        let cell = |share: f64| {
            Level::of(share * shown.n_experts as f64).cell(&format!("{:.1}", 100.0 * share))
        };
        table.row([badge(expert)].into_iter().chain(shares.map(cell)));
    }
    table
        .finish()
        .then(legend("Colours of a share over another:"))
}

/// The tokens and labels of each expert; nothing of a trace that has neither.
fn takings(shown: &TraceShow, layer: &ShownLayer) -> Option<Html> {
    let of_tokens = (!layer.tokens.is_empty()).then(|| tokens(&layer.computed, &layer.tokens));
    let labels = layer.labels.as_ref();
    let of_labels = labels.map(|found| domain_table(found, &shown.labels, "label"));
    match (of_tokens, of_labels) {
        (Some(tokens), Some(labels)) => Some(tokens.then(labels)),
        (tokens, labels) => tokens.or(labels),
    }
}

fn chains(shown: &TraceShow) -> Html {
    let mut table = Table::new("A token's first expert, and that in the next layer");
    for (i, name) in CHAIN_COLUMNS.into_iter().enumerate() {
        let column = match i {
            0 => Column::Name,
            3 => Column::Words,
            _ => Column::Number,
        };
        table = table.column(column, name);
    }
    for found in &shown.chains {
        table.row(chain_cells(found).iter().map(|cell| Html::text(cell)));
    }
    table
        .finish()
        .then(Html::list("notes", &[CHAIN_NOTE.to_owned()]))
}
