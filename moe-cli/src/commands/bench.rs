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
#[command(
    after_help = "Examples:\n  moe bench train configs/quickstart.toml router.name=switch\n  moe bench attention"
)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

/// What can be measured.
#[derive(Subcommand, Debug)]
enum What {
    /// Optimizer steps of a configuration: tokens a second, milliseconds a step
    Train(TrainArgs),
    /// Decoding with grouped-query and latent attention: milliseconds and cache bytes a token
    Attention(AttentionArgs),
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

/// The arguments of `moe bench attention`.
#[derive(Args, Debug)]
struct AttentionArgs {
    /// The longest context, tokens; contexts are 128 and its doubles
    #[arg(long, value_name = "N", default_value_t = 8192)]
    max_context: usize,
    /// Tokens that are measured at each length of context
    #[arg(long, value_name = "N", default_value_t = 10)]
    steps: usize,
}

/// Measures and prints.
pub fn run(args: &BenchArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.what {
        What::Train(args) => train(args, shared),
        What::Attention(args) => attention(args, shared),
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

fn attention(args: &AttentionArgs, shared: &Shared) -> anyhow::Result<Status> {
    if args.steps == 0 {
        return Err(Usage::error("--steps 0 measures nothing; give at least 1"));
    }
    if args.max_context < 128 {
        return Err(Usage::error(format!(
            "--max-context {} is shorter than the shortest context; give at least 128",
            args.max_context
        )));
    }
    let device = shared.open_device()?;
    if shared.dry_run {
        let contexts: Vec<String> = moe_bench::attention::contexts(args.max_context)
            .map(|context| context.to_string())
            .collect();
        print(&format!(
            "would time {} tokens after each context of {} tokens on {}",
            args.steps,
            contexts.join(", "),
            device.name
        ))?;
        return Ok(Status::Done);
    }
    let result = moe_bench::attention::bench(&device.device, args.max_context, args.steps);
    if shared.json {
        print_json(&result)?;
    } else {
        print(&result.to_string())?;
    }
    Ok(Status::Done)
}
