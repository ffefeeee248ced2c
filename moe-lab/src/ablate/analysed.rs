//! Numbers of a run that an analysis finds, for the rules that ask for them.

use super::{Claim, Metric, OverRanks, Plan, SeedResult};
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
    let Some(claim) = plan.claim.as_ref().filter(|claim| asks(claim)) else {
        return Ok(made.clone());
    };
    if !made.loss.is_finite() {
        return Ok(made.clone());
    }
    let run = LoadedRun::open(&run_folder(config, &options.runs_dir), device)?;
    let options = AnalyzeOptions {
        split: Split::Validation,
        most: Some(config.train.final_windows()),
        capacities: None,
        evaluated_with: Vec::new(),
        communication: asks_of_ranks(claim).then(|| OverRanks::options(claim.n_ranks)),
        trace: None,
    };
    let found = match analyze(&run, &options, device) {
        Ok(found) => found,
        Err(AnalyzeError::Run(error)) => return Err(error),
        // models without experts have none
        Err(_) => return Ok(made.clone()),
    };
    Ok(SeedResult {
        over_ranks: found.communication().and_then(OverRanks::of),
        experts_by_frequency: match found {
            Analysis::Text(text) => text.frequency(),
            Analysis::Images(_) => None,
        },
        ..made.clone()
    })
}

fn asks(claim: &Claim) -> bool {
    let of_frequency = |metric: Metric| metric == Metric::ExpertsByFrequency;
    let mut metrics = claim.rules.iter().map(|rule| rule.metric);
    metrics.any(|metric| of_frequency(metric) || metric.is_of_ranks())
}

fn asks_of_ranks(claim: &Claim) -> bool {
    let mut metrics = claim.rules.iter().map(|rule| rule.metric);
    metrics.any(Metric::is_of_ranks)
}
