//! `moe bench layer`: layers of experts beside dense layers, the machine's limits and other frameworks.

use super::layer_memory::layer_memory;
use super::workloads::WorkloadArgs;
use crate::backends::OpenDevice;
use crate::exit::Status;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, ValueEnum};
use moe_bench::count::{LayerCount, LayerCounts};
use moe_bench::layer::{BenchDevice, LayerBench, LayerCase};
use moe_bench::machine::Machine;
use moe_bench::pass::Pass;
use moe_bench::peer::{Peer, PeerChoice};
use serde_json::json;
use std::cell::RefCell;

/// The arguments of `moe bench layer`.
#[derive(Args, Debug)]
#[command(
    after_help = "Workloads (T tokens of width D, K of E experts of width F):\n  \
        A  T 2048, D 512, E 8, F 2048, K 2\n  \
        B  T 2048, D 512, E 64, F 256, K 8\n  \
        C  T 4096, D 256, E 8, F 1024, K 1, capacity 1.25\n  \
        D  T 512, D 1024, E 64, F 512, K 8, one shared expert\n  \
        E  T 1, D 1024, E 8, F 3584, K 2\n  \
        F  as B with E = 8, 16, 32, 64, 128, 256 (each alone: F8 to F256)\n\nExamples:\n  \
        moe bench layer --workload A,B --pass forward\n  \
        moe bench layer --workload B --peer torch=python3 --peer torch-kept=python3\n  \
        moe bench layer --workload B --memory\n  \
        moe bench layer --workload F8,F256 --device wgpu --count\n  \
        moe bench layer --workload A --device flex --device wgpu"
)]
pub struct LayerArgs {
    #[command(flatten)]
    pub(super) what: WorkloadArgs,
    /// The pass to measure; both if left out
    #[arg(long, value_enum, value_name = "PASS", value_delimiter = ',')]
    pass: Vec<PassName>,
    /// Another framework to time in the same rounds: torch=PYTHON, or torch-kept=PYTHON with an
    /// allocator that keeps its memory
    #[arg(long, value_name = "NAME=PYTHON")]
    peer: Vec<PeerChoice>,
    /// Measure the peak memory of forward and backward, each in a process of its own, and no time
    #[arg(long, conflicts_with_all = ["pass", "peer"])]
    memory: bool,
    /// Count kernels that are launched, where the backend says, and reads by the host, and measure no time
    #[arg(long, conflicts_with_all = ["peer", "memory"])]
    count: bool,
    /// Measure it in this process
    #[arg(long, hide = true, requires = "memory")]
    pub(super) in_process: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PassName {
    /// The output alone
    Forward,
    /// The output and all gradients
    #[value(name = "forward+backward")]
    ForwardBackward,
}

impl LayerArgs {
    fn cases(&self) -> Vec<LayerCase> {
        let passes: Vec<Pass> = match &self.pass[..] {
            [] => vec![Pass::Forward, Pass::ForwardBackward],
            chosen => chosen.iter().map(|name| name.pass()).collect(),
        };
        let mut cases = Vec::new();
        for group in self.what.groups() {
            for activation in self.what.activations() {
                cases.extend(passes.iter().map(|&pass| LayerCase {
                    group: group.clone(),
                    activation,
                    pass,
                }));
            }
        }
        cases
    }
}

impl PassName {
    fn pass(self) -> Pass {
        match self {
            Self::Forward => Pass::Forward,
            Self::ForwardBackward => Pass::ForwardBackward,
        }
    }
}

/// Times layers.
pub fn layer(args: &LayerArgs, shared: &Shared) -> anyhow::Result<Status> {
    if args.memory {
        return layer_memory(args, shared);
    }
    let opened = shared.open_devices()?;
    let cases = args.cases();
    if shared.dry_run {
        return announce(&cases, args.what.rounds.rounds);
    }
    if args.count {
        return count(&cases, &opened, shared);
    }
    let mut peers = Vec::new();
    for choice in &args.peer {
        peers.push(RefCell::new(choice.start()?));
    }
    let devices: Vec<BenchDevice> = opened
        .into_iter()
        .map(|open| BenchDevice {
            machine: Machine::measure(&open.device),
            name: open.name,
            device: open.device,
        })
        .collect();
    let mut results: Vec<LayerBench> = Vec::new();
    for case in &cases {
        let result = case.run(&args.what.rounds.contest(), &devices, &peers)?;
        if !shared.json {
            print(&result.to_string())?;
            print("")?;
        }
        results.push(result);
    }
    limits(&devices, &peers, &results, shared)
}

/// Counts launches and reads of each layer on each device.
fn count(cases: &[LayerCase], opened: &[OpenDevice], shared: &Shared) -> anyhow::Result<Status> {
    let mut counts = Vec::new();
    for open in opened {
        for case in cases {
            for workload in &case.group.workloads {
                let (name, device) = (&open.name[..], &open.device);
                let count = LayerCount::measure(workload, case.activation, case.pass, name, device);
                counts.push(count);
            }
        }
    }
    if shared.json {
        print_json(&counts)?;
    } else {
        print(&LayerCounts(&counts).to_string())?;
    }
    Ok(Status::Done)
}

/// Prints what would be timed.
fn announce(cases: &[LayerCase], rounds: usize) -> anyhow::Result<Status> {
    for case in cases {
        for workload in &case.group.workloads {
            print(&format!(
                "would time {workload}; {:?}, {}, {rounds} rounds",
                case.activation, case.pass
            ))?;
        }
    }
    Ok(Status::Done)
}

/// Prints what the shares are of, or the whole document.
fn limits(
    devices: &[BenchDevice],
    peers: &[RefCell<Peer>],
    results: &[LayerBench],
    shared: &Shared,
) -> anyhow::Result<Status> {
    let machines = devices
        .iter()
        .map(|device| json!({ "device": device.name, "limits": device.machine }));
    let peers = peers.iter().map(|peer| {
        let peer = peer.borrow();
        json!({ "peer": peer.name(), "version": peer.version() })
    });
    if shared.json {
        print_json(&json!({
            "devices": machines.collect::<Vec<_>>(),
            "peers": peers.collect::<Vec<_>>(),
            "results": results,
        }))?;
        return Ok(Status::Done);
    }
    for BenchDevice { name, machine, .. } in devices {
        print(&format!(
            "{name}: the best matrix product {:.1} GFLOP/s; memory {:.1} GB/s; {} threads",
            machine.gemm_gflop_per_s, machine.read_gb_per_s, machine.threads
        ))?;
    }
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_bench::workloads::WorkloadGroup;

    #[test]
    fn the_help_lists_every_workload_as_it_is() {
        use clap::Args;
        let command = LayerArgs::augment_args(clap::Command::new("layer"));
        let help = command.get_after_help().expect("it has one").to_string();
        let singles = WorkloadGroup::all().into_iter();
        for w in singles
            .filter(|g| g.workloads.len() == 1)
            .map(|g| g.workloads[0].clone())
        {
            let line = format!(
                "{}  T {}, D {}, E {}, F {}, K {}",
                w.name, w.n_tokens, w.d_model, w.n_experts, w.d_expert, w.top_k
            );
            assert!(help.contains(&line), "{line}");
        }
    }
}
