//! The runs of an ablation, shared with other processes that are given the same ones.

use super::make::{Early, Results, Runs};
use super::{
    AblateError, AblationConfig, AblationReport, Claim, ClaimReport, MadeRuns, Plan, PlannedArm,
};
use super::{Scaling, SeedResult, Tune, TuneReport};
use burn::tensor::Device;
use moe_train::config::RunConfig;
use moe_train::run::{Observer, RunOptions};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

/// The way of a process with runs that others hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Waits for them, so that the table is made.
    Await,
    /// Leaves them. Each of several such processes begins at a place of its own among the runs, so that they do not
    /// meet at one lock after the other.
    Leave {
        /// The place, from 0; larger ones begin anew.
        place: u64,
    },
}

/// The end of the making of an ablation's runs.
#[derive(Debug)]
pub enum Executed {
    /// All runs are made, and compared.
    Complete(Box<AblationReport>),
    /// Other processes hold the runs that are missing.
    Left {
        /// The number of such runs.
        runs: usize,
    },
    /// It was told to stop: the run in progress is saved, and another call goes on from there.
    Stopped,
}

/// Makes the runs that are missing, first those of a tuning, evaluates them in other ways if the plan says so, and
/// compares all of them. A run that another process trains is left to it, so several processes may be given one plan.
///
/// # Errors
///
/// Returns an error if a run fails.
pub fn execute(
    plan: &Plan,
    config: &AblationConfig,
    device: &Device,
    options: &RunOptions,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
    others: Others,
) -> Result<Executed, AblateError> {
    let options = RunOptions {
        claim: plan.claim.as_ref().map(Claim::mark),
        ..options.clone()
    };
    let mut runs = Runs {
        device,
        options: &options,
        observer,
        stop,
        others,
        devices: BTreeSet::new(),
    };
    match made(plan, config, &mut runs) {
        Ok(report) => Ok(Executed::Complete(Box::new(report))),
        Err(Early::Left(runs)) => Ok(Executed::Left { runs }),
        Err(Early::Stopped) => Ok(Executed::Stopped),
        Err(Early::Failed(error)) => Err(error),
    }
}

/// Makes all runs and their table; only those up to the look of a claim that is decided by it.
fn made(
    plan: &Plan,
    config: &AblationConfig,
    runs: &mut Runs<'_>,
) -> Result<AblationReport, Early> {
    let tuning = match &plan.tune {
        None => None,
        Some(tune) => Some(tuned(plan, tune, &runs.make_all(plan.trials())?)),
    };
    let plan = plan.chosen(tuning.as_ref())?;
    if let Some(early) = plan.until_look() {
        let report = compared(&early, config, runs, tuning.clone())?;
        if report.claim.as_ref().is_some_and(ClaimReport::is_decided) {
            return Ok(report);
        }
    }
    compared(&plan, config, runs, tuning)
}

/// Makes the runs of a plan whose arms are tuned, and their table.
fn compared(
    plan: &Plan,
    config: &AblationConfig,
    runs: &mut Runs<'_>,
    tuning: Option<TuneReport>,
) -> Result<AblationReport, Early> {
    let results = runs.make_all(plan.runs().chain(plan.scaled()))?;
    let rows = runs.evaluate_all(plan, &results)?;
    let others = match &plan.claim {
        Some(claim) => runs.of_another_version(plan, claim)?,
        None => 0,
    };
    let made = MadeRuns {
        scaled: scaled(plan, &results),
        rows,
        tuning,
    };
    let mut report = reported(plan, config, made, others)?;
    if runs.devices.len() > 1 {
        report.devices = runs.devices.iter().cloned().collect();
    }
    Ok(report)
}

/// The table of results that were made before, and the decision of the plan's claim.
///
/// # Errors
///
/// Returns an error if the results are not those of the plan's rows, and its seeds or those up to its look.
pub fn reported(
    plan: &Plan,
    config: &AblationConfig,
    made: MadeRuns,
    runs_of_another_version: usize,
) -> Result<AblationReport, AblateError> {
    let plan = plan.chosen(made.tuning.as_ref())?;
    let mut report = AblationReport::new(&made.rows, config)?;
    let is_early = |early: Plan| early.seeds == report.seeds;
    if report.seeds != plan.seeds && !plan.until_look().is_some_and(is_early) {
        return Err(AblateError::OtherSeeds {
            found: report.seeds,
            planned: plan.seeds,
        });
    }
    report.sweep = plan.sweep.clone();
    report.tuning = made.tuning;
    if !made.scaled.is_empty() {
        let (budgets, runs) = made.scaled.into_iter().unzip();
        report.scaling = Some(Scaling::of(budgets, runs, &report.arms));
    }
    report.differences = plan.differences();
    if let Some(claim) = &plan.claim {
        report.decide(claim, plan.changed_by.as_deref(), runs_of_another_version);
    }
    Ok(report)
}

/// The baseline's runs at each budget, by rising budget; none without budgets.
fn scaled(plan: &Plan, results: &Results) -> Vec<(f64, Vec<SeedResult>)> {
    let runs = |budget: &f64| {
        let name = plan.with_budget(*budget).run_name();
        let seeds = plan.seeds.iter();
        let runs = seeds.map(|&seed| results[&(name.clone(), seed)].clone());
        (*budget, runs.collect())
    };
    plan.budgets.iter().map(runs).collect()
}

/// The best value of each arm.
pub(super) fn tuned(plan: &Plan, tune: &Tune, results: &Results) -> TuneReport {
    let trials = |config: &RunConfig| -> Vec<SeedResult> {
        let result = |seed: &u64| results[&(config.run_name(), *seed)].clone();
        tune.seeds.iter().map(result).collect()
    };
    let arm = |arm: &PlannedArm| {
        let trials = arm.candidates.iter().map(trials).collect();
        (arm.label.clone(), trials)
    };
    tune.report(plan.arms.iter().map(arm).collect())
}
