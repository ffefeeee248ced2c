//! Results of runs: of one seed, and of an arm.

use super::{OverRanks, Training};
use crate::MetricLines;
use moe_train::config::RunConfig;
use moe_train::run::{EvalMetrics, LayerMetrics, Manifest, Measured, Summary};
use moe_train::task::Merit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The results of an arm, over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// Name of the arm, such as `router.name=switch`.
    pub label: String,
    /// The evaluation of its runs, if there are several: it is compared with the first arm of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<String>,
    /// One result a seed.
    pub seeds: Vec<SeedResult>,
}

impl ArmResult {
    /// Results of which the losses alone are known, at the seeds from 0 on.
    pub fn of_losses(label: &str, losses: &[f64]) -> Self {
        let seeds = (0..).zip(losses);
        Self {
            label: label.to_owned(),
            evaluation: None,
            seeds: seeds
                .map(|(seed, loss)| SeedResult::of_loss(seed, *loss))
                .collect(),
        }
    }
}

/// The results of one run of an arm. Numbers that are not finite are `null` in JSON and come back as
/// not-a-number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// The seed; arms are paired by it.
    pub seed: u64,
    /// Validation loss: of text bits per byte, of images nats an image, of pairs of texts nats a target token.
    #[serde(with = "nullable")]
    pub loss: f64,
    /// The share of validation images named right, of a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The share of gaps filled, or texts translated, as they had been, of an encoder with a decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_match: Option<f64>,
    /// Training speed, tokens per second.
    #[serde(with = "nullable")]
    pub tokens_per_s: f64,
    /// Largest load over mean load, minus one; 0 is perfect balance.
    #[serde(with = "nullable")]
    pub max_vio: f64,
    /// Entropy of the experts' load over that of a balanced one, in \[0, 1\]; 1 is perfect balance.
    #[serde(with = "nullable")]
    pub entropy: f64,
    /// Share of the assignments that were dropped, in \[0, 1\].
    #[serde(with = "nullable")]
    pub drop_rate: f64,
    /// Number of experts without any token.
    #[serde(with = "nullable")]
    pub dead_experts: f64,
    /// Optimizer steps.
    pub steps: u64,
    /// Training tokens.
    pub tokens: u64,
    /// Parameters that one token uses, by the configuration.
    pub params_active: u64,
    /// All parameters.
    pub params_total: u64,
    /// True if no later token influences an earlier one.
    pub causal: bool,
    /// True if the same holds while training.
    pub causal_in_training: bool,
    /// The measured cost of a token in training; `None` where that was not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The end of its training; `None` where none of it was logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// Bytes that a token adds to the cache of keys and values, by the configuration; `None` of models without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_bytes: Option<u64>,
    /// Spearman's correlation of the frequency of a kind of token with its experts, as an analysis of the validation
    /// text finds it; `None` where no rule asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts_by_frequency: Option<f64>,
    /// The communication of experts that are spread over ranks, as such an analysis finds it; `None` where no rule asks
    /// for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_ranks: Option<OverRanks>,
    /// Costs by the name that the table of another program gives them; none of runs of our own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub costs: BTreeMap<String, f64>,
}

impl SeedResult {
    /// A result of which the loss alone is known, such as one from another program: one step of one token
    /// through one parameter, all experts equally busy.
    pub fn of_loss(seed: u64, loss: f64) -> Self {
        Self {
            seed,
            loss,
            accuracy: None,
            exact_match: None,
            tokens_per_s: f64::NAN,
            max_vio: 0.0,
            entropy: 1.0,
            drop_rate: 0.0,
            dead_experts: 0.0,
            steps: 1,
            tokens: 1,
            params_active: 1,
            params_total: 1,
            causal: true,
            causal_in_training: true,
            measured: None,
            training: None,
            cache_bytes: None,
            experts_by_frequency: None,
            over_ranks: None,
            costs: BTreeMap::new(),
        }
    }

    /// The result of a run that is finished.
    pub(crate) fn new(
        config: &RunConfig,
        summary: &Summary,
        manifest: &Manifest,
        lines: &MetricLines,
    ) -> Self {
        let result = Self {
            tokens_per_s: manifest.tokens_per_s,
            steps: summary.steps,
            tokens: summary.tokens,
            params_active: summary.params_active as u64,
            params_total: summary.params_total as u64,
            causal: summary.causal,
            causal_in_training: summary.causal_in_training,
            measured: summary.measured,
            training: Training::of(lines, summary.steps),
            cache_bytes: cache_bytes(config),
            ..Self::of_loss(summary.seed, f64::NAN)
        };
        result.scored(&summary.validation)
    }

