use super::Merit;
use crate::data::{DataConfig, ImageConfig, ImageName, TextConfig, TextName};

/// What a model learns, which its family decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// To predict the next token of a text.
    Language,
    /// To name the class of an image.
    Images,
}

impl Task {
    /// The table `[data]` with its defaults.
    pub fn data(self) -> DataConfig {
        match self {
            Self::Language => DataConfig::Text(TextConfig::default()),
            Self::Images => DataConfig::Images(ImageConfig::default()),
        }
    }

    /// The names of the data that can be learned from.
    pub fn data_names(self) -> &'static [&'static str] {
        match self {
            Self::Language => TextName::NAMES,
            Self::Images => ImageName::NAMES,
        }
    }

    /// What held-out scores are.
    pub fn merit(self) -> Merit {
        match self {
            Self::Language => Merit::BitsPerByte,
            Self::Images => Merit::Accuracy,
        }
    }

    /// Whether later tokens must not influence earlier ones.
    pub fn is_causal(self) -> bool {
        match self {
            Self::Language => true,
            Self::Images => false,
        }
    }
}
