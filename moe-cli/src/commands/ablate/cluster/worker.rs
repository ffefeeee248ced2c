//! A worker: a process that makes the runs of an ablation that nobody has, and waits for no other.

use crate::commands::ablate::args::Targets;
use crate::commands::ablate::{AblateArgs, check_quickly};
use crate::exit::{Status, ablate_error};
use crate::interrupt;
use crate::invocation;
use crate::memory;
use crate::shared::Shared;
use crate::terminal::Progress;
use moe_lab::ablate::{Executed, Others, Plan, execute};
use moe_view::counted;
use std::env;
use std::process;

/// The variables that number the processes of one job, and hold this one's number.
const NUMBERS: [&str; 2] = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"];

/// Makes runs until none is free, and prints the table if all are made.
pub(in crate::commands::ablate) fn work(
    args: &AblateArgs,
    plan: &Plan,
    targets: &Targets,
    shared: &Shared,
) -> anyhow::Result<Status> {
    let missing = plan.missing(&shared.runs).map_err(ablate_error)?;
    let device = shared.open_device()?;
    if missing > 0 {
        // data is read with the first run: many workers would read it twice at the same time
        check_quickly(plan, shared)?;
        let mut arms = plan.arms.iter();
        arms.try_for_each(|arm| memory::check(&arm.config, 1, &device.name))?;
    }
    let stop = interrupt::stop_flag("saving, then stopping")?;
    let log_every = plan.arms[0].config.train.log_every;
    let mut progress = Progress::new(shared, missing, log_every);
    let executed = execute(
        plan,
        &args.comparison(plan),
        &device.device,
        &shared.run_options(&device),
        &mut progress,
        &stop,
        Others::Leave { place: place() },
    );
    progress.finish();
    match executed.map_err(ablate_error)? {
        Executed::Complete(report) => args.show(&report, plan, targets, shared),
        Executed::Left { runs } => {
            note_others(runs, shared);
            Ok(Status::OthersAtWork)
        }
        Executed::Stopped => {
            shared.note("interrupted and saved; the same command goes on");
            shared.next(&invocation::arguments());
            Ok(Status::Interrupted)
        }
    }
}

/// Says that other processes make the rest.
fn note_others(runs: usize, shared: &Shared) {
    let runs = counted(runs, "run");
    shared.note(&format!(
        "nothing is left to do here: other processes are still at {runs}; the last of them prints the table"
    ));
}

/// This worker's place among others: its number in a job, else that of its process.
fn place() -> u64 {
    let number = |name: &&str| env::var(name).ok()?.parse().ok();
    let numbered = NUMBERS.iter().find_map(number);
    numbered.unwrap_or_else(|| u64::from(process::id()))
}
