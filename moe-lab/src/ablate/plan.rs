//! Plans: all runs of an ablation, before any of them is made.

mod planned;
mod rows;
mod runs;

use super::comparable::{Budget, obstacle};
use super::differ::{Difference, differences};
use super::rule::Statement;
use super::scale::budgets;
use super::{AblateError, Arm, Axis, Claim, ClaimError, Grid, SeedResult, Sweep, Tune, TuneReport};
use crate::stats::seeds_needed;
use moe_train::config::{LARGEST_SEED, RunConfig};
use moe_train::resolve::ConfigFile;
pub use planned::PlannedRun;
use rows::{check_sweep, ordered, scored_as, tested};
use std::path::{Path, PathBuf};

/// An arm with its configuration; the seed is set for each run.
#[derive(Debug, Clone)]
pub struct PlannedArm {
    /// The arm's overrides, as a label.
    pub label: String,
    /// The configuration; before a tuning with the first of its values.
    pub config: RunConfig,
    /// The configurations that a tuning tries, one a value; none without a tuning.
    pub candidates: Vec<RunConfig>,
    /// The values that make the configuration of the plan's file, later ones before earlier ones.
    pub overrides: Vec<String>,
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
    /// The tuning that chooses each arm's own value first, if there is one.
    pub tune: Option<Tune>,
    /// The budgets that the baseline is trained with besides, as factors of its steps, 1 among them; none without a
    /// question what differences are worth.
    pub budgets: Vec<f64>,
    /// The key of the curve over the arms that differ in one number, if there is one.
    pub sweep: Option<Sweep>,
    /// The claim that the runs decide, if they were planned by one.
    pub claim: Option<Claim>,
    /// Changes that make the runs others than those of the claim's file, so that they do not decide it.
    pub changed_by: Option<String>,
    /// The file of the configuration that all arms start from.
    pub file: PathBuf,
}

/// The level of verdicts.
const ALPHA: f64 = 0.05;

/// The seeds of a tuning lie this far above the first of the decision, whatever their number.
const TUNING_FROM: u64 = 1000;

