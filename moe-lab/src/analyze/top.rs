//! The patches that an expert scores highest.

use super::PatchGrid;
use super::patches::Place;
use super::pixels::{Frame, Pixels};
use super::takes::Take;
use serde::Serialize;

/// At most so many patches of an expert are shown.
pub const MOST_PATCHES: usize = 8;
/// A patch is shown in an image of at most this side as a whole, and of a larger one with its neighbours.
const SMALL: usize = 32;

/// A patch that an expert scores high, with what is around it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopPatch {
    /// The image's place in its part of the data.
    pub image: usize,
    /// The image's class.
    pub class: String,
    /// The patch's row and column.
    pub at: [usize; 2],
    /// The expert's probability for it; of a soft plan its dispatch weight over an even one.
    pub score: f64,
    /// The patch in its image, or with its neighbours if that is large.
    #[serde(skip)]
    pub view: Pixels,
    /// Where the patch is in the view.
    #[serde(skip)]
    pub frame: Frame,
}

/// A patch before it is cut out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ranked {
    /// The image's place in its part of the data.
    pub(super) image: usize,
    pub(super) patch: usize,
    pub(super) score: f64,
}

/// The best patches of each expert, one an image.
#[derive(Debug)]
pub(super) struct BestPatches {
    /// `[E]`, the best first.
    experts: Vec<Vec<Ranked>>,
}

impl BestPatches {
    pub(super) fn new(n_experts: usize) -> Self {
        Self {
            experts: vec![Vec::new(); n_experts],
        }
    }

    /// Adds what was taken of a batch whose images have these places.
    pub(super) fn add(&mut self, takes: &[Take], grid: &PatchGrid, images: &[usize]) {
        let mut best: Vec<Option<Ranked>> = vec![None; self.experts.len() * images.len()];
        for take in takes {
            let Some(Place { image, patch }) = grid.place(take.token) else {
                continue;
            };
            let Some(&place) = images.get(image) else {
                continue;
            };
            let slot = &mut best[take.expert * images.len() + image];
            if slot.is_none_or(|other| take.score > other.score) {
                *slot = Some(Ranked {
                    image: place,
                    patch,
                    score: take.score,
                });
            }
        }
        for (expert, found) in self.experts.iter_mut().zip(best.chunks(images.len())) {
            expert.extend(found.iter().flatten());
            expert.sort_by(|a, b| b.score.total_cmp(&a.score));
            expert.truncate(MOST_PATCHES);
        }
    }

    pub(super) fn finish(self) -> Vec<Vec<Ranked>> {
        self.experts
    }
}

impl Ranked {
    /// The patch with what is around it, cut out of its image.
    pub(super) fn cut(&self, image: &Pixels, class: &str, grid: &PatchGrid) -> TopPatch {
        let at = [self.patch / grid.columns, self.patch % grid.columns];
        let view = if image.width <= SMALL {
            image.frame()
        } else {
            around(at, grid)
        };
        TopPatch {
            image: self.image,
            class: class.to_owned(),
            at,
            score: self.score,
            view: image.crop(&view),
            frame: Frame {
                x: at[1] * grid.side - view.x,
                y: at[0] * grid.side - view.y,
                width: grid.side,
                height: grid.side,
            },
        }
    }
}

/// A patch with its neighbours.
fn around(at: [usize; 2], grid: &PatchGrid) -> Frame {
    let first = at.map(|place| place.saturating_sub(1));
    let n_patches = |axis: usize, n: usize| (at[axis] + 2).min(n) - first[axis];
    Frame {
        x: first[1] * grid.side,
        y: first[0] * grid.side,
        width: n_patches(1, grid.columns) * grid.side,
        height: n_patches(0, grid.rows) * grid.side,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_train::data::images::ImageShape;

    const GRID: PatchGrid = PatchGrid {
        rows: 2,
        columns: 4,
        side: 2,
        has_class_token: false,
    };

    fn take(token: usize, score: f64) -> Take {
        Take {
            token,
            expert: 0,
            share: 1.0,
            score,
        }
    }

    #[test]
    fn one_patch_an_image_the_best_first() {
        let mut best = BestPatches::new(1);
        // the images 7 and 9 with 8 patches each; a third is there to fill the batch
        best.add(
            &[take(1, 0.2), take(3, 0.6), take(8, 0.9), take(16, 1.0)],
            &GRID,
            &[7, 9],
        );
        let found: Vec<(usize, usize)> = best.finish()[0]
            .iter()
            .map(|r| (r.image, r.patch))
            .collect();
        assert_eq!(found, [(9, 0), (7, 3)]);
    }

    #[test]
    fn a_large_image_is_cut_to_the_neighbours_that_there_are() {
        // row 1 and column 3, the last: columns 2 and 3 and rows 0 and 1 are there, of 2 pixels each
        let view = around([1, 3], &GRID);
        assert_eq!((view.x, view.y, view.width, view.height), (4, 0, 4, 4));
    }

    #[test]
    fn a_small_image_is_shown_whole() {
        let shape = ImageShape {
            side: 8,
            n_channels: 1,
            white: 255,
        };
        let image: Vec<u8> = (0..64).collect();
        let ranked = Ranked {
            image: 0,
            patch: 7,
            score: 1.0,
        };
        let top = ranked.cut(&Pixels::of(&image, &shape), "x", &GRID);
        assert_eq!((top.at, top.view.width, top.view.height), ([1, 3], 8, 8));
        assert_eq!((top.frame.x, top.frame.y), (6, 2));
    }
}
