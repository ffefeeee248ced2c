//! The pages of `moe analyze` and `moe trace show`.

mod badge;
mod capacities;
mod communication;
mod companions;
mod domains;
mod heat_grid;
mod image_layer;
mod images;
mod information;
mod overview;
mod patches;
mod picture;
mod text;
mod tokens;
mod trace;

use crate::generation::expert_styles;
use images::images_page;
use moe_lab::analyze::{Analysis, LayerAnalysis};
use text::text_page;

pub use trace::trace_page;

/// The page of a run's experts and held-out data.
pub fn analysis_page(analysis: &Analysis) -> String {
    match analysis {
        Analysis::Text(text) => text_page(text),
        Analysis::Images(images) => images_page(images),
    }
}

/// The rules of the experts' colours.
fn styles<'a>(layers: impl Iterator<Item = &'a LayerAnalysis>) -> String {
    let n_experts = layers.map(|layer| layer.computed.len());
    expert_styles(n_experts.max().unwrap_or(0))
}
