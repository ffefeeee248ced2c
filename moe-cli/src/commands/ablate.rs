//! `moe ablate`: trains a grid of variants, or the arms of a claim, over several seeds and compares them.

mod preview;

use crate::backends::OpenDevice;
use crate::exit::{OrUsage, Status, Usage, ablate_error};
use crate::interrupt;
use crate::invocation;
use crate::memory;
use crate::runs::shown;
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::{Progress, print, print_json};
use clap::Args;
use moe_lab::ablate::{AblateError, AblationReport, Claim, Decision, Plan, execute};
use moe_train::config::RunConfig;
use moe_train::run::{finished, run_folder};
use moe_train::task::TaskData;
use moe_view::ablation::{AblationTable, FigureConfig, Panel, TableConfig, figure};
use moe_view::width;
use preview::Preview;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// The arguments of `moe ablate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe ablate configs/quickstart.toml -x router.name=mixtral,switch -s 3\n  \
                  moe ablate configs/claims/c1.toml --svg c1.svg"
)]
pub struct AblateArgs {
    /// The configuration of all arms, or a claim, which names its arms and seeds itself
    config: PathBuf,
    /// Values that replace the configuration's in all arms
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// An axis: a key and its values, the first the baseline's; several axes make a grid
    #[arg(short = 'x', long = "axis", value_name = "KEY=A,B")]
    axes: Vec<String>,
    /// The number of seeds of each arm [default: 3, or the claim's]
    #[arg(short, long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// Write a figure (.svg, .png or .pdf): loss, dead experts and load of each arm
    #[arg(short = 'o', long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// A line above the figure
    #[arg(long, value_name = "TEXT", requires = "svg")]
    title: Option<String>,
    /// The panels of the figure [default: loss, and those in which the arms differ]
    #[arg(long, value_name = "A,B", requires = "svg", value_delimiter = ',')]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Panel::ALL.map(Panel::name)))]
    panels: Vec<String>,
    #[command(flatten)]
    overwrite: Overwrite,
    /// Print all columns in one table, however wide
    #[arg(long)]
    wide: bool,
}

const FIGURE: Output = Output {
    flag: "--svg",
    maker: "moe ablate",
    kind: Kind::Picture,
};

/// Trains what is missing and prints the table.
pub fn run(args: &AblateArgs, shared: &Shared) -> anyhow::Result<Status> {
    let overrides = shared.overrides(&args.overrides);
    let plan = plan(args, &overrides)?;
    let target = Target::of(args.svg.as_deref(), FIGURE, args.overwrite)?;
    plan.notes.iter().for_each(|note| shared.note(note));
    check_twins(&plan)?;
    let missing = plan.missing(&shared.runs).map_err(ablate_error)?;
    if missing > 0 {
        check_data(&plan, shared)?;
    }
    let device = shared.open_device()?;
    for arm in plan.arms.iter().filter(|_| missing > 0) {
        if shared.dry_run {
            memory::remark(&arm.config, &device.name, shared);
        } else {
            memory::check(&arm.config, &device.name)?;
        }
    }
    let mut preview = Preview::new(&plan, missing);
    if shared.dry_run {
        return preview.show(shared);
    }
    if !shared.quiet {
        preview = preview.estimated(&plan, &device.device, &shared.runs)?;
    }
    shared.note(&preview.text());
    match train(&plan, missing, &device, shared)? {
        Some(report) => args.show(&report, &plan, target.as_ref(), shared),
        None => {
            shared.note("interrupted and saved; the same command goes on");
            shared.next(&invocation::arguments());
            Ok(Status::Interrupted)
        }
    }
}

impl AblateArgs {
    /// The figure's file and what it shows, if one is asked for.
    fn figure<'a>(&self, target: Option<&'a Target>) -> Option<(&'a Target, FigureConfig)> {
        let is_asked = |panel: &Panel| self.panels.iter().any(|name| name == panel.name());
        let config = FigureConfig {
            title: self.title.clone(),
            panels: Panel::ALL.into_iter().filter(is_asked).collect(),
        };
        target.map(|target| (target, config))
    }

    /// Prints the table, and then writes the figure, so that no failure of a file takes the table away.
    fn show(
        &self,
        report: &AblationReport,
        plan: &Plan,
        target: Option<&Target>,
        shared: &Shared,
    ) -> anyhow::Result<Status> {
        if shared.json {
            print_json(report)?;
        } else {
            let width = if self.wide { None } else { width() };
            print(&AblationTable(report).text(TableConfig {
                is_wide: self.wide,
                width,
            }))?;
        }
        if let Some((target, config)) = self.figure(target) {
            target.write(&figure(report, &config), shared)?;
        }
        next(plan, shared);
        Ok(status(report))
    }
}

/// Makes the runs; nothing if it was interrupted.
fn train(
    plan: &Plan,
    missing: usize,
    device: &OpenDevice,
    shared: &Shared,
) -> anyhow::Result<Option<AblationReport>> {
    let stop = interrupt::stop_flag("saving, then stopping")?;
    let log_every = plan.arms[0].config.train.log_every;
    let mut progress = Progress::new(shared, missing, log_every);
    let options = shared.run_options(device);
    let report = execute(plan, &device.device, &options, &mut progress, &stop);
    progress.finish();
    report.map_err(ablate_error)
}

/// The plan of a grid, or of the claim that the file is.
fn plan(args: &AblateArgs, overrides: &[String]) -> anyhow::Result<Plan> {
    let claim = Claim::read(&args.config).map_err(|error| ablate_error(error.into()))?;
    let plan: Result<Plan, AblateError> = match &claim {
        Some(_) if !args.axes.is_empty() => {
            return Err(Usage::error(format!(
                "{} is a claim, whose arms are fixed in the file; leave out -x",
                args.config.display()
            )));
        }
        Some(claim) => Plan::of_claim(claim, overrides, args.seeds),
        None => Plan::new(&args.config, overrides, &args.axes, args.seeds.unwrap_or(3)),
    };
    plan.map_err(ablate_error)
}

fn status(report: &AblationReport) -> Status {
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
    let mut loaded = Vec::new();
    for arm in &plan.arms {
        let data = (&arm.config.data, arm.config.train.seq_length);
        if !loaded.contains(&data) {
            if shared.dry_run {
                let checked = TaskData::check(&arm.config).or_usage()?;
                checked
                    .remark()
                    .into_iter()
                    .for_each(|remark| shared.note(remark));
            } else {
                TaskData::load(&arm.config, &AtomicBool::new(false)).or_usage()?;
            }
            loaded.push(data);
        }
    }
    Ok(())
}
