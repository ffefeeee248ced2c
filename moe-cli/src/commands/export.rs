//! `moe export`: the logged numbers of runs for other programs.

use crate::exit::{Status, Usage, runs_error};
use crate::runs::existing;
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::print_json;
use anyhow::Context;
use clap::{Args, ValueEnum};
use moe_lab::runs::{ExportedRun, exported_runs};
use moe_view::counted;
use moe_view::export::{EVENTS_FILE, Exported, write_events, write_table};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The arguments of `moe export`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe export runs --to csv -o runs.csv\n  moe export NAME --to tensorboard -o events\n\nA CSV file has the columns run,seed,step,layer,expert,metric,value, one row a number of metrics.jsonl."
)]
pub struct ExportArgs {
    /// Folders of runs (runs/NAME/seed-N), of configurations (runs/NAME), or of all runs
    #[arg(required = true, value_name = "RUNS")]
    paths: Vec<PathBuf>,
    /// The format
    #[arg(long, value_enum)]
    to: To,
    /// The file of a CSV export; the folder of an export for TensorBoard, with a file below it for each run
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

/// The formats of exports.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// One table of comma-separated values
    Csv,
    /// An event file for each run: PATH/NAME/seed-N/events.out.tfevents.moe
    Tensorboard,
}

const TABLE: Output = Output {
    flag: "--out",
    maker: "moe export",
    kind: Kind::Table,
};

const EVENTS: Output = Output {
    kind: Kind::Events,
    ..TABLE
};

/// Reads the runs and writes their numbers.
pub fn run(args: &ExportArgs, shared: &Shared) -> anyhow::Result<Status> {
    let paths: Vec<PathBuf> = args
        .paths
        .iter()
        .map(|path| existing(path, &shared.runs))
        .collect();
    let (runs, notes) = exported_runs(&paths).map_err(runs_error)?;
    if runs.is_empty() {
        return Err(Usage::error(format!(
            "there is nothing to export: {}",
            notes.join("; ")
        )));
    }
    notes.iter().for_each(|note| shared.note(note));
    let targets = args.targets(&runs)?;
    let exported = if shared.dry_run {
        for target in &targets {
            shared.note(&format!("would write {}", target.path().display()));
        }
        None
    } else {
        Some(args.write(&runs, &targets, shared)?)
    };
    if shared.json {
        let files: Vec<&Path> = targets.iter().map(Target::path).collect();
        print_json(&json!({
            "files": files,
            "runs": runs.len(),
            "numbers": exported.map(|exported| exported.numbers),
            "unread_lines": exported.map(|exported| exported.unread),
        }))?;
    }
    Ok(Status::Done)
}

impl ExportArgs {
    /// The files to write, all checked before any of them is.
    fn targets(&self, runs: &[ExportedRun]) -> anyhow::Result<Vec<Target>> {
        match self.to {
            To::Csv => Ok(vec![Target::check(&self.out, TABLE, self.overwrite)?]),
            To::Tensorboard => runs.iter().map(|run| self.event_target(run)).collect(),
        }
    }

    fn event_target(&self, run: &ExportedRun) -> anyhow::Result<Target> {
        let folder = self.out.join(&run.name).join(format!("seed-{}", run.seed));
        let path = folder.join(EVENTS_FILE);
        let above = folder.ancestors().find(|above| above.exists());
        if let Some(file) = above.filter(|above| !above.is_dir()) {
            let (out, file) = (self.out.display(), file.display());
            return Err(Usage::error(format!(
                "--out {out}: `{file}` is not a folder"
            )));
        }
        if is_same(&folder, &run.folder) {
            let out = self.out.display();
            return Err(Usage::error(format!(
                "--out {out}: this is where the runs are; give a folder of its own"
            )));
        }
        if folder.is_dir() {
            Target::check(&path, EVENTS, self.overwrite)
        } else {
            Ok(Target::new(&path, EVENTS))
        }
    }

    fn write(
        &self,
        runs: &[ExportedRun],
        targets: &[Target],
        shared: &Shared,
    ) -> anyhow::Result<Exported> {
        let mut exported = Exported::default();
        if self.to == To::Csv {
            for target in targets {
                exported += target.write_with(|out| write_table(runs, out), shared)?;
            }
        } else {
            for (run, target) in runs.iter().zip(targets) {
                make_folder_of(target.path())?;
                let maker = target.maker();
                exported += target.write_with(|out| write_events(run, maker, out), shared)?;
            }
        }
        let numbers = usize::try_from(exported.numbers).unwrap_or(usize::MAX);
        let of = counted(runs.len(), "run");
        shared.note(&format!("{} of {of}", counted(numbers, "number")));
        if exported.unread > 0 {
            let lines = usize::try_from(exported.unread).unwrap_or(usize::MAX);
            let lines = counted(lines, "line");
            shared.note(&format!("{lines} of metrics.jsonl could not be read"));
        }
        Ok(exported)
    }
}

fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder `{}`", folder.display()))
}

/// Tells whether two paths lead to one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
