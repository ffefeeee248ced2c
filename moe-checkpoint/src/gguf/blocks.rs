//! Types of GGUF tensors: numbers, and blocks of small integers with scales (`ggml-common.h` of ggml).
//!
//! A block holds neighbours of one row. Its bytes are decoded by the arithmetic of ggml's own reference, so
//! that values are equal to the bit.

use burn::tensor::{bf16, f16};

/// The number of values of a block with one scale.
pub const BLOCK: usize = 32;

/// The number of values of a block with scales of scales, the K types.
pub const SUPER_BLOCK: usize = 256;

/// A type of values that is decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockType {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 16 bits, with the range of f32.
    Bf16,
    /// 4 bits around 0, and a scale: 18 bytes of 32 values.
    Q4_0,
    /// 4 bits, a scale and a smallest value: 20 bytes of 32 values.
    Q4_1,
    /// 8 bits, and a scale: 34 bytes of 32 values.
    Q8_0,
    /// 4 bits, 8 scales and smallest values of 6 bits: 144 bytes of 256 values.
    Q4K,
    /// 6 bits, 16 scales of 8 bits: 210 bytes of 256 values.
    Q6K,
}

impl BlockType {
    /// All types.
    pub const ALL: [Self; 8] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q6K,
    ];

    /// The type of a number in a file (`enum ggml_type`).
    pub fn of_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Q6K => 14,
            Self::Bf16 => 30,
        }
    }

    /// The name in ggml.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q8_0 => "Q8_0",
            Self::Q4K => "Q4_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// The number of values of a block; 1 of numbers.
    pub fn n_values(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q8_0 => BLOCK,
            Self::Q4K | Self::Q6K => SUPER_BLOCK,
        }
    }

    /// The number of bytes of a block.
    pub fn n_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q6K => 210,
        }
    }

    /// Decodes whole blocks.
    ///
    /// # Panics
    ///
    /// Panics if `bytes` are not whole blocks of as many values as `out` has.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        assert!(
            bytes.len().is_multiple_of(self.n_bytes())
                && bytes.len() / self.n_bytes() * self.n_values() == out.len(),
            "{} bytes of {} are not {} values",
            bytes.len(),
            self.name(),
            out.len()
        );
        match self {
            Self::F32 => each(bytes, out, |word, [x]: &mut [f32; 1]| {
                *x = f32::from_le_bytes(*word);
            }),
            Self::F16 => each(bytes, out, |pair, [x]: &mut [f32; 1]| {
                *x = f16::from_le_bytes(*pair).to_f32();
            }),
            Self::Bf16 => each(bytes, out, |pair, [x]: &mut [f32; 1]| {
                *x = bf16::from_le_bytes(*pair).to_f32();
            }),
            Self::Q4_0 => each(bytes, out, decode_q4_0),
            Self::Q4_1 => each(bytes, out, decode_q4_1),
            Self::Q8_0 => each(bytes, out, decode_q8_0),
            Self::Q4K => each(bytes, out, decode_q4_k),
            Self::Q6K => each(bytes, out, decode_q6_k),
        }
    }
}

