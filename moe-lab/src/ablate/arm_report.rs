//! One row of an ablation's table: an arm, summarised over its seeds and compared with its baseline.

use super::comparable::{Budget, obstacle};
use super::error::TableError;
use super::given::Pairing;
use super::outcome::{ArmResult, SeedResult, nullable};
use super::table::AblationConfig;
use crate::stats::{Comparison, Goal, Verdict, compare, compare_unpaired, mean, sample_std};
use moe_train::run::Measured;
use moe_train::task::Merit;
use serde::{Deserialize, Serialize};

/// Mean and sample standard deviation over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean; `null` in JSON where a value is not finite.
    #[serde(with = "nullable")]
    pub mean: f64,
    /// The standard deviation (n - 1); `None` with one seed or where a value is not finite.
    pub std: Option<f64>,
}

impl Spread {
    /// Summarises the values of all seeds.
    ///
    /// # Panics
    ///
    /// Panics without values.
    pub fn of(values: &[f64]) -> Self {
        Self {
            mean: mean(values),
            std: sample_std(values).filter(|std| std.is_finite()),
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmReport {
    /// Name of the arm.
    pub label: String,
    /// The evaluation of its runs, if there are several. The first arm of each evaluation is its baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<String>,
    /// True if this arm had the baseline's budget, as the baseline itself has.
    pub comparable: bool,
    /// Why it is not comparable, with both numbers.
    pub reason: Option<String>,
    /// True if no later token influences an earlier one, in all seeds.
    pub causal: bool,
    /// True if the same holds while training; where not, the training loss flatters the arm.
    pub causal_in_training: bool,
    /// The measured cost of a token, mean over the seeds, where that differs from what the configuration gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Validation loss: of text bits per byte, of images nats an image.
    pub loss: Spread,
    /// The share of validation images named right, of a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Spread>,
    /// Training speed, tokens per second.
    pub tokens_per_s: Spread,
    /// Largest load over mean load, minus one.
    pub max_vio: Spread,
    /// Entropy of the experts' load over that of a balanced one, in \[0, 1\].
    pub entropy: Spread,
    /// Share of dropped assignments, in \[0, 1\].
    pub drop_rate: Spread,
    /// Experts without any token.
    pub dead_experts: Spread,
    /// The comparison with the baseline, without a test where not comparable; `None` for the baseline
    /// and where a loss is not finite.
    pub comparison: Option<Comparison>,
    /// The verdict; `None` for the baseline.
    pub verdict: Option<Verdict>,
    /// The results of each seed, ordered by seed.
    pub seeds: Vec<SeedResult>,
}

impl ArmReport {
    pub(super) fn new(result: &ArmResult) -> Result<Self, TableError> {
        let mut seeds = result.seeds.clone();
        seeds.sort_by_key(|result| result.seed);
        if let Some(pair) = seeds.windows(2).find(|pair| pair[0].seed == pair[1].seed) {
            return Err(TableError::DuplicateSeed {
                label: result.label.clone(),
                seed: pair[0].seed,
            });
        }
        if seeds.is_empty() {
            return Err(TableError::NoSeeds {
                label: result.label.clone(),
            });
        }
        let spread = |field: fn(&SeedResult) -> f64| {
            Spread::of(&seeds.iter().map(field).collect::<Vec<_>>())
        };

        Ok(Self {
            label: result.label.clone(),
            evaluation: result.evaluation.clone(),
            comparable: true,
            reason: None,
            causal: seeds.iter().all(|result| result.causal),
            causal_in_training: seeds.iter().all(|result| result.causal_in_training),
            measured: measured(&seeds),
            loss: spread(|result| result.loss),
            accuracy: seeds[0]
                .accuracy
                .map(|_| spread(|result| result.accuracy.unwrap_or(f64::NAN))),
            tokens_per_s: spread(|result| result.tokens_per_s),
            max_vio: spread(|result| result.max_vio),
            entropy: spread(|result| result.entropy),
            drop_rate: spread(|result| result.drop_rate),
            dead_experts: spread(|result| result.dead_experts),
            comparison: None,
            verdict: None,
            seeds,
        })
    }

    /// The number that the arm is compared by.
    pub fn merit(&self) -> Merit {
        self.seeds
            .first()
            .map_or_else(Merit::default, SeedResult::merit)
    }

    /// The score that the arm is compared by.
    pub fn score(&self) -> Spread {
        self.accuracy.unwrap_or(self.loss)
    }

    fn scores(&self) -> Vec<f64> {
        self.seeds.iter().map(SeedResult::score).collect()
    }

    /// Tells whether others are compared with it, and it with none.
    pub fn is_baseline(&self) -> bool {
        self.comparable && self.comparison.is_none()
    }

    pub(super) fn compare(&mut self, baseline: &Self, config: &AblationConfig, pairing: Pairing) {
        let compare = if pairing.pairs(&baseline.seeds, &self.seeds) {
            compare
        } else {
            compare_unpaired
        };
        self.reason = obstacle(&baseline.seeds, &self.seeds, Budget::Active);
        self.comparable = self.reason.is_none();
        let (theirs, ours) = (baseline.scores(), self.scores());
        let finite = theirs.iter().chain(&ours).all(|score| score.is_finite());
        self.comparison = finite
            .then(|| compare(&theirs, &ours, &config.compare))
            .map(|comparison| {
                if self.comparable {
                    comparison
                } else {
                    comparison.without_test()
                }
            });
    }

    pub(super) fn draw_verdict(&mut self, goal: Goal, alpha: f64) {
        self.verdict = match (&self.reason, &self.comparison) {
            (Some(reason), _) => Some(Verdict::NotComparable {
                reason: reason.clone(),
            }),
            (None, Some(comparison)) => Some(comparison.verdict(goal, alpha)),
            (None, None) => None,
        };
    }
}

/// The mean cost over the seeds, if all were counted and one differs from its configuration.
fn measured(seeds: &[SeedResult]) -> Option<Measured> {
    let costs: Option<Vec<Measured>> = seeds.iter().map(|result| result.measured).collect();
    let differs = |result: &SeedResult| result.params_used() != result.params_active;
    costs
        .filter(|_| seeds.iter().any(differs))
        .map(|costs| Measured::mean(&costs))
}
