//! The values of stored tensors as numbers.

use burn::tensor::{Element, ElementConversion, bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use std::sync::LazyLock;

/// The side of the blocks that share a scale in FP8 checkpoints, ragged at the edges.
pub(super) const BLOCK: usize = 128;

/// The value of each byte in the format e4m3: sign, 4 bits of exponent with bias 7, 3 bits of mantissa;
/// no infinities, all ones is not a number (Micikevicius et al. 2022, arXiv 2209.05433).
static E4M3: LazyLock<[f32; 256]> = LazyLock::new(|| std::array::from_fn(|byte| e4m3(byte as u8)));

/// The values of all FP8 bytes.
pub fn e4m3_table() -> [f32; 256] {
    *E4M3
}

fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let size = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 8.0 * 2f32.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if byte & 128 == 0 { size } else { -size }
}

/// The bytes of FP8 numbers that times the scales of their blocks are the values of a matrix, row by row;
/// none if there are no such numbers.
pub(super) fn to_e4m3(values: &[f32], cols: usize, scales: &[f32]) -> Option<Vec<u8>> {
    let width = cols.div_ceil(BLOCK);
    let byte = |(i, &value): (usize, &f32)| {
        let (row, col) = (i / cols, i % cols);
        byte_of(value, scales[row / BLOCK * width + col / BLOCK])
    };
    values.iter().enumerate().map(byte).collect()
}

/// The FP8 number that times `scale` is `value` to the bit.
fn byte_of(value: f32, scale: f32) -> Option<u8> {
    let wanted = (value / scale).abs();
    // the quotient may be rounded to either side of the number
    let next = E4M3[..127].partition_point(|&number| number < wanted);
    let sign = if value.is_sign_negative() == scale.is_sign_negative() {
        0
    } else {
        128
    };
    (next.saturating_sub(1)..=next.min(126))
        .map(|size| size as u8 | sign)
        .find(|&byte| (E4M3[usize::from(byte)] * scale).to_bits() == value.to_bits())
}

/// A matrix of stored numbers and how it is laid out; a vector is one column.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub(super) bytes: Vec<u8>,
    pub(super) dtype: Dtype,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// The multipliers of FP8 blocks.
    pub(super) scales: Option<Vec<f32>>,
}

/// Tells whether a weight can be of a type.
pub(super) fn is_weight(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F8_E4M3
    )
}

impl Matrix {
    /// The numbers of a tensor that is not in FP8, in one column.
    pub(super) fn of_numbers(info: &TensorInfo, bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            dtype: info.dtype,
            rows: info.shape.iter().product(),
            cols: 1,
            scales: None,
        }
    }

    /// The values in the order that they are stored in.
    pub(super) fn values(&self) -> Vec<f32> {
        let mut values = vec![0f32; self.rows * self.cols];
        self.write(&mut values, false);
        values
    }

    /// Writes the values to `out`, transposed or not.
    ///
    /// # Panics
    ///
    /// Panics on a type that is not a weight's, or FP8 without scales.
    pub(super) fn write<T: Element>(&self, out: &mut [T], transposed: bool) {
        let bytes = &self.bytes;
        let pair = |i: usize| [bytes[2 * i], bytes[2 * i + 1]];
        match self.dtype {
            Dtype::F32 => self.place(out, transposed, |i, _, _| word(bytes, i)),
            Dtype::F16 => self.place(out, transposed, |i, _, _| {
                f16::from_le_bytes(pair(i)).to_f32()
            }),
            Dtype::BF16 => {
                self.place(out, transposed, |i, _, _| {
                    bf16::from_le_bytes(pair(i)).to_f32()
                });
            }
            Dtype::F8_E4M3 => {
                let scales = self.scales.as_ref();
                let scales = scales.expect("FP8 weights were checked to have scales");
                let width = self.cols.div_ceil(BLOCK);
                let table = &*E4M3;
                self.place(out, transposed, |i, row, col| {
                    let block = row / BLOCK * width + col / BLOCK;
                    table[bytes[i] as usize] * scales[block]
                });
            }
            other => panic!("{other:?} is not the type of a weight"),
        }
    }

    /// The first number that is NaN or infinite, with its place; none if all are finite.
    pub(super) fn not_finite(&self) -> Option<(usize, f32)> {
        let pairs = || self.bytes.as_chunks::<2>().0;
        match self.dtype {
            Dtype::F32 => first(words(&self.bytes)),
            Dtype::F16 => first(
                pairs()
                    .iter()
                    .map(|pair| f16::from_le_bytes(*pair).to_f32()),
            ),
            Dtype::BF16 => first(
                pairs()
                    .iter()
                    .map(|pair| bf16::from_le_bytes(*pair).to_f32()),
            ),
            _ => first(self.bytes.iter().map(|byte| E4M3[usize::from(*byte)])),
        }
    }

    /// In square tiles, so that a transposition reads and writes whole cache lines.
    fn place<T: Element>(
        &self,
        out: &mut [T],
        transposed: bool,
        value: impl Fn(usize, usize, usize) -> f32,
    ) {
        const TILE: usize = 32;
        let (rows, cols) = (self.rows, self.cols);
        for top in (0..rows).step_by(TILE) {
            for left in (0..cols).step_by(TILE) {
                for row in top..rows.min(top + TILE) {
                    for col in left..cols.min(left + TILE) {
                        let i = row * cols + col;
                        let to = if transposed { col * rows + row } else { i };
                        out[to] = value(i, row, col).elem();
                    }
                }
            }
        }
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
}

