//! `moe bench train`: optimizer steps of a configuration.

use crate::commands::plan::RunPlan;
use crate::exit::{OrUsage, Status, Usage, run_error};
use crate::memory;
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use crate::threads;
use burn::tensor::Device;
use clap::Args;
use moe_bench::memory::{TrainMemory, TrainMemoryError};
use moe_train::config::RunConfig;
use moe_view::{duration, thousands};
use std::path::PathBuf;
use std::time::Duration;

/// The arguments of `moe bench train`.
#[derive(Args, Debug)]
pub(super) struct TrainArgs {
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
    /// Print the parts of a step, with the processors that each kept busy
    #[arg(long)]
    profile: bool,
    /// Print the peak memory of the steps beside what is counted for a model of these sizes
    #[arg(long, conflicts_with = "profile")]
    memory: bool,
}

/// Measures training steps: their speed, their parts, or their memory.
pub(super) fn train(args: &TrainArgs, shared: &Shared) -> anyhow::Result<Status> {
    if args.steps == 0 {
        return Err(Usage::error("--steps 0 measures nothing; give at least 1"));
    }
    let config = shared.load_config(&args.config, &args.overrides)?;
    let device = shared.open_device()?;
    if shared.dry_run {
        memory::remark(&config, 1, &device.name, shared);
        return RunPlan::new(&config, &shared.runs, &device.name)?.show(shared);
    }
    memory::check(&config, 1, &device.name)?;
    if args.memory {
        return train_memory(&config, args, &device.device, shared);
    }
    let result = moe_bench::train::bench(
        &config,
        &device.device,
        args.warmup,
        args.steps,
        args.profile.then_some(threads::worked as fn() -> Duration),
    )
    .or_usage()?;
    if shared.json {
        print_json(&result)?;
    } else {
        print(&result.to_string())?;
        let tokens = (config.train.steps * config.tokens_per_step()) as f64;
        shared.note(&format!(
            "all {} steps of this configuration take about {}, evaluations not counted",
            thousands(config.train.steps),
            duration(tokens / result.tokens_per_s)
        ));
        shared.next(&format!("train {}", shown(&args.config)));
    }
    Ok(Status::Done)
}

fn train_memory(
    config: &RunConfig,
    args: &TrainArgs,
    device: &Device,
    shared: &Shared,
) -> anyhow::Result<Status> {
    let measured = TrainMemory::measure(config, device, args.warmup + args.steps);
    let result = measured.map_err(|error| match error {
        TrainMemoryError::Run(error) => run_error(error),
        TrainMemoryError::System(_) => error.into(),
    })?;
    if shared.json {
        print_json(&result)?;
    } else {
        print(&result.to_string())?;
    }
    Ok(Status::Done)
}
