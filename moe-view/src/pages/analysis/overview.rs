//! The section on all layers: a table, and their loads.

use super::super::heat::legend;
use super::super::html::{Column, Html, Table};
use super::super::level::Level;
use super::badge::badge;
use crate::significant;
use moe_lab::analyze::LayerAnalysis;

/// A row a layer, and the load of every expert in every layer; `what` is a domain or a class.
pub fn overview(layers: &[&LayerAnalysis], what: &str) -> Html {
    table(layers, what)
        .then(notes(layers, what))
        .then(loads(layers))
}

fn table(layers: &[&LayerAnalysis], what: &str) -> Html {
    let mut table = Table::new("Each layer with experts")
        .column(Column::Name, "layer")
        .column(Column::Number, "load entropy")
        .column(Column::Number, "MaxVio")
        .column(Column::Number, "dropped (%)")
        .column(Column::Number, "dead experts")
        .column(Column::Number, "token entropy")
        .column(Column::Number, "experts a token")
        .column(Column::Number, &format!("{what} (bits)"))
        .column(Column::Number, "by chance (bits)")
        .column(Column::Number, "at most (bits)");
    for layer in layers {
        let (routing, told) = (&layer.routing, &layer.domains.information);
        let number = |x: f64| significant(x, 3);
        let texts = [
            layer.name.clone(),
            number(routing.load_entropy),
            number(routing.max_vio),
            number(100.0 * routing.drop_rate),
            routing.dead_experts.to_string(),
            number(routing.entropy),
            routing.experts_per_token.map_or("slots".to_owned(), number),
            number(told.bits),
            number(told.by_chance),
            number(told.entropy),
        ];
        table.row(texts.iter().map(|text| Html::text(text)));
    }
    table.finish()
}

fn notes(layers: &[&LayerAnalysis], what: &str) -> Html {
    let mut notes = vec![
        "load entropy: of the experts' shares of the load, over that of an even one; 1 is perfect balance. MaxVio: largest load over mean load, minus 1. token entropy: of a token's distribution over experts, over that of the uniform one; 0 is a router that is certain.".to_owned(),
        format!("{what}: how many bits the expert of a token tells about the token's {what} (mutual information). by chance: about what experts that ignore it would show in so many tokens; taken off. at most: the entropy of it."),
    ];
    if let Some(layer) = layers.iter().find(|layer| layer.n_free > 0) {
        let n_experts = layer.computed.len();
        let first = n_experts - layer.n_free;
        notes.push(format!(
            "The experts from e{first} on have no network: a token passes them for nothing."
        ));
    }
    Html::list("notes", &notes)
}

fn loads(layers: &[&LayerAnalysis]) -> Html {
    let mut table = Table::new("Share of each expert in what a layer's experts were asked for, %; colour: over an even one")
        .column(Column::Name, "expert");
    for layer in layers {
        table = table.column(Column::Number, &layer.name);
    }
    let n_experts = layers.iter().map(|layer| layer.computed.len()).max();
    for expert in 0..n_experts.unwrap_or(0) {
        let cell = |layer: &&LayerAnalysis| {
            let share = &layer.routing.load_share;
            match share.get(expert) {
                Some(x) => Level::of(x * share.len() as f64).cell(&format!("{:.1}", 100.0 * x)),
                None => Html::text("–"),
            }
        };
        table.row([badge(expert)].into_iter().chain(layers.iter().map(cell)));
    }
    table
        .finish()
        .then(legend("Colours of a share over another:"))
}
