//! The call of a command by its name.

use super::{
    ablate, agree, analyze, audit, bench, claims, compare, completions, convert, data, diff,
    doctor, eval, export, figure, generate, inspect, laws, list, matching, report, runs, trace,
    train, verify,
};
use crate::args::Command;
use crate::exit::Status;
use crate::shared::Shared;

/// Runs a command.
pub fn run(command: &Command, shared: &Shared) -> anyhow::Result<Status> {
    match command {
        Command::List(args) => list::run(args, shared),
        Command::Data(args) => data::run(args, shared),
        Command::Inspect(args) => inspect::run(args, shared),
        Command::Match(args) => matching::run(args, shared),
        Command::Train(args) => train::run(args, shared),
        Command::Eval(args) => eval::run(args, shared),
        Command::Figure(args) => figure::run(args, shared),
        Command::Generate(args) => generate::run(args, shared),
        Command::Verify(args) => verify::run(args, shared),
        Command::Convert(args) => convert::run(args, shared),
        Command::Ablate(args) => ablate::run(args, shared),
        Command::Compare(args) => compare::run(args, shared),
        Command::Claims(args) => claims::run(args, shared),
        Command::Agree(args) => agree::run(args, shared),
        Command::Analyze(args) => analyze::run(args, shared),
        Command::Trace(args) => trace::run(args, shared),
        Command::Report(args) => report::run(args, shared),
        Command::Runs(args) => runs::run(args, shared),
        Command::Diff(args) => diff::run(args, shared),
        Command::Export(args) => export::run(args, shared),
        Command::Laws(args) => laws::run(args, shared),
        Command::Audit(args) => audit::run(args, shared),
        Command::Bench(args) => bench::run(args, shared),
        Command::Doctor(args) => doctor::run(args, shared),
        Command::Completions(args) => completions::run(args),
    }
}
