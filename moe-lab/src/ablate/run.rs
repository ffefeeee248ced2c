//! The runs of an ablation, one after the other.

use super::{AblateError, AblationConfig, AblationReport, Arm, ArmResult};
use super::{Plan, PlannedArm, SeedResult, TestedArm};
use burn::tensor::Device;
use moe_train::config::RunConfig;
use moe_train::data::Split;
use moe_train::run::{
    LoadedRun, Observer, Outcome, RunError, RunFolder, RunOptions, Watch, evaluate_run,
    read_manifest, run_folder, train,
};
use std::sync::atomic::AtomicBool;

/// Makes the runs that are missing, evaluates them in other ways if the plan says so, and compares all of
/// them. Returns nothing if it was told to stop:
/// the run in progress is saved, and another call goes on from there.
///
/// # Errors
///
/// Returns an error if a run fails.
pub fn execute(
    plan: &Plan,
    device: &Device,
    options: &RunOptions,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<AblationReport>, AblateError> {
    let mut results: Vec<ArmResult> = plan.tested.iter().map(unmade).collect();
    for &seed in &plan.seeds {
        for (place, arm) in plan.arms.iter().enumerate() {
            let failed = |label: &str, source| AblateError::Run {
                label: label.to_owned(),
                seed,
                source: Box::new(source),
            };
            let config = seeded(arm, seed);
            let made = make(&config, device, options, observer, stop);
            let Some(made) = made.map_err(|source| failed(&arm.label, source))? else {
                return Ok(None);
            };
            let rows = plan.tested.iter().zip(&mut results);
            for (tested, result) in rows.filter(|(tested, _)| tested.arm == place) {
                let mut watch = Watch { observer, stop };
                let scored = match &tested.evaluation {
                    Some(way) => evaluate(&made, way, &config, device, options, &mut watch)
                        .map_err(|source| failed(&tested.label, source))?,
                    None => Some(made.clone()),
                };
                let Some(scored) = scored else {
                    return Ok(None);
                };
                result.seeds.push(scored);
            }
        }
    }
    let mut report = AblationReport::new(&results, &AblationConfig::default())?;
    report.sweep = plan.sweep.clone();
    if let Some(claim) = &plan.claim {
        report.decide(claim, plan.changed_by.as_deref());
    }
    Ok(Some(report))
}

fn unmade(arm: &TestedArm) -> ArmResult {
    ArmResult {
        label: arm.label.clone(),
        evaluation: arm.evaluation.as_ref().map(|way| way.label.clone()),
        seeds: Vec::new(),
    }
}

/// Makes a run, or reads it; nothing if it was told to stop.
fn make(
    config: &RunConfig,
    device: &Device,
    options: &RunOptions,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<SeedResult>, RunError> {
    match train(config, device, options, observer, stop) {
        Ok(Outcome::Finished(summary) | Outcome::AlreadyFinished(summary)) => {
            let folder = RunFolder::new(run_folder(config, &options.runs_dir));
            Ok(Some(SeedResult::new(&summary, &read_manifest(&folder)?)))
        }
        Ok(Outcome::Interrupted { .. }) => Ok(None),
        Err(RunError::Diverged { .. }) => Ok(Some(SeedResult::diverged(config))),
        Err(error) => Err(error),
    }
}

/// Scores a trained run with other values of its router, on what its last evaluation scored; one that diverged
/// has no score. Nothing if it was told to stop.
fn evaluate(
    made: &SeedResult,
    way: &Arm,
    config: &RunConfig,
    device: &Device,
    options: &RunOptions,
    watch: &mut Watch<'_>,
) -> Result<Option<SeedResult>, RunError> {
    if !made.loss.is_finite() {
        return Ok(Some(made.clone()));
    }
    let folder = run_folder(config, &options.runs_dir);
    let run = LoadedRun::open_with(&folder, &way.overrides, device)?;
    let most = Some(config.train.final_windows());
    let metrics = evaluate_run(&run, Split::Validation, most, device, watch)?;
    Ok(metrics.map(|metrics| made.clone().scored(&metrics)))
}

fn seeded(arm: &PlannedArm, seed: u64) -> RunConfig {
    RunConfig {
        seed,
        ..arm.config.clone()
    }
}
