//! Plans: all runs of an ablation, before any of them is made.

use super::claim::evaluated;
use super::{Arm, Claim, ClaimError, Grid, GridError, Sweep, TableError};
use moe_train::config::{ConfigError, LARGEST_SEED, RunConfig};
use moe_train::resolve::{ConfigFile, key_hint};
use moe_train::run::{RunError, finished};
use std::path::Path;
use thiserror::Error;
use toml::Table;

/// Why an ablation could not be made.
#[derive(Error, Debug)]
pub enum AblateError {
    /// An axis.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A claim.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A claim's curve.
    #[error("claim.sweep: no arm has the key `{key}`; {hint}")]
    Sweep {
        /// The key that the claim names.
        key: String,
        /// The nearest key, or those of its table.
        hint: String,
    },
    /// Seeds beyond the largest.
    #[error("{n_seeds} seeds from seed = {first} on are too many: no seed can be above 2^63 - 1")]
    Seeds {
        /// The first seed.
        first: u64,
        /// The number that was asked for.
        n_seeds: u64,
    },
    /// The configuration of an arm.
    #[error("arm {label}: {source}")]
    Arm {
        /// The arm.
        label: String,
        /// The fault.
        source: Box<ConfigError>,
    },
    /// A run.
    #[error("run {label} seed {seed}: {source}")]
    Run {
        /// The arm.
        label: String,
        /// The seed.
        seed: u64,
        /// The failure.
        source: Box<RunError>,
    },
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// An arm with its configuration; the seed is set for each run.
#[derive(Debug, Clone)]
pub struct PlannedArm {
    /// The arm's overrides, as a label.
    pub label: String,
    /// The configuration.
    pub config: RunConfig,
}

/// An arm as it is compared: its runs, evaluated in one way.
#[derive(Debug, Clone)]
pub struct TestedArm {
    /// The name of its row.
    pub label: String,
    /// The place of the trained arm in the plan.
    pub arm: usize,
    /// The evaluation, if not as it was trained: the name, and overrides of its router.
    pub evaluation: Option<Arm>,
    /// The configuration of the evaluation.
    pub config: RunConfig,
}

/// All runs of an ablation: each arm with each seed. Runs of the same seed see the same text in the
/// same order, and start from the same weights in everything that their models share.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The arms; the first is the baseline.
    pub arms: Vec<PlannedArm>,
    /// The rows of the table: the arms, or each arm in each evaluation, those of an evaluation together.
    pub tested: Vec<TestedArm>,
    /// The seeds, from the configuration's own upwards.
    pub seeds: Vec<u64>,
    /// Keys of the file that were dropped for an arm that chose something else, in words.
    pub notes: Vec<String>,
    /// The arms that make a curve, if there are any.
    pub sweep: Option<Sweep>,
    /// The claim that the runs decide, if they were planned by one.
    pub claim: Option<Claim>,
    /// Changes that make the runs others than those of the claim's file, so that they do not decide it.
    pub changed_by: Option<String>,
}

impl Plan {
    /// Resolves the configuration of every arm of a grid.
    ///
    /// # Errors
    ///
    /// Returns an error if an axis cannot be read or an arm's configuration is wrong.
    pub fn new(
        path: &Path,
        overrides: &[String],
        axes: &[String],
        n_seeds: u64,
    ) -> Result<Self, AblateError> {
        let grid = Grid::parse(axes)?;
        let base = ConfigFile::read(path).map_err(ClaimError::File)?;
        let mut plan = Self::of_arms(&base, overrides, [&grid.arms(), &[]], n_seeds)?;
        if let [axis] = grid.axes() {
            plan.sweep = Sweep::of(&axis.key, &plan);
        }
        Ok(plan)
    }

    /// Resolves the configuration of every arm of a claim. Overrides and another number of seeds make
    /// smaller runs, which do not decide the claim.
    ///
    /// # Errors
    ///
    /// Returns an error if an arm's configuration is wrong, or if no arm has the key of the claim's curve.
    pub fn of_claim(
        claim: &Claim,
        overrides: &[String],
        n_seeds: Option<u64>,
    ) -> Result<Self, AblateError> {
        let seeds = n_seeds.unwrap_or(claim.seeds);
        let arms = [&claim.arms[..], &claim.evaluations];
        let mut plan = Self::of_arms(&claim.base, overrides, arms, seeds)?;
        if let Some(key) = &claim.sweep {
            check_sweep(key, &plan.arms)?;
            plan.sweep = Sweep::of(key, &plan);
        }
        let n_seeds = (seeds != claim.seeds).then(|| format!("{seeds} of {} seeds", claim.seeds));
        let changes: Vec<String> = overrides.iter().cloned().chain(n_seeds).collect();
        if !changes.is_empty() {
            let changes = changes.join(", ");
            plan.notes.push(format!(
                "changed by {changes}: what follows is not the claim as it was fixed, and does not decide it"
            ));
            plan.changed_by = Some(changes);
        }
        plan.claim = Some(claim.clone());
        Ok(plan)
    }

