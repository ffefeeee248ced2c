//! A command for each run that is missing.

use crate::exit::{OrUsage, Usage};
use crate::invocation::program_anywhere;
use crate::shared::{LockKind, Shared};
use moe_lab::ablate::{Plan, PlannedRun};
use moe_lab::runs::Standing;
use moe_train::config::RunConfig;
use moe_view::quote;
use std::path::Path;

/// The commands that make the missing runs, one each.
pub(super) fn commands(
    standing: &Standing,
    plan: &Plan,
    given: &Path,
    shared: &Shared,
) -> anyhow::Result<Vec<String>> {
    if plan.file == given && plan.claim.is_some() {
        return Err(Usage::error(format!(
            "{} holds the configuration of its arms itself, where `moe train` cannot read it; use --worker or --submit",
            given.display()
        )));
    }
    let program = program_anywhere()?;
    let missing = standing.missing();
    missing
        .map(|run| {
            let words = words(&run.planned, plan, shared)?;
            let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
            Ok(format!("{program} {}", quoted.join(" ")))
        })
        .collect()
}

/// The arguments of the command that makes a run.
fn words(run: &PlannedRun, plan: &Plan, shared: &Shared) -> anyhow::Result<Vec<String>> {
    let mut values = run.overrides.clone();
    values.retain(|word| !word.starts_with("seed="));
    check(run, plan, &values)?;
    let mut words = vec!["train".to_owned(), plan.file.display().to_string()];
    words.extend(values);
    words.extend(["--seed".to_owned(), run.config.seed.to_string()]);
    words.extend(["--runs".to_owned(), shared.runs.display().to_string()]);
    if let Some(device) = shared.device.first() {
        words.extend(["--device".to_owned(), device.name()]);
    }
    if shared.lock == LockKind::Lease {
        words.extend(["--lock", "lease"].map(str::to_owned));
    }
    Ok(words)
}

/// Refuses a run that the words do not make.
fn check(run: &PlannedRun, plan: &Plan, values: &[String]) -> anyhow::Result<()> {
    let seed = format!("seed={}", run.config.seed);
    let words = [values, &[seed]].concat();
    let made = RunConfig::load(&plan.file, &words).or_usage()?.config;
    if made == run.config {
        return Ok(());
    }
    Err(Usage::error(format!(
        "no command makes the run {} with seed {} alone; use --worker or --submit",
        run.label, run.config.seed
    )))
}
