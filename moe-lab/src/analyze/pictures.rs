//! A few images, with the experts of their patches.

use super::PatchGrid;
use super::pixels::Pixels;
use super::takes::Take;
use moe_router::{Plan, Routing};
use serde::Serialize;

/// At most so many images are shown.
pub const MOST_PICTURES: usize = 10;

/// An image and who takes its patches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    /// The image's place in its part of the data.
    pub image: usize,
    /// Its class.
    pub class: String,
    /// The class that the model takes it for.
    pub answer: String,
    /// The experts that take its patches, by layer.
    pub layers: Vec<PatchPlan>,
    /// The picture itself.
    #[serde(skip)]
    pub pixels: Pixels,
}

/// The experts that take the patches of an image in a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchPlan {
    /// The experts that compute each patch, `[P]`; none of a patch that all dropped.
    Experts(Vec<Vec<usize>>),
    /// The share of each patch that each expert reads, `[E][P]`: the dispatch weight, mean over the expert's
    /// slots, over an even one.
    Dispatch(Vec<Vec<f64>>),
}

impl PatchPlan {
    /// The plans of the images of a batch.
    pub(super) fn of(routing: &Routing, takes: &[Take], grid: &PatchGrid) -> Vec<Self> {
        let n_images = routing.n_tokens() / grid.n_tokens();
        let empty = match routing.plan {
            Plan::Sparse(_) => Self::Experts(vec![Vec::new(); grid.n_patches()]),
            Plan::Soft(_) => Self::Dispatch(vec![vec![0.0; grid.n_patches()]; routing.n_experts()]),
        };
        let mut plans = vec![empty; n_images];
        for take in takes {
            let Some(place) = grid.place(take.token) else {
                continue;
            };
            match &mut plans[place.image] {
                Self::Experts(experts) => experts[place.patch].push(take.expert),
                Self::Dispatch(weights) => weights[take.expert][place.patch] = take.score,
            }
        }
        plans
    }

    /// The patches that no expert computes.
    pub fn dropped(&self) -> Vec<usize> {
        match self {
            Self::Experts(experts) => (0..experts.len())
                .filter(|&patch| experts[patch].is_empty())
                .collect(),
            Self::Dispatch(_) => Vec::new(),
        }
    }
}

/// The images to show: the first of each class, by class.
pub(super) fn chosen(labels: &[u16]) -> Vec<usize> {
    let is_first = |&i: &usize| !labels[..i].contains(&labels[i]);
    let mut chosen: Vec<usize> = (0..labels.len()).filter(is_first).collect();
    chosen.truncate(MOST_PICTURES);
    chosen.sort_by_key(|&i| labels[i]);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_class() {
        assert_eq!(chosen(&[2, 2, 0, 1, 0]), [2, 3, 0]);
        let many: Vec<u16> = (0..20).collect();
        assert_eq!(chosen(&many).len(), MOST_PICTURES);
    }

    #[test]
    fn dropped_patches_have_no_expert() {
        let plan = PatchPlan::Experts(vec![vec![1], vec![], vec![0, 1], vec![]]);
        assert_eq!(plan.dropped(), [1, 3]);
        assert!(PatchPlan::Dispatch(vec![vec![0.0; 4]]).dropped().is_empty());
    }
}
