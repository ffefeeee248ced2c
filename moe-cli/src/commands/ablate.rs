//! `moe ablate`: trains a grid of variants, or the arms of a claim, over several seeds and compares them.

mod args;
mod cluster;
mod helpers;
mod power;
mod preview;

use crate::backends::OpenDevice;
use crate::exit::{OrUsage, Status, Usage, ablate_error};
use crate::interrupt;
use crate::invocation;
use crate::memory;
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{Progress, print, print_json};
pub use args::AblateArgs;
pub(super) use args::positive;
use args::{Targets, scale};
use helpers::Helpers;
use moe_checkpoint::disk;
use moe_lab::ablate::{
    AblationConfig, AblationReport, Decision, Executed, Others, Plan, execute, from_csv, reported,
    to_csv,
};
use moe_train::config::RunConfig;
use moe_train::run::{finished, run_folder};
use moe_train::task::TaskData;
use moe_view::ablation::{AblationTable, FigureConfig, Panel, TableConfig};
use moe_view::width;
use power::Power;
use preview::Preview;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Trains what is missing and prints the table.
pub fn run(args: &AblateArgs, shared: &Shared) -> anyhow::Result<Status> {
    let overrides = shared.overrides(&args.overrides);
    let plan = args.plan(&overrides)?;
    check_twins(&plan)?;
    if let Some(status) = cluster::look(args, &plan, shared)? {
        return Ok(status);
    }
    if helpers::is_helper() {
        return help(args, &plan, shared);
    }
    let targets = args.targets()?;
    plan.notes.iter().for_each(|note| shared.note(note));
    if let Some(path) = &args.from_csv {
        let report = read(path, &plan, &args.comparison(&plan))?;
        return args.show(&report, &plan, &targets, shared);
    }
    if args.cluster.worker && !shared.dry_run {
        return cluster::work(args, &plan, &targets, shared);
    }
    make(args, &plan, &targets, shared)
}

/// Makes the missing runs after a preview of them, or shows the preview alone.
fn make(
    args: &AblateArgs,
    plan: &Plan,
    targets: &Targets,
    shared: &Shared,
) -> anyhow::Result<Status> {
    let missing = plan.missing(&shared.runs).map_err(ablate_error)?;
    if missing > 0 {
        check_data(plan, shared)?;
    }
    let device = shared.open_device()?;
    for arm in plan.arms.iter().filter(|_| missing > 0) {
        if shared.dry_run {
            memory::remark(&arm.config, args.jobs(), &device.name, shared);
        } else {
            memory::check(&arm.config, args.jobs(), &device.name)?;
        }
    }
    let mut preview = Preview::new(plan, missing, args.power.is_some());
    if shared.dry_run {
        return preview.show(shared);
    }
    if !shared.quiet {
        preview = preview.estimated(plan, &device.device, &shared.runs)?;
    }
    shared.note(&preview.text());
    match train(args, plan, missing, &device, shared)? {
        Some(report) => args.show(&report, plan, targets, shared),
        None => {
            shared.note("interrupted and saved; the same command goes on");
            shared.next(&invocation::arguments());
            Ok(Status::Interrupted)
        }
    }
}

impl AblateArgs {
    /// Title and panels of the figure.
    fn figure(&self) -> FigureConfig {
        let is_asked = |panel: &Panel| self.panels.iter().any(|name| name == panel.name());
        FigureConfig {
            title: self.files.title.clone(),
            panels: Panel::ALL.into_iter().filter(is_asked).collect(),
        }
    }

    /// Prints the table, and then writes the files, so that no failure of a file takes the table away.
    fn show(
        &self,
        report: &AblationReport,
        plan: &Plan,
        targets: &Targets,
        shared: &Shared,
    ) -> anyhow::Result<Status> {
        let table = AblationTable(report);
        let power = self
            .power
            .map(|delta| Power::of(report, delta / scale(plan)));
        match &power {
            Some(power) if shared.json => print_json(power)?,
            Some(power) => print(&power.text(scale(plan)))?,
            None if shared.json => print_json(report)?,
            None => {
                let width = if self.wide { None } else { width() };
                print(&table.text(TableConfig {
                    is_wide: self.wide,
                    width,
                }))?;
                if self.matrix {
                    print(&format!("\n{}", table.matrix(width)))?;
                }
            }
        }
        if let Some(target) = &targets.csv {
            let bytes = to_csv(report)?;
            target.write(std::str::from_utf8(&bytes)?, shared)?;
        }
        targets.table.write(report, &self.figure(), shared)?;
        next(plan, shared);
        Ok(status(report))
    }
}

