//! Numbers of a run that an analysis finds, for the rules that ask for them.

use super::{Metric, Plan, Rule, SeedResult};
use crate::analyze::{Analysis, AnalyzeError, AnalyzeOptions, analyze};
use burn::tensor::Device;
use moe_train::config::RunConfig;
use moe_train::data::Split;
use moe_train::run::{LoadedRun, RunError, RunOptions, run_folder};

/// The result with what an analysis of its run finds, if a rule of the claim asks for it.
pub(super) fn analysed(
    plan: &Plan,
    made: &SeedResult,
    config: &RunConfig,
    options: &RunOptions,
    device: &Device,
) -> Result<SeedResult, RunError> {
    let asks = |rule: &Rule| rule.metric == Metric::ExpertsByFrequency;
    let asked = plan.claim.iter().flat_map(|claim| &claim.rules).any(asks);
    if !asked || !made.loss.is_finite() {
        return Ok(made.clone());
    }
    let run = LoadedRun::open(&run_folder(config, &options.runs_dir), device)?;
    let options = AnalyzeOptions {
        split: Split::Validation,
        most: Some(config.train.final_windows()),
        capacities: None,
        evaluated_with: Vec::new(),
    };
    let experts_by_frequency = match analyze(&run, &options, device) {
        Ok(Analysis::Text(found)) => found.frequency(),
        Err(AnalyzeError::Run(error)) => return Err(error),
        // images, and models without experts, have none
        Ok(Analysis::Images(_)) | Err(_) => None,
    };
    Ok(SeedResult {
        experts_by_frequency,
        ..made.clone()
    })
}
