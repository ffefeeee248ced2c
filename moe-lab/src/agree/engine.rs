//! Engines that compute the same model.

use burn::tensor::Device;
use moe_models::WeightType;

/// A way to compute a model: a device, the type of the weights, and how many windows at a time.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its name in tables.
    pub name: String,
    /// The device.
    pub device: Device,
    /// The type of the matrices that tokens are multiplied by.
    pub weights: WeightType,
    /// The windows, images or pairs that are computed at a time.
    pub batch: usize,
}

/// The most by which rounding moves a token's scores, as a share of its largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding(pub f64);

impl Rounding {
    /// Sums in f32 in another order. Half a unit in the last place is 6e-8; what layers add up is far below 1e-4.
    pub const F32: Self = Self(1e-4);

    /// Weights rounded to 8 bits of mantissa: half a unit is 2e-3.
    pub const BF16: Self = Self(5e-2);

    /// Weights and rows in blocks of 8 bits: half a step of the largest of a block, 1/254 of it.
    pub const Q8: Self = Self(5e-2);

    /// Weights in blocks of 4 bits: half a step is 1/16 of the largest of a block.
    pub const Q4: Self = Self(0.5);

    /// Rounding between two engines: that of the coarser one.
    pub fn between(left: &Engine, right: &Engine) -> Self {
        let of = |engine: &Engine| match engine.weights {
            WeightType::F32 => Self::F32,
            WeightType::Bf16 => Self::BF16,
            WeightType::Q8 => Self::Q8,
            WeightType::Q4 => Self::Q4,
        };
        Self(of(left).0.max(of(right).0))
    }
}
