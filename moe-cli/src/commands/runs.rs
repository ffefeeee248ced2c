//! `moe runs`: what is in the runs folder.

use super::list::Format;
use crate::exit::{Status, runs_error};
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_lab::runs::{EntryState, RunList};
use moe_view::{RUN_COLUMNS, columns, markdown, run_rows};
use std::time::{SystemTime, UNIX_EPOCH};

/// The arguments of `moe runs`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe runs\n  moe runs router.name=mixtral train.lr=3e-3\n\nThe age is the time since a run was begun or went on. A damaged run is a row too."
)]
pub struct RunsArgs {
    /// Values that a run's configuration must have to be listed, such as router.name=switch
    #[arg(value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// The form to print it in; `--json` is the same as `--format json`
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Prints the runs that pass the filters.
pub fn run(args: &RunsArgs, shared: &Shared) -> anyhow::Result<Status> {
    let list = RunList::read(&shared.runs, &args.filters).map_err(runs_error)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let rows = run_rows(&list.runs, now.map_or(0, |time| time.as_secs()));
    let format = if shared.json {
        Format::Json
    } else {
        args.format
    };
    match format {
        Format::Json => print_json(&list.runs)?,
        Format::Md => print(&markdown(&rows))?,
        Format::Text => print(&columns(&rows, &RUN_COLUMNS))?,
    }
    list.notes.iter().for_each(|note| shared.note(note));
    let is_finished = |state| state == EntryState::Finished;
    if format == Format::Text && list.runs.iter().any(|run| is_finished(run.state)) {
        shared.next(&format!("report {} -o report.html", shown(&shared.runs)));
    }
    Ok(Status::Done)
}
