//! Counts of a layer over images.

use super::layer::LayerCounts;
use super::reading::{Reading, Seen};
use super::takes::Take;
use super::top::{BestPatches, Ranked};
use super::visits::visits;
use super::{LayerAnalysis, PatchGrid, TopPatch};
use moe_router::{Plan, Routing};
use serde::Serialize;

/// Counts of a layer's experts, of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageLayer {
    /// Loads, classes and companions, the class token's among them.
    #[serde(flatten)]
    pub layer: LayerAnalysis,
    /// True if experts read mixtures of patches.
    pub is_soft: bool,
    /// Where in the image the expert's patches are: the share of its input at each patch over an even
    /// share, `[E][P]`; zeros for an expert that takes nothing.
    pub positions: Vec<Vec<f64>>,
    /// The patches that each expert scores highest of those that it takes, one an image: `[E]`.
    pub patches: Vec<Vec<TopPatch>>,
}

/// Counts of a layer over batches of images.
pub(super) struct PatchCounts {
    layer: LayerCounts,
    is_soft: bool,
    /// `[E][P]`.
    shares: Vec<Vec<f64>>,
    best: BestPatches,
}

impl PatchCounts {
    pub(super) fn like(routing: &Routing, reading: &Reading<'_>) -> Self {
        let n_experts = routing.n_experts();
        Self {
            layer: LayerCounts::like(routing, reading.data.class_names().len()),
            is_soft: matches!(routing.plan, Plan::Soft(_)),
            shares: vec![vec![0.0; reading.grid.n_patches()]; n_experts],
            best: BestPatches::new(n_experts),
        }
    }

    pub(super) fn add(
        &mut self,
        routing: &Routing,
        takes: &[Take],
        seen: &Seen<'_>,
        grid: &PatchGrid,
    ) {
        let classes_t = seen.classes_t(grid);
        self.layer.add(routing, &visits(routing), &classes_t);
        self.best.add(takes, grid, seen.places);
        for take in takes.iter().filter(|take| classes_t[take.token].is_some()) {
            if let Some(place) = grid.place(take.token) {
                self.shares[take.expert][place.patch] += take.share;
            }
        }
    }

    pub(super) fn finish(self, name: String, reading: &Reading<'_>) -> ImageLayer {
        let over_even = |row: Vec<f64>| {
            let even = row.iter().sum::<f64>() / row.len() as f64;
            let ratio = |share| if even > 0.0 { share / even } else { 0.0 };
            row.into_iter().map(ratio).collect()
        };
        let cut = |ranked: &Ranked| {
            let class = reading.class_of(ranked.image);
            ranked.cut(&reading.pixels(ranked.image), &class, &reading.grid)
        };
        let experts = self.best.finish();
        ImageLayer {
            layer: self.layer.finish(name),
            is_soft: self.is_soft,
            positions: self.shares.into_iter().map(over_even).collect(),
            patches: experts
                .iter()
                .map(|expert| expert.iter().map(cut).collect())
                .collect(),
        }
    }
}
