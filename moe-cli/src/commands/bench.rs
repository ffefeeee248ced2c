//! `moe bench`: measures speed.

use super::plan::RunPlan;
use crate::exit::{OrUsage, Status, Usage};
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The arguments of `moe bench`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moe bench train configs/quickstart.toml router.name=switch")]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

/// What can be measured.
#[derive(Subcommand, Debug)]
enum What {
    /// Optimizer steps of a configuration: tokens a second, milliseconds a step
    Train(TrainArgs),
}

/// The arguments of `moe bench train`.
#[derive(Args, Debug)]
struct TrainArgs {
    /// The configuration
    config: PathBuf,
    /// Values that replace the configuration's, such as router.name=switch
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Steps before the clock starts
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: usize,
    /// Steps that are measured
    #[arg(long, value_name = "N", default_value_t = 20)]
    steps: usize,
}

/// Measures and prints.
pub fn run(args: &BenchArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.what {
        What::Train(args) => train(args, shared),
    }
}

fn train(args: &TrainArgs, shared: &Shared) -> anyhow::Result<Status> {
    if args.steps == 0 {
        return Err(Usage::error("--steps 0 measures nothing; give at least 1"));
    }
    let config = shared.load_config(&args.config, &args.overrides)?;
    let device = shared.open_device()?;
    if shared.dry_run {
        return RunPlan::new(&config, &shared.runs, &device.name)?.show(shared);
    }
    let result =
        moe_bench::train::bench(&config, &device.device, args.warmup, args.steps).or_usage()?;
    if shared.json {
        print_json(&result)?;
    } else {
        print(&result.to_string())?;
        shared.next(&format!("train {}", shown(&args.config)));
    }
    Ok(Status::Done)
}
