//! `moe train`: trains a model, or goes on with it.

use super::causality;
use super::fill::fill_in;
use super::plan::RunPlan;
use crate::exit::{Status, run_error};
use crate::interrupt;
use crate::invocation;
use crate::memory;
use crate::runs::{find, shown};
use crate::shared::Shared;
use crate::terminal::{Progress, print, print_json};
use anyhow::Context;
use clap::Args;
use moe_train::config::RunConfig;
use moe_train::run::{Outcome, Summary, checkpoint_path, run_folder, shorter_run, train};
use moe_train::task::Task;
use moe_view::{domain_table, thousands, writing};
use serde::Serialize;
use std::fs;
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
    /// Call a new run's folder LABEL-HASH. The hash of the configuration still decides which run it is
    #[arg(long, value_name = "LABEL", value_parser = label)]
    name: Option<String>,
    /// Start from the weights of a run, or of one of its checkpoints, of the same sizes. It becomes part of the
    /// configuration (`train.from`), and so of the run's folder
    #[arg(long, value_name = "RUN")]
    from: Option<PathBuf>,
}

/// Refuses what is no word in a file's name.
fn label(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let good = (1..=64).contains(&text.chars().count()) && text.chars().all(is_plain);
    if good && !text.starts_with(['-', '.']) {
        Ok(text.to_owned())
    } else {
        Err("a label is 1 to 64 letters, digits, `-`, `_` or `.`, and begins with a letter or digit".to_owned())
    }
}

/// The output in JSON.
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
    let mut overrides = args.overrides.clone();
    if let Some(from) = &args.from {
        let checkpoint = checkpoint_path(&find(from, &shared.runs)?).map_err(run_error)?;
        let path = serde_json::to_string(&checkpoint.display().to_string())?;
        overrides.push(format!("train.from={path}"));
    }
    let config = shared.load_config(&args.config, &overrides)?;
    let device = shared.open_device()?;
    if shared.dry_run {
        memory::remark(&config, 1, &device.name, shared);
        return RunPlan::new(&config, &shared.runs, &device.name)?.show(shared);
    }
    memory::check(&config, 1, &device.name)?;
    if let Some(name) = &args.name {
        name_question(name, &config, shared)?;
    }
    note_shorter(&config, args, shared);
    if shared.mesh.is_shared() {
        shared.note(&processes(&config, shared));
    }
    let stop = interrupt::stop_flag("saving, then stopping")?;
    let mut progress = Progress::new(shared, 1, config.train.log_every);
    let options = shared.run_options(&device);
    let outcome = train(&config, &device.device, &options, &mut progress, &stop);
    progress.finish();
    report(&outcome.map_err(run_error)?, &config, shared)
}

/// The processes of a run and what each of them holds, in words.
fn processes(config: &RunConfig, shared: &Shared) -> String {
    let mesh = &shared.mesh;
    let (ranks, parts) = (mesh.world.size(), mesh.experts.size());
    let n_experts = config.experts().n_experts;
    format!(
        "{ranks} processes ({}): {} x {parts}, {} of {n_experts} experts each; a step is {} micro-batches of {} tokens",
        mesh.world.engine(),
        ranks / parts,
        n_experts / parts,
        config.train.accumulate,
        thousands(config.tokens_per_step() / config.train.accumulate as u64)
    )
}

/// Makes the folder of a new configuration under a name of the reader's.
fn name_question(name: &str, config: &RunConfig, shared: &Shared) -> anyhow::Result<()> {
    let seed = run_folder(config, &shared.runs);
    let question = seed.parent().unwrap_or(&seed);
    let named = shared.runs.join(format!("{name}-{}", config.hash()));
    if question.exists() && question != named {
        shared.note(&format!(
            "this configuration has a folder already: {}",
            shown(question)
        ));
        return Ok(());
    }
    fs::create_dir_all(&named).with_context(|| format!("cannot create {}", named.display()))
}

/// Says so if the same training was made with fewer steps: it is not gone on with, for the learning rate of
/// each step depends on their number.
fn note_shorter(config: &RunConfig, args: &TrainArgs, shared: &Shared) {
    if args.from.is_some() || run_folder(config, &shared.runs).exists() {
        return;
    }
    if let Some((folder, steps)) = shorter_run(config, &shared.runs) {
        shared.note(&format!(
            "{} is the same run of {} steps. This one begins anew, since its learning rate differs from the first \
             step on; `--from {}` starts from those weights",
            shown(&folder),
            thousands(steps),
            shown(&folder)
        ));
    }
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
    let steps = config.train.steps;
    shared.note(&if step == 0 {
        "interrupted before the first step; the same command starts again".to_owned()
    } else if step == steps {
        "interrupted after the last step, which is saved; the same command evaluates".to_owned()
    } else {
        format!("interrupted after step {step}, which is saved; the same command goes on")
    });
    shared.next(&invocation::arguments());
    Ok(Status::Interrupted)
}

/// The next command to try on a trained model.
pub(super) fn next(config: &RunConfig, folder: &Path) -> String {
    match config.model.task() {
        Task::Text => format!(
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
