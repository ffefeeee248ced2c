//! `moe trace`: what traces of routings show, whoever wrote them.

mod agree;
mod check;
mod import;
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
    /// Check every law that a trace can show, and name the first counterexample
    Check(check::CheckArgs),
    /// Compare two traces of one text: which tokens go elsewhere, and does rounding explain it?
    Agree(agree::AgreeArgs),
    /// Turn the experts that a serving engine gives, as .npy or JSON, into a trace
    Import(import::ImportArgs),
}

/// Answers the question.
pub fn run(args: &TraceArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.action {
        Action::Show(args) => show::run(args, shared),
        Action::Check(args) => check::run(args, shared),
        Action::Agree(args) => agree::run(args, shared),
        Action::Import(args) => import::run(args, shared),
    }
}

/// The program and how it computes, as a trace names them.
pub(super) fn traced_engine(how: &str) -> String {
    format!("moe {}, {how}", env!("CARGO_PKG_VERSION"))
}

/// Opens a trace that the command line names.
fn open(path: &Path) -> anyhow::Result<TraceReader> {
    TraceReader::open(path).map_err(Usage::error)
}
