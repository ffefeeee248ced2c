//! Blocks of weights as they lie in memory: those of 16 columns side by side.

use burn::tensor::f16;
use bytemuck::{Pod, Zeroable};

/// The weights of a block, which share a scale.
pub const BLOCK: usize = 32;
/// The columns of a tile, one a lane of a vector of 32-bit numbers.
pub(crate) const LANES: usize = 16;
/// The weights of a column that one lane takes at once, a byte each.
pub(crate) const GROUP: usize = 4;
/// The groups of a block.
pub(crate) const GROUPS: usize = BLOCK / GROUP;

/// Four weights of each of 16 columns.
pub(crate) type Group = [u8; LANES * GROUP];

/// The weights of some columns, `[LANES, BLOCK]`.
pub(crate) type Columns = [[f32; BLOCK]; LANES];

// no other crate is to name it: the vector instructions rely on the limits of its bytes
#[allow(unnameable_types)]
mod sealed {
    use super::{Columns, Group, LANES};

    /// What products and their tests read of a tile.
    pub trait Sealed {
        /// What is subtracted from a byte.
        const ZERO: u8;
        /// The scales of the columns, in f16.
        fn scales(&self) -> &[u16; LANES];
        /// The bytes of a group, none above `ZERO + 127`.
        fn group(&self, g: usize) -> Group;
        /// The nearest weights that a tile holds.
        fn round(columns: &Columns) -> Self;
    }
}
pub(crate) use sealed::Sealed;

/// A block of each of 16 columns.
pub trait Tile: Sealed + Pod + Send + Sync {}

/// 16 blocks of 32 weights of 8 bits.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q8Tile {
    /// Weights plus 128, as the vector product wants one factor without a sign.
    groups: [Group; GROUPS],
    scales: [u16; LANES],
}

/// 16 blocks of 32 weights of 4 bits.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q4Tile {
    /// Group `g` in the lower halves of bytes, group `g + 4` in the upper ones.
    groups: [Group; GROUPS / 2],
    scales: [u16; LANES],
}

impl Tile for Q8Tile {}
impl Tile for Q4Tile {}

impl Sealed for Q8Tile {
    const ZERO: u8 = 128;

    #[inline(always)]
    fn scales(&self) -> &[u16; LANES] {
        &self.scales
    }

    #[inline(always)]
    fn group(&self, g: usize) -> Group {
        self.groups[g]
    }

    /// As ggml's `quantize_row_q8_0`: `d = max |w| / 127`.
    #[inline(always)]
    fn round(columns: &Columns) -> Self {
        let mut tile = Self::zeroed();
        for (lane, block) in columns.iter().enumerate() {
            let most = block.iter().fold(0f32, |most, w| most.max(w.abs()));
            let d = most / 127.0;
            tile.scales[lane] = f16::from_f32(d).to_bits();
            let inverse = inverse(d);
            for (i, w) in block.iter().enumerate() {
                let q = (w * inverse).round() as i8;
                tile.groups[i / GROUP][lane * GROUP + i % GROUP] = q as u8 ^ Self::ZERO;
            }
        }
        tile
    }
}

impl Sealed for Q4Tile {
    const ZERO: u8 = 8;

    #[inline(always)]
    fn scales(&self) -> &[u16; LANES] {
        &self.scales
    }

    #[inline(always)]
    fn group(&self, g: usize) -> Group {
        let shift = if g < GROUPS / 2 { 0 } else { 4 };
        self.groups[g % (GROUPS / 2)].map(|byte| byte >> shift & 15)
    }

    /// As ggml's `quantize_row_q4_0`: the largest weight becomes -8, whatever its sign.
    #[inline(always)]
    fn round(columns: &Columns) -> Self {
        let mut tile = Self::zeroed();
        for (lane, block) in columns.iter().enumerate() {
            let larger = |most: f32, &w: &f32| if w.abs() > most.abs() { w } else { most };
            let d = block.iter().fold(0.0, larger) / -8.0;
            tile.scales[lane] = f16::from_f32(d).to_bits();
            let inverse = inverse(d);
            for (i, w) in block.iter().enumerate() {
                let q = ((w * inverse + 8.5) as u8).min(15);
                let (g, at) = (i / GROUP, lane * GROUP + i % GROUP);
                let shift = if g < GROUPS / 2 { 0 } else { 4 };
                tile.groups[g % (GROUPS / 2)][at] |= q << shift;
            }
        }
        tile
    }
}

/// `1 / d`; zero for a block of zeros.
#[inline(always)]
pub(crate) fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The weight of a lane, the `i`-th of its block.
pub(crate) fn weight<T: Tile>(tile: &T, lane: usize, i: usize) -> f32 {
    let q = tile.group(i / GROUP)[lane * GROUP + i % GROUP];
    let scale = f16::from_bits(tile.scales()[lane]).to_f32();
    scale * f32::from(i16::from(q) - i16::from(T::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights -1, 0.5, 0.26 and then zeros, in every column.
    fn columns() -> Columns {
        let mut block = [0f32; BLOCK];
        block[..3].copy_from_slice(&[-1.0, 0.5, 0.26]);
        [block; LANES]
    }

    #[test]
    fn eight_bits_by_hand() {
        // d = 1 / 127, in f16 0.00787354 = 129 / 2^14; q = -127, 63.5 -> 64, 33.02 -> 33
        let tile = Q8Tile::round(&columns());
        let d = 129.0 / 16384.0;
        for (i, q) in [-127.0, 64.0, 33.0, 0.0].into_iter().enumerate() {
            assert_eq!(weight(&tile, 5, i), d * q);
        }
    }

    #[test]
    fn four_bits_by_hand() {
        // d = -1 / -8; q = -8 + 8.5 -> 0, 4 + 8.5 -> 12, 2.08 + 8.5 -> 10, 8: minus 8 that is -8, 4, 2, 0
        let tile = Q4Tile::round(&columns());
        for (i, w) in [-1.0, 0.5, 0.25, 0.0].into_iter().enumerate() {
            assert_eq!(weight(&tile, 15, i), w);
        }
        // the largest is positive: d = -1 / 8, so it is -8 of them, and -0.875 is the farthest on the other side
        let turned = columns().map(|block| block.map(|w| -w));
        let tile = Q4Tile::round(&turned);
        assert_eq!([0, 1, 2].map(|i| weight(&tile, 0, i)), [1.0, -0.5, -0.25]);
        let mut both = columns();
        both[0][9] = 1.0;
        assert_eq!(weight(&Q4Tile::round(&both), 0, 9), 0.875);
    }

    #[test]
    fn a_block_of_zeros_is_zero() {
        let zeros = [[0f32; BLOCK]; LANES];
        for i in 0..BLOCK {
            assert_eq!(weight(&Q8Tile::round(&zeros), i % LANES, i), 0.0);
            assert_eq!(weight(&Q4Tile::round(&zeros), i % LANES, i), 0.0);
        }
    }

    #[test]
    fn bytes_of_a_tile_are_those_of_its_blocks() {
        assert_eq!(size_of::<Q8Tile>(), LANES * crate::Format::Q8.block_bytes());
        assert_eq!(size_of::<Q4Tile>(), LANES * crate::Format::Q4.block_bytes());
    }
}
