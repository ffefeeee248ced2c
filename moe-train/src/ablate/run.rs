use super::{AblateError, AblationConfig, AblationReport, ArmResult, Plan, PlannedArm, SeedResult};
use crate::config::RunConfig;
use crate::run::{
    Observer, Outcome, RunError, RunFolder, RunOptions, read_manifest, run_folder, train,
};
use burn::tensor::Device;
use std::sync::atomic::AtomicBool;

/// Makes the runs that are missing and compares all of them. Returns nothing if it was told to stop:
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
    let mut results: Vec<ArmResult> = plan.arms.iter().map(unmade).collect();
    for &seed in &plan.seeds {
        for (arm, result) in plan.arms.iter().zip(&mut results) {
            let config = seeded(arm, seed);
            let made = make(&config, device, options, observer, stop);
            let made = made.map_err(|source| AblateError::Run {
                label: arm.label.clone(),
                seed,
                source: Box::new(source),
            })?;
            match made {
                Some(made) => result.seeds.push(made),
                None => return Ok(None),
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

fn unmade(arm: &PlannedArm) -> ArmResult {
    ArmResult {
        label: arm.label.clone(),
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

fn seeded(arm: &PlannedArm, seed: u64) -> RunConfig {
    RunConfig {
        seed,
        ..arm.config.clone()
    }
}
