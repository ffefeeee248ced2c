//! Bytes of a tensor to values, for the types that a trace may have.

use burn::tensor::{bf16, f16};
use safetensors::Dtype;

/// Types of whole numbers that a trace may hold.
pub(super) const WHOLE: [Dtype; 7] = [
    Dtype::U8,
    Dtype::I16,
    Dtype::U16,
    Dtype::I32,
    Dtype::U32,
    Dtype::I64,
    Dtype::I8,
];

/// Types of weights and logits.
pub(super) const REAL: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

/// Types of a mask.
pub(super) const MASK: [Dtype; 2] = [Dtype::BOOL, Dtype::U8];

/// Whole numbers; one that does not fit is the nearest that does, so that it is out of every range.
pub(super) fn whole(bytes: &[u8], dtype: Dtype) -> Vec<i32> {
    match dtype {
        Dtype::U8 => bytes.iter().map(|&x| x.into()).collect(),
        Dtype::I8 => bytes.iter().map(|&x| i32::from(x as i8)).collect(),
        Dtype::I16 => each(bytes, |x| i16::from_le_bytes(x).into()),
        Dtype::U16 => each(bytes, |x| u16::from_le_bytes(x).into()),
        Dtype::I32 => each(bytes, i32::from_le_bytes),
        Dtype::U32 => each(bytes, |x| clamped(u32::from_le_bytes(x).into())),
        Dtype::I64 => each(bytes, |x| clamped(i64::from_le_bytes(x))),
        _ => Vec::new(),
    }
}

/// Real numbers as f32.
pub(super) fn real(bytes: &[u8], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |x| f16::from_le_bytes(x).to_f32()),
        Dtype::BF16 => each(bytes, |x| bf16::from_le_bytes(x).to_f32()),
        _ => Vec::new(),
    }
}

fn clamped(x: i64) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

fn each<const N: usize, T>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (values, _) = bytes.as_chunks::<N>();
    values.iter().map(|value| of(*value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_every_type() {
        assert_eq!(whole(&[1, 255], Dtype::U8), [1, 255]);
        assert_eq!(whole(&[1, 255], Dtype::I8), [1, -1]);
        assert_eq!(whole(&[255, 255], Dtype::I16), [-1]);
        assert_eq!(whole(&[255, 255], Dtype::U16), [65_535]);
        assert_eq!(whole(&(-7i32).to_le_bytes(), Dtype::I32), [-7]);
        assert_eq!(whole(&u32::MAX.to_le_bytes(), Dtype::U32), [i32::MAX]);
        assert_eq!(whole(&i64::MIN.to_le_bytes(), Dtype::I64), [i32::MIN]);
    }

    #[test]
    fn real_numbers_of_every_type() {
        assert_eq!(real(&1.5f32.to_le_bytes(), Dtype::F32), [1.5]);
        assert_eq!(real(&f16::from_f32(1.5).to_le_bytes(), Dtype::F16), [1.5]);
        assert_eq!(
            real(&bf16::from_f32(-2.0).to_le_bytes(), Dtype::BF16),
            [-2.0]
        );
    }
}