    /// The arms, and their evaluations.
    pub(super) fn of_arms(
        base: &ConfigFile,
        overrides: &[String],
        [of_arms, evaluations]: [&[Arm]; 2],
        n_seeds: u64,
    ) -> Result<Self, AblateError> {
        let (mut arms, mut notes) = (Vec::new(), Vec::new());
        for Arm {
            label,
            overrides: of_arm,
        } in of_arms
        {
            let all = [overrides, of_arm].concat();
            let resolved =
                RunConfig::resolve(base.clone(), &all).map_err(|source| AblateError::Arm {
                    label: label.clone(),
                    source: Box::new(source),
                })?;
            notes.extend(
                resolved
                    .notes
                    .into_iter()
                    .map(|note| format!("{label}: {note}")),
            );
            arms.push(PlannedArm {
                label: label.clone(),
                config: resolved.config,
            });
        }
        let first = arms.first().map_or(0, |arm| arm.config.seed);
        Ok(Self {
            tested: tested(&arms, evaluations)?,
            arms,
            seeds: seeds(first, n_seeds)?,
            notes,
            sweep: None,
            claim: None,
            changed_by: None,
        })
    }

    /// The configuration of each run, seed by seed, so that whole pairs are done early.
    pub fn runs(&self) -> impl Iterator<Item = RunConfig> + '_ {
        self.seeds.iter().flat_map(|&seed| {
            self.arms.iter().map(move |arm| RunConfig {
                seed,
                ..arm.config.clone()
            })
        })
    }

    /// The number of runs that are not finished yet.
    ///
    /// # Errors
    ///
    /// Returns an error if a file of a run is damaged or of another run.
    pub fn missing(&self, runs_dir: &Path) -> Result<usize, AblateError> {
        Ok(self.missing_runs(runs_dir)?.len())
    }

    /// Seconds that the missing runs take at a training speed measured for the baseline; an arm that
    /// does more work a token is taken to be slower by as much.
    ///
    /// # Errors
    ///
    /// As [`missing`](Self::missing).
    pub fn estimate_s(&self, runs_dir: &Path, tokens_per_s: f64) -> Result<f64, AblateError> {
        let flops = |config: &RunConfig| config.account().flops_per_token as f64;
        let baseline = flops(&self.arms[0].config);
        let seconds = |config: &RunConfig| {
            let tokens = (config.train.steps * config.tokens_per_step()) as f64;
            tokens / tokens_per_s * flops(config) / baseline
        };
        Ok(self.missing_runs(runs_dir)?.iter().map(seconds).sum())
    }

    fn missing_runs(&self, runs_dir: &Path) -> Result<Vec<RunConfig>, AblateError> {
        let mut missing = Vec::new();
        for config in self.runs() {
            let found = finished(&config, runs_dir).map_err(|source| AblateError::Run {
                label: config.run_name(),
                seed: config.seed,
                source: Box::new(source),
            })?;
            if found.is_none() {
                missing.push(config);
            }
        }
        Ok(missing)
    }
}

/// The seeds from the first one on.
fn seeds(first: u64, n_seeds: u64) -> Result<Vec<u64>, AblateError> {
    let end = first.checked_add(n_seeds);
    match end.filter(|end| end.saturating_sub(1) <= LARGEST_SEED) {
        Some(end) => Ok((first..end).collect()),
        None => Err(AblateError::Seeds { first, n_seeds }),
    }
}

fn as_trained((place, arm): (usize, &PlannedArm)) -> TestedArm {
    TestedArm {
        label: arm.label.clone(),
        arm: place,
        evaluation: None,
        config: arm.config.clone(),
    }
}

/// Each arm in each evaluation, or as it was trained if there is none.
fn tested(arms: &[PlannedArm], evaluations: &[Arm]) -> Result<Vec<TestedArm>, AblateError> {
    let places = || arms.iter().enumerate();
    if evaluations.is_empty() {
        return Ok(places().map(as_trained).collect());
    }
    let pairs = evaluations
        .iter()
        .flat_map(|way| places().map(move |(place, arm)| (way, place, arm)));
    pairs
        .map(|(way, place, arm)| {
            let label = evaluated(&arm.label, &way.label);
            match arm.config.evaluated_with(&way.overrides) {
                Ok(config) => Ok(TestedArm {
                    label,
                    arm: place,
                    evaluation: Some(way.clone()),
                    config,
                }),
                Err(source) => Err(AblateError::Arm {
                    label,
                    source: Box::new(source),
                }),
            }
        })
        .collect()
}

/// Refuses a curve over a key that no arm has.
fn check_sweep(key: &str, arms: &[PlannedArm]) -> Result<(), AblateError> {
    let hint = |arm: &PlannedArm| {
        let table = Table::try_from(&arm.config).expect("a configuration is a table");
        key_hint(key, &table)
    };
    let hints: Option<Vec<String>> = arms.iter().map(hint).collect();
    match hints.and_then(|hints| hints.into_iter().next()) {
        Some(hint) => Err(AblateError::Sweep {
            key: key.into(),
            hint,
        }),
        None => Ok(()),
    }
}
