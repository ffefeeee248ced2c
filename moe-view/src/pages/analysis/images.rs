//! The page of experts and images.

use super::super::html::Html;
use super::super::page::Page;
use super::capacities::capacities;
use super::communication::communication;
use super::image_layer::image_layer;
use super::overview::overview;
use super::picture::definitions;
use super::styles;
use crate::analysis::seen_images;
use moe_lab::analyze::{ImageAnalysis, LayerAnalysis};

/// The page of a run's experts and held-out images.
pub fn images_page(analysis: &ImageAnalysis) -> String {
    let title = format!("What the experts take: {}, images", analysis.router);
    let layers: Vec<&LayerAnalysis> = analysis.layers.iter().map(|found| &found.layer).collect();
    let mut page = Page::new(&title)
        .style(&styles(layers.iter().copied()))
        .head(lead(analysis))
        .head(definitions(&analysis.pictures))
        .section("layers", "All layers", overview(&layers, "class"));
    for (i, layer) in layers.iter().enumerate() {
        let body = image_layer(analysis, i);
        page = page.section(&format!("layer-{i}"), &layer.name, body);
    }
    page = page.section("capacity", "What is dropped", capacities(analysis));
    if let Some(found) = &analysis.communication {
        page = page.section("ranks", "Experts on ranks", communication(found));
    }
    page.finish()
}

fn lead(analysis: &ImageAnalysis) -> Html {
    let grid = &analysis.grid;
    let class_token = if grid.has_class_token {
        " A class token stands before the patches; it counts in the tables and is not drawn."
    } else {
        ""
    };
    let text = format!(
        "{}. Each image is {} × {} patches of {} × {} pixels.{class_token}",
        seen_images(analysis),
        grid.rows,
        grid.columns,
        grid.side,
        grid.side,
    );
    Html::paragraph("lead", &text)
}
