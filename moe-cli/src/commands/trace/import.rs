//! `moe trace import`: the experts that a serving engine gives, as a trace.

use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use clap::Args;
use moe_checkpoint::trace::{RoutedExperts, TraceMeta, TraceWriter};
use std::path::PathBuf;

/// The arguments of `moe trace import`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe trace import answer.npy --n-experts 64 -o trace.safetensors\n\nA file holds the experts of one sequence, [seq_length - 1, n_moe_layers, top_k], as the `routed_experts` of vLLM, SGLang and TensorRT-LLM: a .npy file of whole numbers, nested lists in JSON, or a JSON answer that has them under that name. Such a trace has neither weights nor logits."
)]
pub struct ImportArgs {
    /// The experts of each sequence, as .npy or JSON
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The trace to write; an earlier trace is replaced
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// The number of experts of a layer
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=32_767))]
    n_experts: usize,
    /// The width of the model, for what would travel
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    d_model: Option<usize>,
    /// The model, in words
    #[arg(long, value_name = "WORDS")]
    model: Option<String>,
    /// The engine, in words
    #[arg(long, value_name = "WORDS")]
    engine: Option<String>,
    #[command(flatten)]
    overwrite: Overwrite,
}

const TRACE: Output = Output {
    flag: "--out",
    maker: "moe trace import",
    kind: Kind::Trace,
};

/// Reads the files and writes the trace.
pub fn run(args: &ImportArgs, shared: &Shared) -> anyhow::Result<Status> {
    let target = Target::check(&args.out, TRACE, args.overwrite)?;
    let mut writer = TraceWriter::new(
        target.path(),
        TraceMeta {
            n_experts: args.n_experts,
            d_model: args.d_model,
            model: args.model.clone(),
            engine: args.engine.clone(),
            ..TraceMeta::default()
        },
    );
    for (group, file) in args.files.iter().enumerate() {
        let routed = RoutedExperts::read(file, args.n_experts).map_err(Usage::error)?;
        writer
            .add(&routed.chunk(group as u32))
            .map_err(Usage::error)?;
    }
    writer.finish()?;
    let path = crate::runs::shown(target.path());
    shared.note(&format!("wrote {path}"));
    shared.next(&format!("trace show {path}"));
    Ok(Status::Done)
}
