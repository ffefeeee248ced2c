//! `moe bench dispatch`: the parts of layers of experts.

use super::workloads::WorkloadArgs;
use crate::exit::Status;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_bench::dispatch::{self, DispatchBench};

/// The arguments of `moe bench dispatch`.
#[derive(Args, Debug)]
pub struct DispatchArgs {
    #[command(flatten)]
    what: WorkloadArgs,
}

/// Times the parts of layers.
pub fn dispatch(args: &DispatchArgs, shared: &Shared) -> anyhow::Result<Status> {
    let open = shared.open_device()?;
    let mut results: Vec<DispatchBench> = Vec::new();
    for (workload, activation) in args.what.single() {
        if shared.dry_run {
            print(&format!(
                "would time the parts of {workload}; {activation:?}"
            ))?;
            continue;
        }
        let contest = args.what.rounds.contest();
        let result = dispatch::bench(&workload, activation, &contest, &open.name, &open.device);
        if !shared.json {
            print(&result.to_string())?;
            print("")?;
        }
        results.push(result);
    }
    if shared.json && !shared.dry_run {
        print_json(&results)?;
    }
    Ok(Status::Done)
}
