//! `moe trace agree`: do two engines route the same text alike?

use super::{Ties, open};
use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_checkpoint::trace::TraceReader;
use moe_lab::agree::Rounding;
use moe_lab::trace::{AgreeOptions, agree};
use moe_router::Causality;
use moe_router::parts::Buffers;
use moe_view::{agreement_notes, trace_agreement_text};
use std::path::PathBuf;

/// The arguments of `moe trace agree`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe trace agree ours.safetensors theirs.safetensors\n  moe trace agree f32.safetensors bf16.safetensors --rounding 5e-2\n\nThe first trace is the reference. A flip is a token that asks for other experts; its cause is named as `moe agree` does. Where the second trace has no logits, a flip is explained if the gap of the first is small enough. Exit code 3 if rounding does not explain a flip, or if weights of the same experts differ by more than --tolerance."
)]
pub struct AgreeArgs {
    /// The trace that the other is held against
    reference: PathBuf,
    /// The other trace
    other: PathBuf,
    /// The most by which rounding moves a score, as a share of the largest. Default: 1e-4, or 5e-2 if an engine says bf16
    #[arg(long, value_name = "SHARE")]
    rounding: Option<f64>,
    /// The most by which a weight may differ. Default: 5e-5, or 1e-2 if an engine says bf16
    #[arg(long, value_name = "WEIGHT")]
    tolerance: Option<f64>,
    /// Compare the first N tokens; they are held in memory
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    most: u64,
    /// The experts that may be taken of those with equal scores
    #[arg(long, value_enum, default_value_t)]
    ties: Ties,
    /// Tokens read later ones too, as in an encoder
    #[arg(long)]
    not_causal: bool,
}

/// Compares and prints; exit code 3 if the traces differ by more than rounding.
pub fn run(args: &AgreeArgs, shared: &Shared) -> anyhow::Result<Status> {
    let (own, other) = (open(&args.reference)?, open(&args.other)?);
    let is_short = [&own, &other].into_iter().any(is_short);
    let (rounding, tolerance) = if is_short {
        (Rounding::BF16.0, 1e-2)
    } else {
        (Rounding::F32.0, 5e-5)
    };
    let leaks = [&own, &other].into_iter().any(leaks);
    let options = AgreeOptions {
        most: args.most,
        rounding: args.rounding.unwrap_or(rounding),
        tolerance: args.tolerance.unwrap_or(tolerance),
        is_causal: !args.not_causal && !leaks,
        any_ties: args.ties == Ties::Any,
    };
    let found = agree(&own, &other, &options).map_err(Usage::error)?;
    if shared.json {
        print_json(&found)?;
    } else {
        let text = trace_agreement_text(&found);
        print(&format!("{text}\n\n{}", agreement_notes()))?;
    }
    Ok(if found.is_explained() {
        Status::Done
    } else {
        Status::BelowThreshold
    })
}

/// Tells whether later tokens may take a place from earlier ones.
fn leaks(reader: &TraceReader) -> bool {
    reader.meta().rule.is_some_and(|rule| {
        let buffers = Buffers {
            priority: rule.priority,
            order: rule.order,
            ..Buffers::default()
        };
        rule.capacity.is_some() && buffers.causality(rule.top_k) != Causality::Causal
    })
}

/// Tells whether an engine says that it computes with 16 bits.
fn is_short(reader: &TraceReader) -> bool {
    let engine = reader.meta().engine.as_deref().unwrap_or_default();
    ["bf16", "bfloat16", "fp16", "float16", "half"]
        .iter()
        .any(|word| engine.contains(word))
}
