//! `moe trace check`: is a trace what its rule says?

use super::{Ties, open};
use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_lab::trace::{CheckOptions, check};
use moe_view::trace_check_text;
use std::path::PathBuf;

/// The arguments of `moe trace check`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe trace check trace.safetensors\n  moe trace check trace.safetensors --tolerance 4e-3\n\nThe laws that need a rule (top-k, scoring, groups, capacity) take it from the words of the trace. A law that fails is shown with its first counterexample, and with the well-known mistake that would give it, if there is one. Exit code 3 if a law fails."
)]
pub struct CheckArgs {
    /// The trace, as docs/reference/traces.md describes it
    file: PathBuf,
    /// The most by which a weight or a score may differ, as a share of the largest
    #[arg(long, value_name = "SHARE", default_value_t = 5e-5, value_parser = share)]
    tolerance: f64,
    /// The experts that may be taken of those with equal scores
    #[arg(long, value_enum, default_value_t)]
    ties: Ties,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x| (0.0..=1.0).contains(x));
    number.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// Holds the trace to the laws and prints them; exit code 3 if one fails.
pub fn run(args: &CheckArgs, shared: &Shared) -> anyhow::Result<Status> {
    let reader = open(&args.file)?;
    let options = CheckOptions {
        tolerance: args.tolerance,
        any_ties: args.ties == Ties::Any,
    };
    let found = check(&reader, &options).map_err(Usage::error)?;
    if shared.json {
        print_json(&found)?;
    } else {
        print(&trace_check_text(&found))?;
    }
    Ok(if found.holds() {
        Status::Done
    } else {
        Status::BelowThreshold
    })
}
