//! The tasks and their metrics.

use super::Merit;
use crate::data::{DataConfig, ImageConfig, ImageName, PairConfig, PairName, TextConfig, TextName};

/// Tasks of models; the family decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Prediction of the next token of a text.
    Text,
    /// Classification of an image.
    Images,
    /// Generation of a text from another.
    Pairs,
}

impl Task {
    /// The table `[data]` with its defaults.
    pub fn data(self) -> DataConfig {
        match self {
            Self::Text => DataConfig::Text(TextConfig::default()),
            Self::Images => DataConfig::Images(ImageConfig::default()),
            Self::Pairs => DataConfig::Pairs(PairConfig::default()),
        }
    }

    /// The names of the data that can be learned from.
    pub fn data_names(self) -> &'static [&'static str] {
        match self {
            Self::Text => TextName::NAMES,
            Self::Images => ImageName::NAMES,
            Self::Pairs => PairName::NAMES,
        }
    }

    /// Merit of held-out scores.
    pub fn merit(self) -> Merit {
        match self {
            Self::Text => Merit::BitsPerByte,
            Self::Images => Merit::Accuracy,
            Self::Pairs => Merit::TargetLoss,
        }
    }

    /// Returns `true` if later tokens must not influence earlier ones.
    pub fn is_causal(self) -> bool {
        match self {
            Self::Text | Self::Pairs => true,
            Self::Images => false,
        }
    }
}
