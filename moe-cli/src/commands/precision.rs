//! Precisions that a cache is counted in.

use clap::ValueEnum;

/// The precision that a cache is counted in.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits
    F32,
    /// 16 bits
    Bf16,
    /// 16 bits
    F16,
    /// 8 bits
    Fp8,
    /// 8 bits
    Int8,
    /// 6 bits
    Int6,
    /// 4 bits
    Int4,
}

impl Precision {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
            Self::Int6 => "int6",
            Self::Int4 => "int4",
        }
    }

    /// The bytes that numbers take.
    pub fn bytes(self, n_elements: usize) -> f64 {
        let bits = match self {
            Self::F32 => 32,
            Self::Bf16 | Self::F16 => 16,
            Self::Fp8 | Self::Int8 => 8,
            Self::Int6 => 6,
            Self::Int4 => 4,
        };
        (n_elements * bits) as f64 / 8.0
    }
}
