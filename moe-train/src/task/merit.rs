//! The metrics of held-out scores.

use serde::{Deserialize, Serialize};

/// The better direction of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Lower values are better, as for a loss.
    Lower,
    /// Higher values are better, as for an accuracy.
    Higher,
}

/// Metric of a held-out score: its name, its unit and its better direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merit {
    /// Bits that a byte of text costs.
    #[default]
    BitsPerByte,
    /// The share of right answers.
    Accuracy,
    /// Nats that a token of a target costs.
    TargetLoss,
}

impl Merit {
    /// Quantity that is measured, in a word: `loss` or `accuracy`.
    pub fn quantity(self) -> &'static str {
        match self {
            Self::BitsPerByte | Self::TargetLoss => "loss",
            Self::Accuracy => "accuracy",
        }
    }

    /// Name of the score of a run on its validation part.
    pub fn of_validation(self) -> &'static str {
        match self {
            Self::BitsPerByte => "validation bits per byte",
            Self::Accuracy => "the share of validation images named right",
            Self::TargetLoss => "validation nats a target token",
        }
    }

    /// The unit that tables show.
    pub fn unit(self) -> &'static str {
        match self {
            Self::BitsPerByte => "bits/byte",
            Self::Accuracy => "%",
            Self::TargetLoss => "nats/token",
        }
    }

    /// Factor of a score to stand in that unit.
    pub fn scale(self) -> f64 {
        match self {
            Self::BitsPerByte | Self::TargetLoss => 1.0,
            Self::Accuracy => 100.0,
        }
    }

    /// Better direction.
    pub fn goal(self) -> Goal {
        match self {
            Self::BitsPerByte | Self::TargetLoss => Goal::Lower,
            Self::Accuracy => Goal::Higher,
        }
    }
}
