//! The tables of an analysis.

use super::communication::communication_text;
use super::information::information_text;
use super::{Align, columns, counted, evaluated_with, layer_table, significant, thousands};
use moe_lab::analyze::{
    Analysis, AtCapacity, ImageAnalysis, LayerAnalysis, TextAnalysis, TextLayer,
};
use moe_train::run::LayerMetrics;

/// So many tokens or classes of an expert are printed; the page has more.
const MOST: usize = 6;

/// The takings of each layer's experts, as text.
pub fn analysis_text(analysis: &Analysis) -> String {
    let mut parts = match analysis {
        Analysis::Text(text) => of_text(text),
        Analysis::Images(images) => of_images(images),
    };
    parts.extend(analysis.communication().map(communication_text));
    parts.join("\n\n")
}

fn of_text(analysis: &TextAnalysis) -> Vec<String> {
    let evaluated = evaluated_with(&analysis.evaluated_with);
    let head = format!("{}{evaluated}", read_tokens(analysis));
    let layers = analysis.layers.iter().map(|found| &found.layer);
    let mut parts = vec![head, loads(layers), information_text(analysis)];
    parts.extend(analysis.layers.iter().map(tokens));
    parts
}

fn of_images(analysis: &ImageAnalysis) -> Vec<String> {
    let head = seen_images(analysis);
    let layers = || analysis.layers.iter().map(|found| &found.layer);
    let mut parts = vec![head, loads(layers())];
    parts.extend(layers().map(|layer| classes(layer, &analysis.classes)));
    if !analysis.capacities.is_empty() {
        parts.push(capacities(analysis));
    }
    parts
}

/// The tokens that an analysis of text read.
pub(crate) fn read_tokens(analysis: &TextAnalysis) -> String {
    format!(
        "{}, step {}: {} tokens of {} of the {} part",
        analysis.folder.display(),
        analysis.step,
        thousands(analysis.n_tokens),
        counted(analysis.n_units, analysis.unit),
        analysis.split,
    )
}

/// The images that an analysis saw, and how many of them were named right.
pub(crate) fn seen_images(analysis: &ImageAnalysis) -> String {
    format!(
        "{}, step {}: {} of the {} part, {} % named right{}",
        analysis.folder.display(),
        analysis.step,
        counted(analysis.n_images, "image"),
        analysis.split,
        significant(100.0 * analysis.accuracy, 4),
        evaluated_with(&analysis.evaluated_with),
    )
}

fn loads<'a>(layers: impl Iterator<Item = &'a LayerAnalysis>) -> String {
    let metrics: Vec<LayerMetrics> = layers.map(|layer| layer.routing.clone()).collect();
    layer_table(&metrics)
}

/// A layer's name, and how much its experts tell of the domain.
fn heading(layer: &LayerAnalysis, what: &str) -> String {
    let found = &layer.domains.information;
    format!(
        "{}: the expert tells {} bits of the {what}, of {} at most ({} by chance are taken off)",
        layer.name,
        significant(found.bits, 3),
        significant(found.entropy, 3),
        significant(found.by_chance, 2),
    )
}

fn tokens(found: &TextLayer) -> String {
    let words = found.tokens.iter().map(|tokens| {
        let token =
            |t: &moe_lab::analyze::TokenLift| format!("`{}` ×{}", t.text, significant(t.lift, 2));
        tokens.iter().take(MOST).map(token).collect()
    });
    experts(
        &found.layer,
        heading(&found.layer, "domain"),
        "tokens ×lift",
        words,
    )
}

fn classes(layer: &LayerAnalysis, names: &[String]) -> String {
    let words = layer.domains.share.iter().map(|row| {
        let lift = |(i, share): (usize, &f64)| (i, share / layer.domains.base[i]);
        let mut lifts: Vec<(usize, f64)> = row.iter().enumerate().map(lift).collect();
        lifts.retain(|(_, lift)| *lift > 1.0);
        lifts.sort_by(|a, b| b.1.total_cmp(&a.1));
        let class = |(i, lift): &(usize, f64)| format!("{} ×{}", names[*i], significant(*lift, 2));
        lifts.iter().take(MOST).map(class).collect()
    });
    experts(layer, heading(layer, "class"), "classes ×lift", words)
}

/// A row an expert, with its most telling words.
fn experts(
    layer: &LayerAnalysis,
    heading: String,
    column: &str,
    words: impl Iterator<Item = Vec<String>>,
) -> String {
    let header = ["expert", "computed", column].map(String::from).to_vec();
    let row = |((i, words), computed): ((usize, Vec<String>), &f64)| {
        let computed = thousands(computed.round() as u64);
        vec![format!("e{i}"), computed, words.join("  ")]
    };
    let rows = words.enumerate().zip(&layer.computed).map(row);
    let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    let align = [Align::Left, Align::Right, Align::Left];
    format!("{heading}\n{}", columns(&rows, &align))
}

fn capacities(analysis: &ImageAnalysis) -> String {
    let mut header = vec!["capacity".to_owned(), "accuracy (%)".to_owned()];
    let places = 0..analysis.layers.len();
    header.extend(places.map(|i| format!("layer {i}: without expert (%)")));
    let percent = |share: f64| significant(100.0 * share, 3);
    let row = |at: &AtCapacity| {
        let own = if at.is_own { " (own)" } else { "" };
        let mut row = vec![format!("{}{own}", at.capacity), percent(at.accuracy)];
        row.extend(at.layers.iter().map(|layer| percent(layer.without_expert)));
        row
    };
    let rows = analysis.capacities.iter().map(row);
    let mut align = vec![Align::Left];
    align.resize(header.len(), Align::Right);
    let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    columns(&rows, &align)
}
