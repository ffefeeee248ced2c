//! `moe report`: runs side by side, as a page.

mod watch;

use crate::exit::{Status, report_error};
use crate::runs::{existing, shown};
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::{print, print_json};
use clap::Args;
use moe_lab::report::{Question, Report};
use moe_view::ablation::{AblationTable, TableConfig};
use moe_view::pages::report_page;
use moe_view::{Align, columns, counted, significant, width};
use std::path::PathBuf;

/// The arguments of `moe report`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe report runs -o report.html\n  moe report runs/NAME runs/OTHER -o report.html\n  moe report runs -o report.html --watch\n\nThe first configuration is the baseline of the comparison. Runs that are not finished are reported as such."
)]
pub struct ReportArgs {
    /// Folders of runs (runs/NAME/seed-N), of configurations (runs/NAME), or of all runs
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The page to write; an earlier page of this command is replaced
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Make the page again whenever a run has logged more, until all are finished or Ctrl-C is pressed
    #[arg(long, requires = "out")]
    watch: bool,
    #[command(flatten)]
    overwrite: Overwrite,
}

const PAGE: Output = Output {
    flag: "--out",
    maker: "moe report",
    kind: Kind::Page,
};

/// Reads the runs, prints their table and writes the page.
pub fn run(args: &ReportArgs, shared: &Shared) -> anyhow::Result<Status> {
    let target = Target::of(args.out.as_deref(), PAGE, args.overwrite)?;
    let paths: Vec<PathBuf> = args
        .paths
        .iter()
        .map(|path| existing(path, &shared.runs))
        .collect();
    if let Some(target) = target.as_ref().filter(|_| args.watch && !shared.dry_run) {
        return watch::run(&paths, target, shared);
    }
    let report = Report::read(&paths).map_err(report_error)?;
    show(&report, shared)?;
    match target {
        Some(target) if !shared.dry_run => {
            target.write(&report_page(&report), shared)?;
        }
        Some(target) => shared.note(&format!("would write {}", target.path().display())),
        None => {
            let paths: Vec<String> = args.paths.iter().map(|path| shown(path)).collect();
            shared.next(&format!("report {} -o report.html", paths.join(" ")));
        }
    }
    Ok(Status::Done)
}

/// Prints the table, or all numbers, and what is missing.
fn show(report: &Report, shared: &Shared) -> anyhow::Result<()> {
    if shared.json {
        print_json(report)?;
    } else {
        print(&text(report))?;
    }
    report.missing.iter().for_each(|what| shared.note(what));
    Ok(())
}

fn text(report: &Report) -> String {
    let mut parts = vec![questions(report)];
    match &report.paired.table {
        Some(table) => parts.push(AblationTable(table).text(TableConfig {
            is_wide: false,
            width: width(),
        })),
        None => parts.push("no paired comparison:".to_owned()),
    }
    parts.push(report.paired.notes.join("\n"));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn questions(report: &Report) -> String {
    let header = ["arm", "runs", "finished", &report.merit.name].map(String::from);
    let row = |question: &Question| {
        let finished = question.runs.iter().filter_map(|run| run.summary.as_ref());
        let merits: Vec<f64> = finished.map(|s| report.merit.of(&s.validation)).collect();
        let mean = merits.iter().sum::<f64>() / merits.len() as f64;
        vec![
            question.label.clone(),
            question.runs.len().to_string(),
            merits.len().to_string(),
            if merits.is_empty() {
                "-".to_owned()
            } else {
                significant(mean, 4)
            },
        ]
    };
    let rows: Vec<Vec<String>> = [header.to_vec()]
        .into_iter()
        .chain(report.questions.iter().map(row))
        .collect();
    let n_runs = report.runs().count();
    format!(
        "{}\n\n{}",
        counted(n_runs, "run"),
        columns(
            &rows,
            &[Align::Left, Align::Right, Align::Right, Align::Right]
        )
    )
}