    /// The same run with the scores of an evaluation.
    pub(crate) fn scored(self, validation: &EvalMetrics) -> Self {
        let layers = &validation.layers;
        let mean = |metric: fn(&LayerMetrics) -> f64| {
            layers.iter().map(metric).sum::<f64>() / layers.len().max(1) as f64
        };
        Self {
            loss: validation.bits_per_byte.unwrap_or(validation.loss),
            accuracy: validation.accuracy,
            exact_match: validation.exact_match,
            max_vio: mean(|layer| layer.max_vio),
            entropy: mean(|layer| layer.load_entropy),
            drop_rate: mean(|layer| layer.drop_rate),
            dead_experts: mean(|layer| layer.dead_experts as f64),
            ..self
        }
    }

    /// The result of a run whose loss was not a number any more.
    pub(crate) fn diverged(config: &RunConfig) -> Self {
        let account = config.account();
        Self {
            accuracy: match config.model.task().merit() {
                Merit::Accuracy => Some(f64::NAN),
                Merit::BitsPerByte | Merit::TargetLoss => None,
            },
            exact_match: match config.model.task().merit() {
                Merit::TargetLoss => Some(f64::NAN),
                Merit::BitsPerByte | Merit::Accuracy => None,
            },
            max_vio: f64::NAN,
            entropy: f64::NAN,
            drop_rate: f64::NAN,
            dead_experts: f64::NAN,
            steps: config.train.steps,
            tokens: config.train.steps * config.tokens_per_step(),
            params_active: account.params_active as u64,
            params_total: account.params_total as u64,
            causal: config.is_causal(),
            causal_in_training: config.is_causal_in_training(),
            ..Self::of_loss(config.seed, f64::NAN)
        }
    }

    /// The score that arms are compared by.
    pub fn merit(&self) -> Merit {
        match (self.accuracy, self.exact_match) {
            (Some(_), _) => Merit::Accuracy,
            (None, Some(_)) => Merit::TargetLoss,
            (None, None) => Merit::BitsPerByte,
        }
    }

    /// The score that arms are compared by: the accuracy if there is one, and else the loss.
    pub fn score(&self) -> f64 {
        self.accuracy.unwrap_or(self.loss)
    }

    /// The parameters that one token did use, or by the configuration where that was not counted.
    pub fn params_used(&self) -> u64 {
        self.measured
            .map_or(self.params_active, |cost| cost.params_active)
    }
}

fn cache_bytes(config: &RunConfig) -> Option<u64> {
    let bytes = config.account().kv_bytes_per_token as u64;
    (bytes > 0).then_some(bytes)
}

/// Numbers that may be not finite, which JSON cannot write.
pub(super) mod nullable {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else {
            serializer.serialize_none()
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(input)?.unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::SeedResult;

    /// A run of 200 steps, with a value of its own for each cost and each share.
    pub(in crate::ablate) fn seed_result(seed: u64, loss: f64) -> SeedResult {
        SeedResult {
            tokens_per_s: 1000.0,
            max_vio: 0.5,
            entropy: 0.9,
            drop_rate: 0.125,
            dead_experts: 1.0,
            steps: 200,
            tokens: 6400,
            params_active: 1000,
            params_total: 3000,
            ..SeedResult::of_loss(seed, loss)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::testing::seed_result;
    use super::*;

    #[test]
    fn json_round_trip() {
        let result = seed_result(3, 2.5);
        let text = serde_json::to_string(&result).unwrap();
        assert_eq!(serde_json::from_str::<SeedResult>(&text).unwrap(), result);
    }

    #[test]
    fn a_result_without_a_measurement_is_read() {
        let text = serde_json::to_string(&seed_result(3, 2.5)).unwrap();
        assert!(!text.contains("measured"), "{text}");
        let back: SeedResult = serde_json::from_str(&text).unwrap();
        assert_eq!(back.params_used(), 1000);
    }

    #[test]
    fn a_diverged_loss_survives_json() {
        let text = serde_json::to_string(&seed_result(3, f64::NAN)).unwrap();

        assert!(text.contains("\"loss\":null"), "{text}");
        let back: SeedResult = serde_json::from_str(&text).unwrap();
        assert!(back.loss.is_nan());
        assert_eq!(back.tokens_per_s, 1000.0);
    }
}
