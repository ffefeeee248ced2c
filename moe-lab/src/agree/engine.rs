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

    /// Rounding between two engines: that of the coarser one.
    pub fn between(left: &Engine, right: &Engine) -> Self {
        if [left, right].iter().any(|e| e.weights == WeightType::Bf16) {
            Self::BF16
        } else {
            Self::F32
        }
    }
}
