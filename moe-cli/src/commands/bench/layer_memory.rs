//! `moe bench layer --memory`: the peak memory of layers.

use super::layer::LayerArgs;
use crate::exit::Status;
use crate::shared::Shared;
use crate::terminal::{print, print_json, say};
use anyhow::Context;
use moe_bench::memory::LayerMemory;
use moe_bench::workloads::Workload;
use moe_experts::Activation;
use std::process::Command;

/// Measures memory in a process for each layer, because an allocator keeps what it once had.
pub(super) fn layer_memory(args: &LayerArgs, shared: &Shared) -> anyhow::Result<Status> {
    let opened = shared.open_device()?;
    let mut results = Vec::new();
    for (workload, activation) in args.what.single() {
        let result = if args.in_process {
            LayerMemory::measure(&workload, activation, &opened.device)
                .map_err(anyhow::Error::msg)
                .context("the peak memory is not known")?
        } else {
            memory_of_child(&workload, activation, &opened.name)?
        };
        if !shared.json {
            print(&result.to_string())?;
        }
        results.push(result);
    }
    if shared.json {
        print_json(&results)?;
    }
    Ok(Status::Done)
}

fn memory_of_child(
    workload: &Workload,
    activation: Activation,
    device: &str,
) -> anyhow::Result<LayerMemory> {
    let activation = serde_json::to_value(activation)?;
    let activation = activation.as_str().unwrap_or_default();
    let program = std::env::current_exe().context("this program has no path")?;
    let flags = "bench layer --memory --in-process --json --workload";
    let output = Command::new(program)
        .args(flags.split(' '))
        .args([
            workload.name,
            "--activation",
            activation,
            "--device",
            device,
        ])
        .output()
        .context("cannot start a process of this program")?;
    if !output.status.success() {
        say(String::from_utf8_lossy(&output.stderr).trim_end());
        anyhow::bail!("the process that measures {} failed", workload.name);
    }
    let mut results: Vec<LayerMemory> = serde_json::from_slice(&output.stdout)?;
    results.pop().context("the process measured nothing")
}