/// Makes the runs; nothing if it was interrupted.
fn train(
    args: &AblateArgs,
    plan: &Plan,
    missing: usize,
    device: &OpenDevice,
    shared: &Shared,
) -> anyhow::Result<Option<AblationReport>> {
    let stop = interrupt::stop_flag("saving, then stopping")?;
    let helpers = Helpers::start((args.jobs() - 1).min(missing.saturating_sub(1)))?;
    let log_every = plan.arms[0].config.train.log_every;
    let mut progress = Progress::new(shared, missing, log_every);
    let options = shared.run_options(device);
    let config = args.comparison(plan);
    let executed = execute(
        plan,
        &config,
        &device.device,
        &options,
        &mut progress,
        &stop,
        Others::Await,
    );
    progress.finish();
    drop(helpers);
    match executed.map_err(ablate_error)? {
        Executed::Complete(report) => Ok(Some(*report)),
        Executed::Stopped | Executed::Left { .. } => Ok(None),
    }
}

/// Makes runs for the process that has started this one.
fn help(args: &AblateArgs, plan: &Plan, shared: &Shared) -> anyhow::Result<Status> {
    let stop = interrupt::stop_flag("saving, then stopping")?;
    helpers::stop_with_parent(&stop);
    let device = shared.open_device()?;
    let mut progress = Progress::of_finished_runs(shared);
    let (options, config) = (shared.run_options(&device), args.comparison(plan));
    let executed = execute(
        plan,
        &config,
        &device.device,
        &options,
        &mut progress,
        &stop,
        Others::Await,
    );
    match executed.map_err(ablate_error)? {
        Executed::Complete(_) => Ok(Status::Done),
        Executed::Stopped | Executed::Left { .. } => Ok(Status::Interrupted),
    }
}

/// The largest table of runs that is read.
const MOST_BYTES: u64 = 1 << 28;

/// The table of runs that were written to a file.
pub(super) fn read(
    path: &Path,
    plan: &Plan,
    config: &AblationConfig,
) -> anyhow::Result<AblationReport> {
    let shown = path.display();
    let bytes = disk::read_at_most(path, MOST_BYTES)
        .map_err(|error| Usage::error(format!("cannot read `{shown}`: {error}")))?;
    let made = from_csv(&bytes, plan.tune.as_ref())
        .map_err(|error| Usage::error(format!("{shown}: {error}")))?;
    reported(plan, config, made, 0).map_err(ablate_error)
}

/// The end of a comparison: that of the claim on it, if there is one.
pub(super) fn status(report: &AblationReport) -> Status {
    match &report.claim {
        Some(claim) if claim.decision == Decision::Fail => Status::BelowThreshold,
        _ => Status::Done,
    }
}

/// Points to the first finished run; one that diverged has no score.
fn next(plan: &Plan, shared: &Shared) {
    let is_finished = |config: &RunConfig| matches!(finished(config, &shared.runs), Ok(Some(_)));
    if let Some(config) = plan.runs().find(is_finished) {
        let folder = run_folder(&config, &shared.runs);
        shared.next(&format!("eval {}", shown(&folder)));
    }
}

/// Refuses arms that would share their run folders.
fn check_twins(plan: &Plan) -> anyhow::Result<()> {
    for (i, arm) in plan.arms.iter().enumerate() {
        let name = arm.config.run_name();
        let twin = plan.arms[..i]
            .iter()
            .find(|other| other.config.run_name() == name);
        if let Some(twin) = twin {
            return Err(Usage::error(format!(
                "the arms `{}` and `{}` are the same run; remove one (--seeds varies the seed)",
                twin.label, arm.label
            )));
        }
    }
    Ok(())
}

/// Loads each data set once: what is wrong with it would otherwise show after other arms were trained.
/// A dry run checks what is quick to check.
fn check_data(plan: &Plan, shared: &Shared) -> anyhow::Result<()> {
    if shared.dry_run {
        return check_quickly(plan, shared);
    }
    for config in with_own_data(plan) {
        TaskData::load(config, &AtomicBool::new(false)).or_usage()?;
    }
    Ok(())
}

/// Checks what is quick to check of each data set.
fn check_quickly(plan: &Plan, shared: &Shared) -> anyhow::Result<()> {
    for config in with_own_data(plan) {
        let checked = TaskData::check(config).or_usage()?;
        let remark = checked.remark().into_iter();
        remark.for_each(|remark| shared.note(remark));
    }
    Ok(())
}

/// The first arm of each data set.
fn with_own_data(plan: &Plan) -> Vec<&RunConfig> {
    let mut first: Vec<&RunConfig> = Vec::new();
    for arm in &plan.arms {
        let data = |config: &RunConfig| (config.data.clone(), config.train.seq_length);
        if !first.iter().any(|other| data(other) == data(&arm.config)) {
            first.push(&arm.config);
        }
    }
    first
}
