//! `moe bench`: measures speed.

mod dispatch;
mod layer;
mod layer_memory;
mod router;
mod suite;
mod train;
mod workloads;

use super::weights::Weights;
use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, Subcommand};
use moe_bench::machine::Machine;
use moe_bench::model::ModelBenchConfig;
use moe_bench::shapes::Shape;
use moe_view::thousands;

/// The arguments of `moe bench`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe bench train configs/quickstart.toml router.name=switch\n  moe bench attention\n  moe bench model --shape mixtral-428m\n  moe bench layer --workload A,B"
)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

/// The kinds of measurements.
#[derive(Subcommand, Debug)]
enum What {
    /// Optimizer steps of a configuration: tokens/s, ms a step
    Train(train::TrainArgs),
    /// Decoding with grouped-query and latent attention: milliseconds and cache bytes a token
    Attention(AttentionArgs),
    /// Reading a prompt and writing token by token, with the machine's limits beside
    Model(ModelArgs),
    /// Layers of experts beside dense layers of equal active FLOP, the machine's limits, and PyTorch
    Layer(layer::LayerArgs),
    /// The parts of a layer apart: sort, gather, products, scatter
    Dispatch(dispatch::DispatchArgs),
    /// Every router, with its share of the layer that it routes for
    Router(router::RouterArgs),
    /// All measurements of this program on this machine, in one file
    Suite(suite::SuiteArgs),
    /// What changed between two files of measurements, beyond noise
    Compare(suite::CompareArgs),
    /// Exchanges among processes: time by size, and the latency and bandwidth that model it
    Exchange(ExchangeArgs),
}

/// The arguments of `moe bench exchange`.
#[derive(Args, Debug)]
struct ExchangeArgs {
    /// Times that each size is exchanged
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = at_least_one)]
    repetitions: usize,
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

/// The arguments of `moe bench model`.
#[derive(Args, Debug)]
struct ModelArgs {
    /// A model to measure; without it, all [possible: mixtral-428m, deepseek-486m]
    #[arg(long, value_name = "NAME", value_parser = Shape::NAMES, hide_possible_values = true)]
    shape: Vec<String>,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    prompt: usize,
    /// Times that the prompt is read
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = at_least_one)]
    prompts: usize,
    /// Tokens in the cache when the clock of decoding starts
    #[arg(long, value_name = "N", default_value_t = 136, value_parser = at_least_one)]
    context: usize,
    /// Tokens that are timed one by one
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    tokens: usize,
    /// The type that matrices are held in
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    weights: Weights,
}

impl ModelArgs {
    /// The models that are asked for.
    fn shapes(&self) -> Vec<Shape> {
        let wanted =
            |shape: &Shape| self.shape.is_empty() || self.shape.iter().any(|s| s == shape.name);
        Shape::NAMES
            .iter()
            .filter_map(|name| Shape::of(name))
            .filter(wanted)
            .collect()
    }

    fn config(&self) -> ModelBenchConfig {
        ModelBenchConfig {
            prompt: self.prompt,
            prompts: self.prompts,
            context: self.context,
            tokens: self.tokens,
            weights: self.weights.into(),
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(error) => Err(format!("{error}")),
    }
}

/// Measures and prints.
pub fn run(args: &BenchArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.what {
        What::Train(args) => train::train(args, shared),
        What::Attention(args) => attention(args, shared),
        What::Model(args) => model(args, shared),
        What::Layer(args) => layer::layer(args, shared),
        What::Dispatch(args) => dispatch::dispatch(args, shared),
        What::Router(args) => router::routers(args, shared),
        What::Suite(args) => suite::suite(args, shared),
        What::Compare(args) => suite::compare(args, shared),
        What::Exchange(args) => exchange(args, shared),
    }
}

impl BenchArgs {
    /// Tells whether all processes do the same work, and not what the first one says.
    pub fn is_made_by_all(&self) -> bool {
        matches!(self.what, What::Exchange(_))
    }
}

fn exchange(args: &ExchangeArgs, shared: &Shared) -> anyhow::Result<Status> {
    if !shared.mesh.is_shared() {
        return Err(Usage::error(
            "an exchange needs several processes: start them with `mpirun -n 2`, or try it out with --ranks 2",
        ));
    }
    let world = &*shared.mesh.world;
    if shared.dry_run {
        if shared.mesh.is_root() {
            print(&format!(
                "would time exchanges of up to {} bytes to each of {} ranks, {} times each",
                thousands(moe_bench::exchange::LARGEST as u64),
                world.size(),
                args.repetitions
            ))?;
        }
        return Ok(Status::Done);
    }
    let result = moe_bench::exchange::bench(world, args.repetitions);
    if !shared.mesh.is_root() {
        return Ok(Status::Done);
    }
    if shared.json {
        print_json(&result)?;
    } else {
        print(&result.to_string())?;
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

fn model(args: &ModelArgs, shared: &Shared) -> anyhow::Result<Status> {
    let shapes = args.shapes();
    let device = shared.open_device()?;
    args.weights.check(&device.device)?;
    if shared.dry_run {
        for shape in &shapes {
            print(&format!(
                "would read {} prompts of {} tokens and write {} tokens after {} with {} on {}",
                args.prompts, args.prompt, args.tokens, args.context, shape.name, device.name
            ))?;
        }
        return Ok(Status::Done);
    }
    let config = args.config();
    let machine = Machine::measure(&device.device);
    let mut results = Vec::new();
    for Shape {
        name,
        decoder,
        router,
    } in &shapes
    {
        let result = config.run(name, decoder, router, machine, &device.device);
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
