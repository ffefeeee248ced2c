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
    let mut results: Vec<ArmResult> = plan
        .arms
        .iter()
        .map(|arm| ArmResult {
            label: arm.label.clone(),
            seeds: Vec::new(),
        })
        .collect();
    for &seed in &plan.seeds {
        for (arm, result) in plan.arms.iter().zip(&mut results) {
            let failed = |source| AblateError::Run {
                label: arm.label.clone(),
                seed,
                source: Box::new(source),
            };
            let config = seeded(arm, seed);
            let outcome = match train(&config, device, options, observer, stop) {
                Err(RunError::Diverged { .. }) => {
                    result.seeds.push(diverged(&config));
                    continue;
                }
                outcome => outcome.map_err(failed)?,
            };
            let (Outcome::Finished(summary) | Outcome::AlreadyFinished(summary)) = outcome else {
                return Ok(None);
            };
            let folder = RunFolder::new(run_folder(&config, &options.runs_dir));
            let manifest = read_manifest(&folder).map_err(failed)?;
            result.seeds.push(seed_result(&summary, &manifest));
        }
    }
    let mut report = AblationReport::new(&results, &AblationConfig::default())?;
    report.sweep = plan.sweep.clone();
    if let Some(claim) = &plan.claim {
        report.decide(claim);
    }
    Ok(Some(report))
}

/// The result of a run whose loss was not a number any more.
fn diverged(config: &RunConfig) -> SeedResult {
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
        causal: config.router.info().causality.is_causal(),
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
    }
}
