//! An ablation on many processes and machines: workers, the state of all runs, a script for a scheduler, and a command
//! a run.

mod commands;
mod script;
mod standing;
mod worker;

use super::AblateArgs;
use crate::exit::{Status, Usage, ablate_error};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, ValueEnum};
use commands::commands;
use moe_lab::ablate::Plan;
use moe_lab::runs::Standing;
use moe_view::counted;
use script::Script;
use standing::text;
pub(super) use worker::work;

/// Arguments of work that is shared with other processes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Many processes")]
pub struct ClusterArgs {
    /// Make runs that nobody has until none is left, wait for no other process, and print the table if all runs are
    /// made. The exit code is 4 while others are still at it
    #[arg(long)]
    #[arg(conflicts_with_all = ["power", "from_csv", "jobs", "status", "submit", "commands"])]
    pub(super) worker: bool,
    /// Say of each run whether it is missing, running, finished or diverged; train and write nothing
    #[arg(long, conflicts_with_all = ["power", "from_csv", "jobs", "submit", "commands"])]
    #[arg(conflicts_with_all = ["csv", "latex", "md", "svg"])]
    status: bool,
    /// Print a script that starts workers as tasks of a cluster: `| sbatch` submits it
    #[arg(long, value_name = "SCHEDULER", value_enum)]
    #[arg(conflicts_with_all = ["power", "from_csv", "jobs", "commands"])]
    submit: Option<Scheduler>,
    /// An option of the script's tasks, such as --partition=gpu; give it again for another
    #[arg(long, value_name = "OPTION", requires = "submit")]
    #[arg(allow_hyphen_values = true, value_parser = option_of_sbatch)]
    sbatch: Vec<String>,
    /// The most tasks of the script at a time
    #[arg(long, value_name = "N", requires = "submit")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    throttle: Option<u64>,
    /// Print a command for each run that is missing, for GNU parallel or a queue of one's own
    #[arg(long, conflicts_with_all = ["power", "from_csv", "jobs", "csv", "latex", "md", "svg"])]
    commands: bool,
}

/// The schedulers that a script can be printed for.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Scheduler {
    Slurm,
}

/// Refuses what is no option on a line of its own.
fn option_of_sbatch(text: &str) -> Result<String, String> {
    if text.starts_with('-') && !text.contains(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("give an option as it stands behind `#SBATCH`, such as --partition=gpu".to_owned())
    }
}

/// Prints what is asked for by the run folders alone; nothing if the runs are to be made.
pub(super) fn look(
    args: &AblateArgs,
    plan: &Plan,
    shared: &Shared,
) -> anyhow::Result<Option<Status>> {
    let cluster = &args.cluster;
    let is_text = cluster.submit.is_some() || cluster.commands;
    if !is_text && !cluster.status {
        return Ok(None);
    }
    if is_text && shared.json {
        return Err(Usage::error(
            "--json has no use here: a script and commands are printed as they are",
        ));
    }
    let standing = Standing::read(plan, &shared.runs).map_err(ablate_error)?;
    if cluster.status {
        if shared.json {
            print_json(&standing)?;
        } else {
            print(&text(&standing))?;
        }
        return Ok(Some(Status::Done));
    }
    let missing = standing.totals.missing + standing.later;
    if missing == 0 {
        shared.note("no run is missing: without this option the table is printed");
    } else if cluster.commands {
        print(&commands(&standing, plan, &args.config, shared)?.join("\n"))?;
        note_later(&standing, shared);
    } else {
        print(&Script::new(cluster, missing)?.to_string())?;
    }
    Ok(Some(Status::Done))
}

/// Says which runs have no command yet.
fn note_later(standing: &Standing, shared: &Shared) {
    if standing.later > 0 {
        let runs = counted(standing.later, "run");
        shared.note(&format!(
            "these are the trials of the tuning; {runs} follow, which the same command prints once the trials are made"
        ));
    }
}