fn first(mut values: impl Iterator<Item = f32>) -> Option<(usize, f32)> {
    let mut place = 0;
    let value = values.find(|value| {
        place += 1;
        !value.is_finite()
    })?;
    Some((place - 1, value))
}

fn word(bytes: &[u8], i: usize) -> f32 {
    let at = 4 * i;
    f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e4m3_decodes_its_landmarks() {
        let cases = [
            (0x00, 0.0),
            (0x01, 0.001953125), // 2^-9, the smallest
            (0x08, 0.015625),    // 2^-6, the smallest that is normal
            (0x38, 1.0),
            (0x39, 1.125),
            (0x7E, 448.0), // the largest
            (0xB8, -1.0),
        ];
        for (byte, value) in cases {
            assert_eq!(E4M3[byte], value, "{byte:#x}");
        }
        assert!(E4M3[0x7F].is_nan() && E4M3[0xFF].is_nan());
        assert!(E4M3[0x80] == 0.0 && E4M3[0x80].is_sign_negative());
    }

    #[test]
    fn every_fp8_number_is_found_again() {
        for scale in [1.0, 0.37, 3.1e-5, -2.7, 511.3] {
            for byte in (0..=255u8).filter(|byte| byte & 127 != 127) {
                let value = E4M3[usize::from(byte)] * scale;
                assert_eq!(byte_of(value, scale), Some(byte), "{byte:#x} of {scale}");
            }
        }
        assert_eq!(byte_of(1.01, 1.0), None);
        assert_eq!(byte_of(449.0, 1.0), None);
        assert_eq!(byte_of(f32::NAN, 1.0), None);
    }

    #[test]
    fn blocks_have_scales_of_their_own() {
        // 129 columns: the last has the second scale
        let mut values = vec![2.0f32; 129];
        values[128] = 6.0;
        let bytes = to_e4m3(&values, 129, &[2.0, 4.0]).expect("1 and 1.5");
        assert!(bytes[..128].iter().all(|&byte| byte == 0x38));
        assert_eq!(bytes[128], 0x3C);
    }

    #[test]
    fn a_matrix_is_transposed() {
        let values: Vec<u8> = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let matrix = Matrix {
            bytes: values,
            dtype: Dtype::F32,
            rows: 2,
            cols: 3,
            scales: None,
        };
        let mut out = [0f32; 6];
        matrix.write(&mut out, true);
        assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        matrix.write(&mut out, false);
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
