//! The numbers that rules look at.

use crate::ablate::SeedResult;
use serde::{Deserialize, Serialize};

/// The number of each run that a rule looks at, from its last evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Validation loss: of text bits per byte, of images nats an image.
    Loss,
    /// The share of validation images named right.
    Accuracy,
    /// Largest load over mean load, minus one.
    MaxVio,
    /// Entropy of the experts' load over that of a balanced one.
    Entropy,
    /// Share of dropped assignments.
    DropRate,
    /// Experts without any token.
    DeadExperts,
    /// Computed assignments a token, mean over training and layers.
    ExpertsPerToken,
    /// The loss of training batches, over the last fifth of the training.
    TrainLoss,
    /// Largest load over mean load, minus one, over the last fifth of the training.
    TrainMaxVio,
    /// Computed assignments a token, over the last fifth of the training.
    TrainExpertsPerToken,
    /// Bytes that a token adds to the cache of keys and values.
    CacheBytes,
    /// Spearman's correlation of the frequency of a kind of token with its number of experts, in validation text.
    ExpertsByFrequency,
    /// Ranks a token, in validation text or images, if the experts were spread over those of the claim.
    FanOut,
    /// Bytes that a token sends to them, a row a rank of two bytes an element.
    BytesToken,
    /// The load of the busiest of them over the mean.
    BusiestRank,
}

impl Metric {
    /// The metric's name in files and sentences.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Loss => "loss",
            Metric::Accuracy => "accuracy",
            Metric::MaxVio => "max_vio",
            Metric::Entropy => "entropy",
            Metric::DropRate => "drop_rate",
            Metric::DeadExperts => "dead_experts",
            Metric::ExpertsPerToken => "experts_per_token",
            Metric::TrainLoss => "train_loss",
            Metric::TrainMaxVio => "train_max_vio",
            Metric::TrainExpertsPerToken => "train_experts_per_token",
            Metric::CacheBytes => "cache_bytes",
            Metric::ExpertsByFrequency => "experts_by_frequency",
            Metric::FanOut => "fan_out",
            Metric::BytesToken => "bytes_token",
            Metric::BusiestRank => "busiest_rank",
        }
    }

    /// The metric of a run.
    pub fn of(self, result: &SeedResult) -> f64 {
        match self {
            Metric::Loss => result.loss,
            Metric::Accuracy => result.accuracy.unwrap_or(f64::NAN),
            Metric::MaxVio => result.max_vio,
            Metric::Entropy => result.entropy,
            Metric::DropRate => result.drop_rate,
            Metric::DeadExperts => result.dead_experts,
            Metric::ExpertsPerToken => result
                .measured
                .map_or(f64::NAN, |cost| cost.experts_per_token),
            Metric::TrainLoss => result.training.map_or(f64::NAN, |end| end.loss),
            Metric::TrainMaxVio => result.training.map_or(f64::NAN, |end| end.max_vio),
            Metric::TrainExpertsPerToken => result
                .training
                .and_then(|end| end.experts_per_token)
                .unwrap_or(f64::NAN),
            Metric::CacheBytes => result.cache_bytes.map_or(f64::NAN, |bytes| bytes as f64),
            Metric::ExpertsByFrequency => result.experts_by_frequency.unwrap_or(f64::NAN),
            Metric::FanOut => result.over_ranks.map_or(f64::NAN, |over| over.fan_out),
            Metric::BytesToken => result.over_ranks.map_or(f64::NAN, |over| over.bytes_token),
            Metric::BusiestRank => result.over_ranks.map_or(f64::NAN, |over| over.busiest_rank),
        }
    }

    /// Tells whether it is of experts that are spread over ranks.
    pub fn is_of_ranks(self) -> bool {
        matches!(
            self,
            Metric::FanOut | Metric::BytesToken | Metric::BusiestRank
        )
    }
}
