//! `moe trace show`: what experts do in a trace.

use super::open;
use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::{print, print_json};
use clap::Args;
use moe_lab::analyze::CommunicationOptions;
use moe_lab::trace::{ShowOptions, show};
use moe_view::pages::trace_page;
use moe_view::trace_text;
use std::path::PathBuf;

/// The arguments of `moe trace show`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe trace show trace.safetensors\n  moe trace show trace.safetensors --world 8,64 --d-model 4096 -o trace.html\n\nOf each layer: loads, entropies, MaxVio, dead experts, drops, the mean number of experts, and what an expert tells about the label and the id of its token. Of each expert: the tokens and labels that it takes beyond their base rate. Of ranks: how many a token's experts are on and what travels, if the width of the model is known. The memory does not grow with the trace."
)]
pub struct ShowArgs {
    /// The trace, as docs/reference/traces.md describes it
    file: PathBuf,
    /// The page to write; an earlier page of this command is replaced
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Count what would travel if the experts were spread over N ranks. Default: 8 to 1024, as far as they divide
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    world: Option<Vec<usize>>,
    /// The ranks of a node
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    per_node: usize,
    /// Bytes of an element of what travels: 2 of bf16, 1 of FP8
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=8))]
    element_bytes: usize,
    /// The width of the model, where the trace does not say it
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    d_model: Option<usize>,
    #[command(flatten)]
    overwrite: Overwrite,
}

const PAGE: Output = Output {
    flag: "--out",
    maker: "moe trace show",
    kind: Kind::Page,
};

/// The numbers of ranks that are counted unless others are given.
const WORLDS: [usize; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];

impl ShowArgs {
    /// The numbers of ranks for so many experts.
    fn worlds(&self, n_experts: usize) -> Vec<usize> {
        let dividing = || WORLDS.into_iter().filter(|n| n_experts.is_multiple_of(*n));
        self.world.clone().unwrap_or_else(|| dividing().collect())
    }
}

/// Counts and prints the tables.
pub fn run(args: &ShowArgs, shared: &Shared) -> anyhow::Result<Status> {
    let target = Target::of(args.out.as_deref(), PAGE, args.overwrite)?;
    let reader = open(&args.file)?;
    let options = ShowOptions {
        communication: Some(CommunicationOptions {
            worlds: args.worlds(reader.meta().n_experts),
            per_node: args.per_node,
            element_bytes: args.element_bytes,
            tokens_per_rank: None,
            links: None,
            flops: None,
        }),
        d_model: args.d_model,
        n_threads: rayon::current_num_threads(),
    };
    let shown = show(&reader, &options).map_err(Usage::error)?;
    if shared.json {
        print_json(&shown)?;
    } else {
        print(&trace_text(&shown))?;
    }
    if shown.communication.is_none() {
        shared.note("the trace does not say the width of the model, so nothing is counted of ranks; give --d-model");
    }
    match target {
        Some(target) => target.write(&trace_page(&shown), shared)?,
        None => shared.next(&format!("trace check {}", crate::runs::shown(&args.file))),
    }
    Ok(Status::Done)
}
