//! The page of experts and text.

use super::super::heat::legend;
use super::super::html::Html;
use super::super::page::Page;
use super::communication::communication;
use super::companions::companions;
use super::domains::domain_table;
use super::information::information;
use super::overview::overview;
use super::styles;
use super::tokens::tokens;
use crate::analysis::read_tokens;
use crate::evaluated_with;
use moe_lab::analyze::{LayerAnalysis, TextAnalysis};

/// The page of a run's experts and held-out text.
pub fn text_page(analysis: &TextAnalysis) -> String {
    let title = format!("What the experts take: {}, text", analysis.router);
    let layers: Vec<&LayerAnalysis> = analysis.layers.iter().map(|found| &found.layer).collect();
    let mut page = Page::new(&title)
        .style(&styles(layers.iter().copied()))
        .head(lead(analysis))
        .section("layers", "All layers", overview(&layers, "domain"))
        .section("information", "Class and domain", information(analysis));
    for (i, found) in analysis.layers.iter().enumerate() {
        let layer = &found.layer;
        let body = tokens(&layer.computed, &found.tokens)
            .then(domain_table(&found.classes, &analysis.classes, "class"))
            .then(domain_table(&layer.domains, &analysis.domains, "domain"))
            .then(companions(layer))
            .then(legend("Colours of a share over another:"));
        page = page.section(&format!("layer-{i}"), &layer.name, body);
    }
    if let Some(found) = &analysis.communication {
        page = page.section("ranks", "Experts on ranks", communication(found));
    }
    page.finish()
}

fn lead(analysis: &TextAnalysis) -> Html {
    let text = format!(
        "{}, each counted once{}.",
        read_tokens(analysis),
        evaluated_with(&analysis.evaluated_with),
    );
    Html::paragraph("lead", &text)
}
