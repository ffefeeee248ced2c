//! `moe bench layer|dispatch|router`: layers of experts, their parts, and the routers.

use crate::exit::Status;
use crate::shared::Shared;
use crate::terminal::{print, print_json, say};
use anyhow::Context;
use clap::{Args, ValueEnum};
use moe_bench::contest::Contest;
use moe_bench::dispatch::DispatchBench;
use moe_bench::layer::{BenchDevice, LayerBench, LayerCase, Pass};
use moe_bench::machine::Machine;
use moe_bench::memory::LayerMemory;
use moe_bench::peer::{Peer, PeerChoice};
use moe_bench::workloads::{Workload, WorkloadGroup};
use moe_bench::{dispatch, routing};
use moe_experts::Activation;
use moe_router::RouterConfig;
use serde_json::json;
use std::cell::RefCell;
use std::process::Command;

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
        moe bench layer --workload A --device flex --device wgpu"
)]
pub struct LayerArgs {
    #[command(flatten)]
    what: WorkloadArgs,
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
    /// Measure it in this process
    #[arg(long, hide = true, requires = "memory")]
    in_process: bool,
}

/// The arguments of `moe bench dispatch`.
#[derive(Args, Debug)]
pub struct DispatchArgs {
    #[command(flatten)]
    what: WorkloadArgs,
}

/// The layers.
#[derive(Args, Debug)]
struct WorkloadArgs {
    /// Workloads; all if left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = group)]
    workload: Vec<WorkloadGroup>,
    /// Activations; both if left out
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',')]
    activation: Vec<ActivationName>,
    #[command(flatten)]
    rounds: RoundArgs,
}

/// The arguments of `moe bench router`.
#[derive(Args, Debug)]
pub struct RouterArgs {
    /// Routers; all if left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = router)]
    router: Vec<&'static str>,
    #[command(flatten)]
    rounds: RoundArgs,
}

/// The number of times.
#[derive(Args, Debug)]
struct RoundArgs {
    /// Times that everything is measured, in alternation
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = super::at_least_one)]
    rounds: usize,
    /// Rounds before those that count
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: usize,
}

/// The activations that all peers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActivationName {
    /// Two matrices
    Gelu,
    /// Three matrices
    Swiglu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PassName {
    /// The output alone
    Forward,
    /// The output and all gradients
    #[value(name = "forward+backward")]
    ForwardBackward,
}

fn group(name: &str) -> Result<WorkloadGroup, String> {
    let names = WorkloadGroup::NAMES.join(", ");
    WorkloadGroup::of(name).ok_or_else(|| {
        format!("there is no workload `{name}`; there are {names}, and F8 to F256 of F alone")
    })
}

fn router(name: &str) -> Result<&'static str, String> {
    let mut names = RouterConfig::NAMES.iter();
    let found = names.find(|listed| **listed == name);
    found
        .copied()
        .ok_or_else(|| format!("there is no router `{name}`; `moe list routers` shows all"))
}

impl WorkloadArgs {
    fn groups(&self) -> Vec<WorkloadGroup> {
        match &self.workload[..] {
            [] => WorkloadGroup::all(),
            groups => groups.to_vec(),
        }
    }

    fn activations(&self) -> Vec<Activation> {
        let all = [ActivationName::Gelu, ActivationName::Swiglu];
        let chosen = match &self.activation[..] {
            [] => &all[..],
            chosen => chosen,
        };
        let activation = |name: &ActivationName| match name {
            ActivationName::Gelu => Activation::Gelu,
            ActivationName::Swiglu => Activation::SwiGlu,
        };
        chosen.iter().map(activation).collect()
    }

    /// Every workload with every activation.
    fn single(&self) -> Vec<(Workload, Activation)> {
        let groups = self.groups().into_iter();
        let workloads = groups.flat_map(|group| group.workloads);
        workloads
            .flat_map(|w| self.activations().into_iter().map(move |a| (w.clone(), a)))
            .collect()
    }
}

impl RoundArgs {
    fn contest(&self) -> Contest {
        Contest {
            warmup: self.warmup,
            rounds: self.rounds,
        }
    }
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
        return memory(args, shared);
    }
    let opened = shared.open_devices()?;
    let cases = args.cases();
    if shared.dry_run {
        for case in &cases {
            for workload in &case.group.workloads {
                let rounds = args.what.rounds.rounds;
                print(&format!(
                    "would time {workload}; {:?}, {}, {rounds} rounds",
                    case.activation, case.pass
                ))?;
            }
        }
        return Ok(Status::Done);
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

/// Measures memory in a process for each layer, because an allocator keeps what it once had.
fn memory(args: &LayerArgs, shared: &Shared) -> anyhow::Result<Status> {
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

/// Times routers.
pub fn routers(args: &RouterArgs, shared: &Shared) -> anyhow::Result<Status> {
    let open = shared.open_device()?;
    let names = match &args.router[..] {
        [] => RouterConfig::NAMES,
        names => names,
    };
    if shared.dry_run {
        let names = names.join(", ");
        print(&format!(
            "would route {} tokens with {names}",
            routing::N_TOKENS
        ))?;
        return Ok(Status::Done);
    }
    let result = routing::bench(names, &args.rounds.contest(), &open.name, &open.device);
    if shared.json {
        print_json(&result)?
    } else {
        print(&result.to_string())?
    }
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_say_which_there_are() {
        assert_eq!(group("F64").map(|g| g.name), Ok("F64"));
        let error = group("G").expect_err("no workload");
        assert!(error.contains("there are A, B, C, D, E, F"), "{error}");
        assert_eq!(router("switch"), Ok("switch"));
        assert!(router("swich").is_err());
    }

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
