//! Rows of activations in blocks of 8 bits.

use crate::kernel;
use crate::tile::{BLOCK, GROUP, GROUPS, inverse};

/// Rows of activations, each block of 32 rounded to 8 bits: `x = s p` with `s = max |x| / 127`.
#[derive(Clone, Debug)]
pub struct Rows {
    /// `[n_rows, n_blocks]`.
    blocks: Vec<Block>,
    n_blocks: usize,
}

/// A block of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    /// Four numbers each, the first in the lowest byte.
    pub groups: [i32; GROUPS],
    pub scale: f32,
    /// The sum of all numbers.
    pub sum: i32,
}

impl Rows {
    /// Rounds rows `[n_rows, d_in]`.
    ///
    /// # Panics
    ///
    /// Panics if `d_in` is no multiple of 32, or if the rows are not whole.
    pub fn new(x: &[f32], d_in: usize) -> Self {
        assert!(
            d_in > 0 && d_in.is_multiple_of(BLOCK) && x.len().is_multiple_of(d_in),
            "{} numbers are no rows of {d_in}, or {d_in} is no multiple of {BLOCK}",
            x.len()
        );
        let (blocks, _) = x.as_chunks();
        Self {
            blocks: kernel::round(blocks),
            n_blocks: d_in / BLOCK,
        }
    }

    /// The number of rows.
    pub fn n_rows(&self) -> usize {
        self.blocks.len() / self.n_blocks
    }

    /// The width of the rows.
    pub fn d_in(&self) -> usize {
        self.n_blocks * BLOCK
    }

    pub(crate) fn blocks(&self, rows: std::ops::Range<usize>) -> &[Block] {
        &self.blocks[rows.start * self.n_blocks..rows.end * self.n_blocks]
    }
}

impl Block {
    #[inline(always)]
    pub(crate) fn round(x: &[f32; BLOCK]) -> Self {
        // 1.5 2^23: the sum is rounded to whole numbers, ties to even, which stand in its lowest bits
        const WHOLE: f32 = 12_582_912.0;
        // the bits of what is not negative rise with it, up to infinity and on to what is no number
        let most = x.iter().fold(0, |most, x| most.max(x.abs().to_bits()));
        let scale = f32::from_bits(most) / 127.0;
        let inverse = inverse(scale);
        let numbers = x.map(|x| (x * inverse + WHOLE).to_bits() as i8);
        let sum = numbers.iter().map(|&p| i32::from(p)).sum();
        let (quads, _) = numbers.as_chunks::<GROUP>();
        let mut groups = [0; GROUPS];
        for (group, quad) in groups.iter_mut().zip(quads) {
            *group = i32::from_le_bytes(quad.map(|p| p as u8));
        }
        Self { groups, scale, sum }
    }

    /// The number at `i`, as rounded.
    #[cfg(test)]
    pub(crate) fn value(&self, i: usize) -> f32 {
        let byte = self.groups[i / GROUP].to_le_bytes()[i % GROUP];
        self.scale * f32::from(byte as i8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_by_hand() {
        // the largest is 2.54, so the scale is 0.02: 2.54 is 127, -1 is -50, 0.029 is 1.45 -> 1
        let mut x = [0f32; BLOCK];
        x[..3].copy_from_slice(&[2.54, -1.0, 0.029]);
        let block = Block::round(&x);
        assert_eq!(block.sum, 127 - 50 + 1);
        assert_eq!(block.groups[0].to_le_bytes(), [127, 206, 1, 0]);
        assert!((block.value(1) + 1.0).abs() < 1e-6);
        assert_eq!(block.groups[1..], [0; GROUPS - 1]);
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [1f32; BLOCK];
            x[7] = bad;
            assert!(!Block::round(&x).scale.is_finite());
        }
        let zeros = Block::round(&[0.0; BLOCK]);
        assert_eq!((zeros.scale, zeros.sum), (0.0, 0));
    }

    #[test]
    #[should_panic(expected = "no multiple of 32")]
    fn widths_are_whole_blocks() {
        Rows::new(&[0.0; 40], 40);
    }
}
