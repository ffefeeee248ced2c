//! The command line: shared flags and the list of commands.

use crate::commands::{
    ablate, analyze, audit, bench, completions, convert, doctor, eval, figure, generate, inspect,
    laws, list, report, train, verify,
};
use crate::shared::Shared;
use clap::{Parser, Subcommand};

/// Train, compare, inspect and sample mixture-of-experts models.
///
/// Results go to stdout, progress and notes to stderr. Exit codes: 0 ok, 1 failed, 2 usage or
/// configuration, 3 finished but out of tolerance or a claim failed, 130 interrupted after saving.
#[derive(Parser, Debug)]
#[command(name = "moe", version, arg_required_else_help = true)]
pub struct Cli {
    /// The flags that all commands have.
    #[command(flatten)]
    pub shared: Shared,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List what there is: routers, models, experts, data, configs, claims, backends
    List(list::ListArgs),
    /// Count parameters, FLOP and memory of a configuration; allocates nothing
    Inspect(inspect::InspectArgs),
    /// Train a model; run it again to resume. Ctrl-C saves and exits with 130
    Train(train::TrainArgs),
    /// Score a run on held-out text, in bits per byte of each domain
    Eval(eval::EvalArgs),
    /// Draw what a router does to 64 tokens, as a picture (SVG)
    Figure(figure::FigureArgs),
    /// Continue a text, and show which expert takes each token
    Generate(generate::GenerateArgs),
    /// Hold a published checkpoint to what its reference implementation computed
    Verify(verify::VerifyArgs),
    /// Convert a published checkpoint to our own files, or back
    Convert(convert::ConvertArgs),
    /// Train a grid of variants over several seeds and compare them with the first
    Ablate(ablate::AblateArgs),
    /// Show what each expert of a run takes: tokens and domains, or patches of images
    Analyze(analyze::AnalyzeArgs),
    /// Put runs side by side on a page: curves, loads, the paired table
    Report(report::ReportArgs),
    /// Check what must hold of every router and balance loss
    Laws(laws::LawsArgs),
    /// Does a model see the future? Replaces later tokens and looks for changes before them
    Audit(audit::AuditArgs),
    /// Measure speed
    Bench(bench::BenchArgs),
    /// Check this machine: versions, devices, a matrix product, write access
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}
