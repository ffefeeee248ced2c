//! `moe bench suite` and `moe bench compare`: all measurements in one file, and what changed between two.

use super::workloads::RoundArgs;
use crate::exit::{Status, Usage, run_error};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_bench::changes::Changes;
use moe_bench::layer::{BenchDevice, LayerBench, LayerCase};
use moe_bench::machine::Machine;
use moe_bench::model::{ModelBench, ModelBenchConfig};
use moe_bench::pass::Pass;
use moe_bench::shapes::Shape;
use moe_bench::suite::Suite;
use moe_bench::workloads::WorkloadGroup;
use moe_bench::{attention, routing, train};
use moe_checkpoint::disk;
use moe_experts::Activation;
use moe_models::WeightType;
use moe_router::RouterConfig;
use moe_train::config::RunConfig;
use moe_train::run::Manifest;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The arguments of `moe bench suite`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe bench suite configs/quickstart.toml -o before.json\n  moe bench compare before.json after.json"
)]
pub(super) struct SuiteArgs {
    /// Configurations to train
    configs: Vec<PathBuf>,
    /// The file to write; what is there is replaced if it is such a file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Training steps of each configuration that are measured
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::at_least_one)]
    steps: usize,
    /// Workloads of layers; all if left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = super::workloads::group)]
    workload: Vec<WorkloadGroup>,
    #[command(flatten)]
    rounds: RoundArgs,
}

/// The arguments of `moe bench compare`.
#[derive(Args, Debug)]
pub(super) struct CompareArgs {
    /// Measurements before: a file of `moe bench suite`, or of any measurement's --json
    before: PathBuf,
    /// Measurements after
    after: PathBuf,
}

impl SuiteArgs {
    fn groups(&self) -> Vec<WorkloadGroup> {
        match &self.workload[..] {
            [] => WorkloadGroup::all(),
            groups => groups.to_vec(),
        }
    }
}

/// Steps before the clock starts.
const WARMUP: usize = 3;

/// The longest context of decoding.
const MAX_CONTEXT: usize = 8192;

/// Measures all, and writes the file.
pub(super) fn suite(args: &SuiteArgs, shared: &Shared) -> anyhow::Result<Status> {
    let load = |path: &PathBuf| shared.load_config(path, &[]);
    let configs: anyhow::Result<Vec<RunConfig>> = args.configs.iter().map(load).collect();
    let configs = configs?;
    let output = args.output.display();
    check_output(&args.output)?;
    let open = shared.open_device()?;
    if shared.dry_run {
        print(&format!(
            "would measure {} configurations, {} groups of layers, {} routers, decoding and {} models, and write {output}",
            configs.len(),
            args.groups().len(),
            RouterConfig::NAMES.len(),
            Shape::NAMES.len(),
        ))?;
        return Ok(Status::Done);
    }
    let device = BenchDevice {
        machine: Machine::measure(&open.device),
        name: open.name,
        device: open.device,
    };
    let suite = measured(args, &configs, &device, shared)?;
    let text = serde_json::to_string_pretty(&suite)?;
    disk::write_whole(&args.output, text.as_bytes())?;
    if shared.json {
        print_json(&suite)?;
    } else {
        print(&format!("{output} is written"))?;
        shared.next(&format!("bench compare {output} AFTER.json"));
    }
    Ok(Status::Done)
}

fn measured(
    args: &SuiteArgs,
    configs: &[RunConfig],
    device: &BenchDevice,
    shared: &Shared,
) -> anyhow::Result<Suite> {
    let trained = |config: &RunConfig| {
        shared.note(&format!("training {}", config.run_name()));
        train::bench(config, &device.device, WARMUP, args.steps, None).map_err(run_error)
    };
    let train = configs.iter().map(trained).collect::<anyhow::Result<_>>()?;
    let layer = layers(args, device, shared)?;
    shared.note("routers");
    let contest = args.rounds.contest();
    let router = routing::bench(RouterConfig::NAMES, &contest, &device.name, &device.device);
    shared.note("decoding");
    let argv: Vec<String> = std::env::args().collect();
    Ok(Suite {
        made: Manifest::new(&device.name, &argv),
        machine: device.machine,
        train,
        layer,
        router,
        attention: attention::bench(&device.device, MAX_CONTEXT, args.steps),
        model: models(device),
    })
}

fn layers(
    args: &SuiteArgs,
    device: &BenchDevice,
    shared: &Shared,
) -> anyhow::Result<Vec<LayerBench>> {
    let contest = args.rounds.contest();
    let devices = std::slice::from_ref(device);
    let mut results = Vec::new();
    for group in args.groups() {
        shared.note(&format!("layers of workload {}", group.name));
        for activation in [Activation::Gelu, Activation::SwiGlu] {
            for pass in [Pass::Forward, Pass::ForwardBackward] {
                let case = LayerCase {
                    group: group.clone(),
                    activation,
                    pass,
                };
                results.push(case.run(&contest, devices, &[])?);
            }
        }
    }
    Ok(results)
}

fn models(device: &BenchDevice) -> Vec<ModelBench> {
    let config = ModelBenchConfig {
        prompt: 512,
        prompts: 7,
        context: 136,
        tokens: 64,
        weights: WeightType::default(),
    };
    let shapes = Shape::NAMES.iter().filter_map(|name| Shape::of(name));
    let measured = shapes.map(|shape| {
        let Shape {
            name,
            decoder,
            router,
        } = &shape;
        config.run(name, decoder, router, device.machine, &device.device)
    });
    measured.collect()
}

/// Refuses a place where a file cannot be written or where another file is, before minutes of measuring.
fn check_output(path: &Path) -> anyhow::Result<()> {
    if path.exists() && read(path).is_err() {
        return Err(Usage::error(format!(
            "{} is there and is no file of measurements: give another name after -o",
            path.display()
        )));
    }
    disk::check_writable(path).map_err(|error| Usage::error(format!("{}: {error}", path.display())))
}

/// The most bytes that a file of measurements has.
const MOST_BYTES: u64 = 64 << 20;

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = disk::read_text(path, MOST_BYTES);
    let text = text.map_err(|error| Usage::error(format!("{}: {error}", path.display())))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Usage::error(format!("{} is no JSON: {error}", path.display())))?;
    if Changes::of(&value, &value).compared.is_empty() {
        return Err(Usage::error(format!(
            "{} has no measurements: give a file of `moe bench suite`, or of a measurement's --json",
            path.display()
        )));
    }
    Ok(value)
}

/// Prints what changed.
pub(super) fn compare(args: &CompareArgs, shared: &Shared) -> anyhow::Result<Status> {
    let [before, after] = [&args.before, &args.after];
    if shared.dry_run {
        print(&format!(
            "would compare {} with {}",
            before.display(),
            after.display()
        ))?;
        return Ok(Status::Done);
    }
    let changes = Changes::of(&read(before)?, &read(after)?);
    if shared.json {
        print_json(&changes)?;
    } else {
        print(&changes.to_string())?;
    }
    Ok(Status::Done)
}
