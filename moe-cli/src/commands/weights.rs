//! Types that matrices are held in.

use clap::ValueEnum;
use moe_models::WeightType;

/// The type that a model's matrices are held in, as the command line has it.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Weights {
    /// 32 bits
    #[default]
    F32,
    /// Half the memory; sums stay in 32 bits
    Bf16,
}

impl From<Weights> for WeightType {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::F32 => Self::F32,
            Weights::Bf16 => Self::Bf16,
        }
    }
}
