use super::{AblateError, AblationConfig, AblationReport, ArmResult, Plan, PlannedArm, SeedResult};
use crate::config::RunConfig;
use crate::run::{
    LayerMetrics, Manifest, Observer, Outcome, RunError, RunFolder, RunOptions, Summary,
    read_manifest, run_folder, train,
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
            Ok(Some(seed_result(&summary, &read_manifest(&folder)?)))
        }
        Ok(Outcome::Interrupted { .. }) => Ok(None),
        Err(RunError::Diverged { .. }) => Ok(Some(diverged(config))),
        Err(error) => Err(error),
    }
}

/// The result of a run whose loss was not a number any more.
fn diverged(config: &RunConfig) -> SeedResult {
    let causality = config.router.info().causality;
    SeedResult {
        seed: config.seed,
        loss: f64::NAN,
        tokens_per_s: f64::NAN,
        max_vio: f64::NAN,
        entropy: f64::NAN,
        drop_rate: f64::NAN,
        dead_experts: f64::NAN,
        steps: config.train.steps,
        tokens: config.train.steps * config.tokens_per_step(),
        params_active: config.account().params_active as u64,
        causal: causality.is_causal(),
        causal_in_training: causality.is_causal_in_training(),
        measured: None,
    }
}

fn seeded(arm: &PlannedArm, seed: u64) -> RunConfig {
    RunConfig {
        seed,
        ..arm.config.clone()
    }
}

fn seed_result(summary: &Summary, manifest: &Manifest) -> SeedResult {
    let layers = &summary.validation.layers;
    let mean = |metric: fn(&LayerMetrics) -> f64| {
        layers.iter().map(metric).sum::<f64>() / layers.len().max(1) as f64
    };
    SeedResult {
        seed: summary.seed,
        loss: summary.validation.bits_per_byte,
        tokens_per_s: manifest.tokens_per_s,
        max_vio: mean(|layer| layer.max_vio),
        entropy: mean(|layer| layer.load_entropy),
        drop_rate: mean(|layer| layer.drop_rate),
        dead_experts: mean(|layer| layer.dead_experts as f64),
        steps: summary.steps,
        tokens: summary.tokens,
        params_active: summary.params_active as u64,
        causal: summary.causal,
        causal_in_training: summary.causal_in_training,
        measured: summary.measured,
    }
}
