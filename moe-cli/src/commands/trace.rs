//! `moe trace`: what traces of routings show, whoever wrote them.

mod agree;
mod check;
mod import;
mod show;

use crate::backends::OpenDevice;
use crate::exit::{Status, Usage};
use crate::runs::shown;
use crate::shared::Shared;
use crate::target::Target;
use clap::{Args, Subcommand, ValueEnum};
use moe_checkpoint::trace::TraceReader;
use moe_lab::analyze::TraceOptions;
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

/// Experts that may be taken of those with equal scores.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ties {
    /// Those of the lowest index, as ours does
    #[default]
    Lowest,
    /// Any, as torch.topk does
    Any,
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

/// The trace that a command writes of a run.
pub(super) fn traced(target: &Target, device: &OpenDevice) -> TraceOptions {
    TraceOptions {
        path: target.path().to_owned(),
        engine: traced_engine(&device.name),
    }
}

/// Says that a trace was written, and what shows it.
pub(super) fn wrote(target: &Target, shared: &Shared) {
    shared.note(&format!("wrote {}", target.path().display()));
    shared.next(&format!("trace show {}", shown(target.path())));
}

/// The program and how it computes, as a trace names them.
pub(super) fn traced_engine(how: &str) -> String {
    format!("moe {}, {how}", env!("CARGO_PKG_VERSION"))
}

/// Opens a trace that the command line names.
fn open(path: &Path) -> anyhow::Result<TraceReader> {
    TraceReader::open(path).map_err(Usage::error)
}
