//! `moe train`: trains a model, or goes on with it.

use super::causality;
use super::fill::fill_in;
use super::plan::RunPlan;
use crate::exit::{Status, run_error};
use crate::interrupt;
use crate::invocation;
use crate::memory;
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{Progress, domain_table, print, print_json, thousands, writing};
use clap::Args;
use moe_train::config::RunConfig;
use moe_train::run::{Outcome, Summary, run_folder, train};
use moe_train::task::Task;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments of `moe train`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe train configs/quickstart.toml router.name=switch train.steps=500"
)]
pub struct TrainArgs {
    /// The configuration
    config: PathBuf,
    /// Values that replace the configuration's, such as router.name=switch
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// What is printed in JSON.
#[derive(Serialize, Debug)]
struct Report<'a> {
    /// `finished`, `already_finished` or `interrupted`.
    outcome: &'static str,
    folder: &'a Path,
    step: u64,
    summary: Option<&'a Summary>,
}

/// Trains, and prints the scores on the validation part.
pub fn run(args: &TrainArgs, shared: &Shared) -> anyhow::Result<Status> {
    let config = shared.load_config(&args.config, &args.overrides)?;
    let device = shared.open_device()?;
    if shared.dry_run {
        memory::remark(&config, &device.name, shared);
        return RunPlan::new(&config, &shared.runs, &device.name)?.show(shared);
    }
    memory::check(&config, &device.name)?;
    let stop = interrupt::stop_flag("saving, then stopping")?;
    let mut progress = Progress::new(shared, 1, config.train.log_every);
    let options = shared.run_options(&device);
    let outcome = train(&config, &device.device, &options, &mut progress, &stop);
    progress.finish();
    report(&outcome.map_err(run_error)?, &config, shared)
}

fn report(outcome: &Outcome, config: &RunConfig, shared: &Shared) -> anyhow::Result<Status> {
    let folder = run_folder(config, &shared.runs);
    let (name, step, summary) = match outcome {
        Outcome::Finished(summary) => ("finished", summary.steps, Some(summary)),
        Outcome::AlreadyFinished(summary) => ("already_finished", summary.steps, Some(summary)),
        Outcome::Interrupted { step } => ("interrupted", *step, None),
    };
    if shared.json {
        let folder = &folder;
        print_json(&Report {
            outcome: name,
            folder,
            step,
            summary,
        })?;
    } else if let Some(summary) = summary {
        if name == "already_finished" {
            shared.note(&format!(
                "this run is finished already; delete {} to train it anew",
                shown(&folder)
            ));
        }
        print_summary(summary, config, &folder)?;
        shared.next(&next(config, &folder));
    }
    if summary.is_some() {
        return Ok(Status::Done);
    }
    shared.note(&if step == 0 {
        "interrupted before the first step; the same command starts again".to_owned()
    } else {
        format!("interrupted after step {step}, which is saved; the same command goes on")
    });
    shared.next(&invocation::arguments());
    Ok(Status::Interrupted)
}

/// What to do with a trained model.
pub(super) fn next(config: &RunConfig, folder: &Path) -> String {
    match config.model.task() {
        Task::Language => format!(
            "generate {} -p \"In the beginning\" --show-experts",
            shown(folder)
        ),
        Task::Pairs => fill_in(&shown(folder)),
        Task::Images => format!("eval {}", shown(folder)),
    }
}

fn print_summary(summary: &Summary, config: &RunConfig, folder: &Path) -> anyhow::Result<()> {
    print(&format!(
        "{}: {} steps, {} tokens\n\n{}",
        folder.display(),
        thousands(summary.steps),
        thousands(summary.tokens),
        domain_table(&summary.validation)
    ))?;
    if let Some(words) = writing(&summary.validation) {
        print(&format!("\n{words}"))?;
    }
    if let Some(remark) = causality::remark(config.causality()) {
        print(&format!("\n{remark}"))?;
    }
    Ok(())
}
