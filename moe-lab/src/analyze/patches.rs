//! The grid of patches.

use moe_models::vmoe::{Pooling, VmoeConfig};
use serde::Serialize;

/// The cut of images into patches, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PatchGrid {
    /// The rows of patches.
    pub rows: usize,
    /// The columns of patches.
    pub columns: usize,
    /// The side of a patch in pixels.
    pub side: usize,
    /// True if a class token stands before the patches of an image.
    pub has_class_token: bool,
}

/// A patch of an image of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The image's place in the batch.
    pub(super) image: usize,
    /// The patch of the image.
    pub(super) patch: usize,
}

impl PatchGrid {
    pub(super) fn of(config: &VmoeConfig) -> Self {
        let [rows, columns] = config.grid();
        Self {
            rows,
            columns,
            side: config.patch_size[0],
            has_class_token: config.pooling == Pooling::ClassToken,
        }
    }

    /// The number of patches of an image.
    pub fn n_patches(&self) -> usize {
        self.rows * self.columns
    }

    /// The number of tokens of an image.
    pub(super) fn n_tokens(&self) -> usize {
        self.n_patches() + usize::from(self.has_class_token)
    }

    /// The patch that a token of a batch is; none for a class token.
    pub(super) fn place(&self, token: usize) -> Option<Place> {
        let (image, token) = (token / self.n_tokens(), token % self.n_tokens());
        let patch = token.checked_sub(usize::from(self.has_class_token))?;
        Some(Place { image, patch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_tokens_are_no_patches() {
        let mut grid = PatchGrid {
            rows: 2,
            columns: 3,
            side: 4,
            has_class_token: true,
        };
        assert_eq!(grid.place(7), None);
        let last = Place { image: 1, patch: 5 };
        assert_eq!(grid.place(13), Some(last));
        grid.has_class_token = false;
        assert_eq!(grid.place(11), Some(last));
    }
}
