//! `moe eval`: scores a run on held-out data.

use super::causality;
use super::fill::fill_in;
use super::plan::ReadPlan;
use super::score::ScoreArgs;
use super::trace::{traced, wrote};
use crate::exit::{Status, Usage, analyze_error, run_error};
use crate::interrupt;
use crate::runs::{find, shown};
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::{Progress, print, print_json};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use moe_checkpoint::PublishedCheckpoint;
use moe_lab::analyze::record;
use moe_train::data::Split;
use moe_train::run::{EvalMetrics, LoadedRun, Watch, evaluate_run_on};
use moe_train::task::Task;
use moe_view::{domain_table, evaluated_with, layer_table, thousands, writing};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments of `moe eval`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  moe eval runs/NAME/seed-0 --split test\n  \
                  moe eval runs/NAME/seed-0 router.capacity_factor=0.5\n  \
                  moe eval CHECKPOINT --data novel.txt,news.txt --stride 256")]
pub struct EvalArgs {
    /// The folder of a run, or one of its checkpoints; with --data also a published checkpoint
    run: PathBuf,
    /// Values of the router that replace those it was trained with, if they change no parameter
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The part of the data: training has seen neither, but choices are made by validation
    #[arg(long, value_enum, default_value_t = HeldOut::Test)]
    split: HeldOut,
    /// Score at most N windows, images or pairs, evenly spaced. Default: the whole part
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    windows: Option<u64>,
    #[command(flatten)]
    texts: ScoreArgs,
    /// Write a trace of the routings of what is scored, for `moe trace`; reads it once more
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl EvalArgs {
    /// The most windows, images or pairs.
    fn most(&self) -> Option<usize> {
        let most = self.windows;
        most.map(|n| usize::try_from(n).unwrap_or(usize::MAX))
    }
}

const TRACE: Output = Output {
    flag: "--trace",
    maker: "moe eval",
    kind: Kind::Trace,
};

/// The parts of the data that training does not read.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldOut {
    /// The last 5 % of each text; of images the set's own test part, or a fifth
    Test,
    /// The 5 % before them
    Validation,
}

impl From<HeldOut> for Split {
    fn from(split: HeldOut) -> Self {
        match split {
            HeldOut::Test => Self::Test,
            HeldOut::Validation => Self::Validation,
        }
    }
}

/// The output in JSON.
#[derive(Serialize, Debug)]
struct Report<'a> {
    folder: &'a Path,
    /// Values that replaced those of the training.
    overrides: &'a [String],
    causal: bool,
    causal_in_training: bool,
    #[serde(flatten)]
    metrics: &'a EvalMetrics,
}

/// The scored part of the data, in words.
fn scored(metrics: &EvalMetrics) -> String {
    let (n, what) = match (metrics.n_bytes, metrics.n_images, metrics.n_targets) {
        (_, Some(images), _) => (images, "images"),
        (_, None, Some(targets)) => (targets, "target tokens"),
        (bytes, None, None) => (bytes.unwrap_or(0), "bytes of text"),
    };
    let part = match (metrics.n_scored, metrics.n_part) {
        (Some(scored), Some(all)) if !metrics.whole => format!(
            "{} of {} {} of the {} part",
            thousands(scored as u64),
            thousands(all as u64),
            match metrics.n_images {
                Some(_) => "images",
                None => "windows",
            },
            metrics.split
        ),
        _ => format!("{} part", metrics.split),
    };
    format!("{} {what}, {part}", thousands(n as u64))
}

/// Scores the run; nothing if it was interrupted.
fn score(
    run: &LoadedRun,
    args: &EvalArgs,
    device: &Device,
    shared: &Shared,
) -> anyhow::Result<Option<EvalMetrics>> {
    let stop = interrupt::stop_flag("stopping")?;
    let mut progress = Progress::new(shared, 1, 1);
    let mut watch = Watch {
        observer: &mut progress,
        stop: &stop,
    };
    let world = &*shared.mesh.world;
    let metrics = evaluate_run_on(
        world,
        run,
        args.split.into(),
        args.most(),
        device,
        &mut watch,
    );
    progress.finish();
    metrics.map_err(run_error)
}

/// The scores and what they are of.
fn text(run: &LoadedRun, metrics: &EvalMetrics, overrides: &[String]) -> String {
    let title = format!(
        "{}, step {}: {}{}",
        run.folder.display(),
        metrics.step,
        scored(metrics),
        evaluated_with(overrides)
    );
    let mut parts = vec![title, domain_table(metrics), layer_table(&metrics.layers)];
    parts.extend(writing(metrics));
    parts.extend(causality::remark(run.config.causality()).map(str::to_owned));
    parts.join("\n\n")
}

/// Scores the run and prints the score of each domain or class.
pub fn run(args: &EvalArgs, shared: &Shared) -> anyhow::Result<Status> {
    if let Some(data) = &args.texts.data {
        return args.texts.run(&args.run, data, shared);
    }
    held_out(args, shared)
}

/// Scores the run on its own held-out data.
fn held_out(args: &EvalArgs, shared: &Shared) -> anyhow::Result<Status> {
    if PublishedCheckpoint::is_at(&args.run) {
        return Err(Usage::error(format!(
            "{}: a published checkpoint has no held-out data; name texts with --data PATH",
            shown(&args.run)
        )));
    }
    let trace = Target::of(args.trace.as_deref(), TRACE, args.overwrite)?;
    let path = find(&args.run, &shared.runs)?;
    let device = shared.open_device()?;
    let run = LoadedRun::open_with(&path, &args.overrides, &device.device).map_err(run_error)?;
    if shared.dry_run {
        let task = format!("score the {} part", Split::from(args.split));
        return ReadPlan::new(&run, &device.name, task).show(shared);
    }
    let Some(metrics) = score(&run, args, &device.device, shared)? else {
        shared.note("interrupted; the same command begins anew");
        return Ok(Status::Interrupted);
    };
    if !shared.mesh.is_root() {
        return Ok(Status::Done);
    }
    if let Some(trace) = &trace {
        let options = traced(trace, &device);
        let recorded = record(
            &run,
            args.split.into(),
            args.most(),
            options,
            &device.device,
        );
        recorded.map_err(analyze_error)?;
        wrote(trace, shared);
    }
    answer(args, &run, &metrics, shared)?;
    if trace.is_none() && !shared.json {
        next(&run, &path, shared);
    }
    Ok(Status::Done)
}

/// Prints the scores.
fn answer(
    args: &EvalArgs,
    run: &LoadedRun,
    metrics: &EvalMetrics,
    shared: &Shared,
) -> anyhow::Result<()> {
    if !shared.json {
        return Ok(print(&text(run, metrics, &args.overrides))?);
    }
    let causality = run.config.causality();
    print_json(&Report {
        folder: &run.folder,
        overrides: &args.overrides,
        causal: causality::holds(causality),
        causal_in_training: causality::holds_in_training(causality),
        metrics,
    })
}

/// Points to a command that shows what the run has learned.
fn next(run: &LoadedRun, path: &Path, shared: &Shared) {
    let path = shown(path);
    shared.next(&match run.config.model.task() {
        Task::Text => format!("generate {path} -p \"In the beginning\" --show-experts"),
        Task::Pairs => fill_in(&path),
        Task::Images => format!("analyze {path} -o experts.html"),
    });
}
