//! Augmentation of training images.

use super::ImageShape;
use moe_router::parts::uniform_below;

/// Changes of a training image that keep its class; what happens is a function of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augment {
    /// The largest move in pixels, each way. Default: 0
    pub shift: usize,
    /// Mirror half of the images, left to right. Default: no
    pub flip: bool,
}

impl Augment {
    /// The image, moved and mirrored; pixels that come from outside are black.
    pub fn apply(&self, image: &[u8], shape: &ImageShape, key: u64) -> Vec<u8> {
        let [down, right] = [0, 1].map(|axis| {
            uniform_below(2 * self.shift + 1, key, axis) as isize - self.shift as isize
        });
        let mirrored = self.flip && uniform_below(2, key, 2) == 1;
        let mut moved = vec![0; image.len()];
        for row in 0..shape.side {
            for column in 0..shape.side {
                let from = if mirrored {
                    shape.side - 1 - column
                } else {
                    column
                };
                let source = [
                    row.checked_add_signed(-down),
                    from.checked_add_signed(if mirrored { right } else { -right }),
                ];
                if let [Some(y), Some(x)] = source
                    && y < shape.side
                    && x < shape.side
                {
                    let (to, from) = (pixel(shape, row, column), pixel(shape, y, x));
                    moved[to].copy_from_slice(&image[from]);
                }
            }
        }
        moved
    }
}

/// The bytes of a pixel.
fn pixel(shape: &ImageShape, row: usize, column: usize) -> std::ops::Range<usize> {
    let start = (row * shape.side + column) * shape.n_channels;
    start..start + shape.n_channels
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SHAPE: ImageShape = ImageShape {
        side: 3,
        n_channels: 1,
        white: 9,
    };
    const IMAGE: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[test]
    fn nothing_asked_for_changes_nothing() {
        assert_eq!(Augment::default().apply(&IMAGE, &SHAPE, 7), IMAGE);
    }

    #[test]
    fn a_shift_of_one_gives_nine_images_with_black_borders() {
        let augment = Augment {
            shift: 1,
            flip: false,
        };
        let seen: BTreeSet<Vec<u8>> = (0..200).map(|k| augment.apply(&IMAGE, &SHAPE, k)).collect();
        assert_eq!(seen.len(), 9);
        // one down and one to the right, and two others
        for moved in [
            [0, 0, 0, 0, 1, 2, 0, 4, 5],
            [5, 6, 0, 8, 9, 0, 0, 0, 0],
            IMAGE,
        ] {
            assert!(seen.contains(&moved[..]), "{moved:?}");
        }
    }

    #[test]
    fn a_flip_mirrors_half_of_the_images() {
        let augment = Augment {
            shift: 0,
            flip: true,
        };
        let mirrored = [3, 2, 1, 6, 5, 4, 9, 8, 7];
        let n = (0..1000)
            .filter(|&k| augment.apply(&IMAGE, &SHAPE, k) == mirrored)
            .count();
        // binomial: 500 with a standard deviation of 16
        assert!((420..580).contains(&n), "{n}");
    }

    proptest! {
        #[test]
        fn the_same_key_gives_the_same_image(key: u64, shift in 0usize..3, flip: bool) {
            let augment = Augment { shift, flip };
            let once = augment.apply(&IMAGE, &SHAPE, key);
            prop_assert_eq!(&once, &augment.apply(&IMAGE, &SHAPE, key));
            // no pixel appears that was not there, and none twice
            let kept: Vec<u8> = once.into_iter().filter(|&x| x > 0).collect();
            let different: BTreeSet<u8> = kept.iter().copied().collect();
            prop_assert_eq!(different.len(), kept.len());
        }
    }
}
