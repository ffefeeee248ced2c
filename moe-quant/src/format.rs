//! The formats of blocks, and what cannot be held in them.

use burn::tensor::DType;
use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use std::fmt;
use thiserror::Error;

use crate::tile::BLOCK;

/// A format of blocks of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 8 bits a weight, ggml's `Q8_0`.
    Q8,
    /// 4 bits a weight, ggml's `Q4_0`.
    Q4,
}

/// A tensor that cannot be held in blocks.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum QuantizeError {
    /// The input axis, the last but one, does not consist of whole blocks.
    #[error("{0:?}: the last axis but one is no multiple of {BLOCK}")]
    Width(Vec<usize>),
    /// The tensor is not an f32 tensor of the CPU backend, or it is differentiated.
    #[error("only f32 weights on the device `flex` can be quantised, without gradients")]
    Tensor,
}

impl Format {
    /// The format of a tensor of this type; none if it is not held in blocks.
    pub fn of(dtype: DType) -> Option<Self> {
        [Self::Q8, Self::Q4]
            .into_iter()
            .find(|format| format.dtype() == dtype)
    }

    /// The type of tensors in this format.
    pub fn dtype(self) -> DType {
        let value = match self {
            Self::Q8 => QuantValue::Q8S,
            Self::Q4 => QuantValue::Q4F,
        };
        let scheme = QuantScheme::default().with_value(value);
        let scheme = scheme.with_store(QuantStore::PackedU32(1));
        DType::QFloat(scheme.per_block([BLOCK as u8, 1], ScaleDtype::F16))
    }

    /// The bytes of 32 weights, their scale included.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::Q8 => BLOCK + 2,
            Self::Q4 => BLOCK / 2 + 2,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}
