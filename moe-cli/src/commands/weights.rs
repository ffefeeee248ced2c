//! Types that matrices are held in.

use crate::exit::Usage;
use crate::shared::Shared;
use burn::tensor::Device;
use clap::ValueEnum;
use moe_models::{AnyDecoder, WeightType, held_in_f32};

/// The type that a model's matrices are held in, as the command line has it.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Weights {
    /// 32 bits
    #[default]
    F32,
    /// Half the memory; sums stay in 32 bits
    Bf16,
    /// About a quarter: blocks of 32 weights of 8 bits with a scale; on the device `flex`
    Q8,
    /// About an eighth: blocks of 32 weights of 4 bits with a scale; on the device `flex`
    Q4,
}

impl Weights {
    /// Says which matrices are no whole blocks and so in f32.
    pub fn note(self, decoder: &AnyDecoder, shared: &Shared) {
        if let Self::Q8 | Self::Q4 = self {
            let wide = held_in_f32(decoder);
            if let Some(first) = wide.first() {
                shared.note(&format!(
                    "matrices with a number of inputs that 32 does not divide are held in f32: {} of them, {first} the first",
                    wide.len()
                ));
            }
        }
    }

    /// Refuses a type that the device does not hold.
    pub fn check(self, device: &Device) -> anyhow::Result<()> {
        let weights = WeightType::from(self);
        if weights.is_held_on(device) {
            return Ok(());
        }
        Err(Usage::error(format!(
            "--weights {weights}: only the device `flex` holds weights in blocks; add --device flex, or take f32 or bf16"
        )))
    }
}

impl From<Weights> for WeightType {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::F32 => Self::F32,
            Weights::Bf16 => Self::Bf16,
            Weights::Q8 => Self::Q8,
            Weights::Q4 => Self::Q4,
        }
    }
}