impl Plan {
    /// Resolves the configuration of every arm of a grid. Without a number of seeds there are as many as can
    /// decide between so many arms. A tuning is an axis, `key=a,b,c`, and a number of seeds, which are taken from a
    /// thousand above the first of the decision on.
    ///
    /// # Errors
    ///
    /// Returns an error if an axis cannot be read or an arm's configuration is wrong.
    pub fn new(
        path: &Path,
        overrides: &[String],
        axes: &[String],
        n_seeds: Option<u64>,
        tuning: Option<(&str, u64)>,
    ) -> Result<Self, AblateError> {
        let grid = Grid::parse(axes)?;
        let base = ConfigFile::read(path).map_err(ClaimError::File)?;
        let arms = [&grid.arms()[..], &[]];
        let untuned = Self::of_arms(&base, overrides, arms, 1, None)?;
        let first = untuned.seeds[0];
        let n_seeds = n_seeds.unwrap_or_else(|| untuned.deciding_seeds());
        let tune = tuning.map(|(axis, n)| tune(axis, n, first)).transpose()?;
        let mut plan = Self::of_arms(&base, overrides, arms, n_seeds, tune)?;
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
    /// Returns an error if an arm's configuration is wrong, if no arm has the key of the claim's curve, if its
    /// seeds were looked at before, or if a trend has arms without an order.
    pub fn of_claim(
        claim: &Claim,
        overrides: &[String],
        n_seeds: Option<u64>,
    ) -> Result<Self, AblateError> {
        let mut claim = claim.clone();
        let seeds = n_seeds.unwrap_or(claim.seeds);
        let arms = [&claim.arms[..], &claim.evaluations];
        let mut plan = Self::of_arms(&claim.base, overrides, arms, seeds, claim.tune.clone())?;
        let n_seeds = (seeds != claim.seeds).then(|| format!("{seeds} of {} seeds", claim.seeds));
        let changes: Vec<String> = overrides.iter().cloned().chain(n_seeds).collect();
        if changes.is_empty() {
            claim.check_seeds(&plan.seeds).map_err(AblateError::Seen)?;
        } else {
            let changes = changes.join(", ");
            plan.notes.push(format!(
                "changed by {changes}: what follows is not the claim as it was fixed, and does not decide it"
            ));
            plan.changed_by = Some(changes);
        }
        if let Some(key) = &claim.sweep {
            check_sweep(key, &plan.arms)?;
            plan.sweep = Sweep::of(key, &plan);
        }
        for rule in &mut claim.rules {
            if let Statement::Trend { along, .. } = &rule.statement {
                rule.arms = ordered(&rule.arms, along, &plan.tested)?;
            }
        }
        if let Some(budgets) = &claim.budgets {
            plan = plan.scaled_to(budgets)?;
        }
        plan.claim = Some(claim);
        Ok(plan)
    }

    /// The arms, and their evaluations.
    pub(super) fn of_arms(
        base: &ConfigFile,
        overrides: &[String],
        [of_arms, evaluations]: [&[Arm]; 2],
        n_seeds: u64,
        tune: Option<Tune>,
    ) -> Result<Self, AblateError> {
        let (mut arms, mut notes) = (Vec::new(), Vec::new());
        for Arm {
            label,
            overrides: of_arm,
        } in of_arms
        {
            let resolve = |more: &[String]| {
                let all = [overrides, of_arm, more].concat();
                RunConfig::resolve(base.clone(), &all).map_err(|source| AblateError::Arm {
                    label: label.clone(),
                    source: Box::new(source),
                })
            };
            let resolved = resolve(&[])?;
            let notes_of_arm = resolved.notes.into_iter();
            notes.extend(notes_of_arm.map(|note| format!("{label}: {note}")));
            let values = tune.as_ref().map_or(&[][..], |tune| &tune.values);
            let candidate = |value: &String| {
                let key = tune.as_ref().map_or("", |tune| &tune.key);
                Ok(resolve(&[format!("{key}={value}")])?.config)
            };
            let candidates = values
                .iter()
                .map(candidate)
                .collect::<Result<Vec<RunConfig>, AblateError>>()?;
            arms.push(PlannedArm {
                label: label.clone(),
                config: candidates.first().cloned().unwrap_or(resolved.config),
                candidates,
                overrides: [overrides, of_arm].concat(),
            });
        }
        let first = arms.first().map_or(0, |arm| arm.config.seed);
        Ok(Self {
            tested: tested(&arms, evaluations)?,
            arms,
            seeds: seeds(first, n_seeds)?,
            notes,
            tune,
            budgets: Vec::new(),
            sweep: None,
            claim: None,
            changed_by: None,
            file: base.path().to_owned(),
        })
    }

    /// The plan with the value that a tuning chose for each arm, if there was one.
    ///
    /// # Errors
    ///
    /// Returns an error if an evaluation does not go with the chosen value.
    pub(super) fn chosen(&self, tuning: Option<&TuneReport>) -> Result<Self, AblateError> {
        let mut plan = self.clone();
        let tuned = tuning.map_or(&[][..], |report| &report.arms);
        for (arm, tuned) in plan.arms.iter_mut().zip(tuned) {
            arm.config = arm.candidates[tuned.chosen].clone();
            let chosen = plan.tune.iter().map(|tune| tune.set(tuned.chosen));
            arm.overrides.extend(chosen);
        }
        for row in &mut plan.tested {
            let config = &plan.arms[row.arm].config;
            row.config = match &row.evaluation {
                None => config.clone(),
                Some(way) => scored_as(config, &row.label, way)?,
            };
        }
        Ok(plan)
    }

    /// Adds the baseline at other budgets, as factors of its steps.
    ///
    /// # Errors
    ///
    /// Returns an error for fewer than three budgets, 1 included, for one that is not positive, and for runs that are
    /// evaluated in other ways.
    pub fn scaled_to(mut self, given: &[f64]) -> Result<Self, AblateError> {
        self.budgets = budgets(given).map_err(AblateError::Scale)?;
        if self.tested.iter().any(|row| row.evaluation.is_some()) {
            let reason = "runs that are evaluated in other ways have no budget of their own";
            return Err(AblateError::Scale(reason.into()));
        }
        Ok(self)
    }

    /// The keys in which the arms differ, with their values.
    pub fn differences(&self) -> Vec<Difference> {
        differences(self.arms.iter().map(|arm| &arm.config))
    }

    /// The rows that cannot be compared with their baseline whatever comes out, with the reason.
    pub fn incomparable(&self) -> Vec<(&str, String)> {
        let planned = |row: &TestedArm| SeedResult {
            loss: 0.0,
            ..SeedResult::diverged(&self.arms[row.arm].config)
        };
        let way = |row: &TestedArm| row.evaluation.as_ref().map(|way| way.label.clone());
        let reason = |row: &'_ TestedArm| {
            let baseline = self.tested.iter().find(|other| way(other) == way(row))?;
            obstacle(&[planned(baseline)], &[planned(row)], Budget::Active)
        };
        let rows = self.tested.iter();
        rows.filter_map(|row| Some((row.label.as_str(), reason(row)?)))
            .collect()
    }

    /// The number of rows that will be compared with a baseline.
    pub fn n_compared(&self) -> usize {
        let mut ways: Vec<Option<&str>> = Vec::new();
        for row in &self.tested {
            let way = row.evaluation.as_ref().map(|way| way.label.as_str());
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        self.tested.len() - ways.len() - self.incomparable().len()
    }

    /// The fewest seeds with which the sign-flip test can decide between so many arms.
    pub fn deciding_seeds(&self) -> u64 {
        seeds_needed(ALPHA, self.n_compared()).map_or(20, |n| n as u64)
    }
}

/// The tuning that an axis asks for.
fn tune(axis: &str, n_seeds: u64, first: u64) -> Result<Tune, AblateError> {
    let axis = Axis::parse(axis)?;
    let seeds = seeds(first.saturating_add(TUNING_FROM), n_seeds)?;
    Tune::new(axis.key, axis.values, seeds).map_err(AblateError::Tune)
}

/// The seeds from the first one on.
fn seeds(first: u64, n_seeds: u64) -> Result<Vec<u64>, AblateError> {
    let end = first.checked_add(n_seeds);
    match end.filter(|end| end.saturating_sub(1) <= LARGEST_SEED) {
        Some(end) => Ok((first..end).collect()),
        None => Err(AblateError::Seeds { first, n_seeds }),
    }
}