/// Decodes block by block.
fn each<const B: usize, const V: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; B], &mut [f32; V]),
) {
    let blocks = bytes.as_chunks().0.iter();
    for (block, values) in blocks.zip(out.as_chunks_mut().0) {
        decode(block, values);
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Decodes a block of Q4_0: the scale, then 16 bytes whose low halves are the first 16 values.
pub fn decode_q4_0(block: &[u8; 18], out: &mut [f32; BLOCK]) {
    let scale = half(block, 0);
    for (i, byte) in block[2..].iter().enumerate() {
        out[i] = scale * (f32::from(byte & 15) - 8.0);
        out[i + BLOCK / 2] = scale * (f32::from(byte >> 4) - 8.0);
    }
}

/// Decodes a block of Q4_1: the scale, the smallest value, then 16 bytes as in Q4_0.
pub fn decode_q4_1(block: &[u8; 20], out: &mut [f32; BLOCK]) {
    let (scale, smallest) = (half(block, 0), half(block, 2));
    for (i, byte) in block[4..].iter().enumerate() {
        out[i] = scale * f32::from(byte & 15) + smallest;
        out[i + BLOCK / 2] = scale * f32::from(byte >> 4) + smallest;
    }
}

/// Decodes a block of Q8_0: the scale, then 32 signed bytes.
pub fn decode_q8_0(block: &[u8; 34], out: &mut [f32; BLOCK]) {
    let scale = half(block, 0);
    for (x, byte) in out.iter_mut().zip(&block[2..]) {
        *x = f32::from(byte.cast_signed()) * scale;
    }
}

/// Decodes a block of Q4_K: the scales of scales and of smallest values, 12 bytes of eight of either, then four
/// times 32 bytes, whose low halves are 32 values and whose high halves the next 32.
pub fn decode_q4_k(block: &[u8; 144], out: &mut [f32; SUPER_BLOCK]) {
    let (scale, smallest) = (half(block, 0), half(block, 2));
    let packed = &block[4..16];
    for (i, values) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let [d, m] = scale_and_smallest(packed, i);
        let (d, m) = (scale * f32::from(d), smallest * f32::from(m));
        let bytes = &block[16 + i / 2 * BLOCK..][..BLOCK];
        for (x, byte) in values.iter_mut().zip(bytes) {
            *x = d * f32::from(byte >> (4 * (i % 2)) & 15) - m;
        }
    }
}

/// The i-th of eight pairs of 6 bits in 12 bytes. The first four lie in the low bits of the bytes i and i + 4; of
/// the others the low four bits are in byte i + 4, and the high two on top of the first four.
fn scale_and_smallest(packed: &[u8], i: usize) -> [u8; 2] {
    if i < 4 {
        return [packed[i] & 63, packed[i + 4] & 63];
    }
    let (low, scale_top, smallest_top) = (packed[i + 4], packed[i - 4] >> 6, packed[i] >> 6);
    [low & 15 | scale_top << 4, low >> 4 | smallest_top << 4]
}

/// Decodes a block of Q6_K: 128 bytes with the low four bits, 64 with the high two, 16 signed scales, and the
/// scale of them. Each half of the values has its own 64 and 32 bytes.
pub fn decode_q6_k(block: &[u8; 210], out: &mut [f32; SUPER_BLOCK]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half(block, 208);
    for (i, x) in out.iter_mut().enumerate() {
        let (part, within) = (i / 128, i % 128);
        let (quarter, column) = (within / 32, within % 32);
        let low = low[part * 64 + within % 64] >> (4 * (quarter / 2)) & 15;
        let high = high[part * 32 + column] >> (2 * quarter) & 3;
        let d = scale * f32::from(scales[i / 16].cast_signed());
        *x = d * (f32::from(low | high << 4) - 32.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_bytes(x: f32) -> [u8; 2] {
        f16::from_f32(x).to_le_bytes()
    }

    #[test]
    fn blocks_of_one_scale() {
        let mut out = [0.0; BLOCK];
        let mut q4_0 = [0x88; 18]; // zeros
        q4_0[..2].copy_from_slice(&half_bytes(0.5));
        q4_0[2] = 0x1F;
        decode_q4_0(&q4_0, &mut out);
        assert_eq!((out[0], out[16], out[1]), (3.5, -3.5, 0.0)); // 0.5 (15 - 8), 0.5 (1 - 8)
        let mut q4_1 = [0; 20];
        q4_1[..2].copy_from_slice(&half_bytes(0.5));
        q4_1[2..4].copy_from_slice(&half_bytes(-1.0));
        q4_1[19] = 0xA3;
        decode_q4_1(&q4_1, &mut out);
        assert_eq!((out[15], out[31], out[0]), (0.5, 4.0, -1.0)); // 1.5 - 1, 5 - 1, 0 - 1
        let mut q8_0 = [0; 34];
        q8_0[..2].copy_from_slice(&half_bytes(0.25));
        q8_0[33] = 0x80;
        decode_q8_0(&q8_0, &mut out);
        assert_eq!((out[31], out[0]), (-32.0, 0.0)); // 0.25 times -128
    }

    #[test]
    fn blocks_of_scales_of_scales() {
        let mut out = [0.0; SUPER_BLOCK];
        let mut q4_k = [0; 144];
        q4_k[..2].copy_from_slice(&half_bytes(0.5));
        q4_k[2..4].copy_from_slice(&half_bytes(0.25));
        q4_k[4] = 0xC0 | 3; // scale 0 is 3; the high bits of scale 4 are 3
        q4_k[8] = 0x40 | 2; // smallest 0 is 2; the high bits of smallest 4 are 1
        q4_k[12] = 0x51; // the low bits of scale 4 are 1, those of smallest 4 are 5
        q4_k[16] = 0x0F; // value 0
        q4_k[80] = 0x02; // value 128, the first of the fifth 32
        decode_q4_k(&q4_k, &mut out);
        assert_eq!(out[0], 22.0); // 0.5 3 15 - 0.25 2
        assert_eq!(out[128], 43.75); // 0.5 (1 + 3 16) 2 - 0.25 (5 + 1 16)
        let mut q6_k = [0; 210];
        q6_k[208..].copy_from_slice(&half_bytes(0.5));
        q6_k[192..208].fill(0xFE); // all scales are -2
        q6_k[64] = 0x70; // low bits of value 128 + 64
        q6_k[128 + 32] = 0x20; // high bits of it
        decode_q6_k(&q6_k, &mut out);
        assert_eq!(out[192], -7.0); // -1 (7 + 2 16 - 32)
        assert_eq!(out[0], 32.0); // -1 (0 - 32)
    }

    #[test]
    #[should_panic(expected = "17 bytes of Q4_0 are not 32 values")]
    fn half_a_block_is_none() {
        BlockType::Q4_0.decode(&[0; 17], &mut [0.0; 32]);
    }
}
