//! The page made again while runs are trained.

use super::show;
use crate::exit::{Status, report_error};
use crate::interrupt;
use crate::shared::Shared;
use crate::target::Target;
use moe_lab::report::{Report, ReportError, RunState, find_runs};
use moe_train::run::RunFolder;
use moe_view::pages::report_page;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The time between two looks at the runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The looks without anything new after which finished runs are taken to be all: the next run of an ablation begins
/// within this time. So many looks in a row may also fail, as one does at a file that is being written.
const PATIENCE: u32 = 5;

/// Makes the page whenever a run has logged more, until all runs are finished, and then prints the table.
pub(super) fn run(paths: &[PathBuf], target: &Target, shared: &Shared) -> anyhow::Result<Status> {
    let stop = interrupt::stop_flag("stopping; the page stays as it is")?;
    let (mut seen, mut quiet, mut failed) = (None, 0, 0);
    let mut last = Report::read(paths).map_err(report_error)?;
    loop {
        let now = sizes(paths).map_err(report_error)?;
        if seen.as_ref() == Some(&now) {
            quiet += 1;
        } else {
            match Report::read(paths) {
                Ok(report) => last = report,
                Err(_) if failed < PATIENCE => {
                    failed += 1;
                    wait(&stop);
                    continue;
                }
                Err(error) => return Err(report_error(error)),
            }
            (seen, quiet, failed) = (Some(now), 0, 0);
            target.write(&report_page(&last), shared)?;
            shared.note(&progress(&last));
        }
        if stop.load(Ordering::SeqCst) {
            return Ok(Status::Interrupted);
        }
        if unfinished(&last) == 0 && quiet >= PATIENCE {
            show(&last, shared)?;
            return Ok(Status::Done);
        }
        wait(&stop);
    }
}

/// Waits for the next look, or until it is told to stop.
fn wait(stop: &AtomicBool) {
    for _ in 0..10 {
        if !stop.load(Ordering::SeqCst) {
            thread::sleep(LOOK_EVERY / 10);
        }
    }
}

/// A run's folder, and the sizes of its files that are there.
type Sizes = (PathBuf, [Option<u64>; 4]);

/// The files that the page is made of, by their sizes: those that a run adds to.
fn sizes(paths: &[PathBuf]) -> Result<Vec<Sizes>, ReportError> {
    let mut all = Vec::new();
    for path in paths {
        for folder in find_runs(path)?.folders {
            let run = RunFolder::new(&folder);
            let files = [run.config(), run.metrics(), run.log(), run.summary()];
            let size = |file: PathBuf| fs::metadata(file).ok().map(|file| file.len());
            all.push((folder, files.map(size)));
        }
    }
    Ok(all)
}

/// The number of runs that go on.
fn unfinished(report: &Report) -> usize {
    let goes_on = |state: RunState| matches!(state, RunState::Unfinished { .. });
    report.runs().filter(|run| goes_on(run.state)).count()
}

fn progress(report: &Report) -> String {
    let (all, left) = (report.runs().count(), unfinished(report));
    format!("not finished: {left} of {all} runs; looking again every second, Ctrl-C stops")
}
