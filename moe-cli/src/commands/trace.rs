//! `moe trace`: what traces of routings show, whoever wrote them.

mod show;

use crate::exit::{Status, Usage};
use crate::shared::Shared;
use clap::{Args, Subcommand};
use moe_checkpoint::trace::TraceReader;
use std::path::Path;

/// The arguments of `moe trace`.
#[derive(Args, Debug)]
pub struct TraceArgs {
    /// The question
    #[command(subcommand)]
    action: Action,
}

/// The questions to a trace.
#[derive(Subcommand, Debug)]
enum Action {
    /// Show loads, what each expert takes, chains from layer to layer, and what would travel
    Show(show::ShowArgs),
}

/// Answers the question.
pub fn run(args: &TraceArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.action {
        Action::Show(args) => show::run(args, shared),
    }
}

/// Opens a trace that the command line names.
fn open(path: &Path) -> anyhow::Result<TraceReader> {
    TraceReader::open(path).map_err(Usage::error)
}
