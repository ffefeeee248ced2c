//! `moe analyze`: what the experts of a run do with held-out data.

use super::communication::CommunicationArgs;
use super::eval::HeldOut;
use super::plan::ReadPlan;
use super::trace::{traced, wrote};
use crate::exit::{Status, analyze_error, run_error};
use crate::runs::{find, shown};
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::{print, print_json};
use clap::Args;
use moe_lab::analyze::{AnalyzeOptions, analyze};
use moe_train::data::Split;
use moe_train::run::LoadedRun;
use moe_view::analysis_text;
use moe_view::pages::analysis_page;
use moe_view::quote;
use std::path::PathBuf;

/// The arguments of `moe analyze`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe analyze runs/NAME/seed-0 -o experts.html\n  moe analyze runs/NAME/seed-0 router.priority=score --capacity 1,0.5,0.1 -o experts.html\n  moe analyze runs/NAME/seed-0 --world 8,64 --link nvlink4 --network infiniband-400\n\nOf text: the tokens that each expert takes most beyond their base rate, how much an expert tells about the class and the domain of its tokens, and which experts compute the same tokens. Of images: which patches each expert takes, and which are dropped at each capacity. Of ranks: how many a token's experts are on, what it sends, and how long that takes; the links with a name are nvlink4, nvlink-h800, pcie4, infiniband-400 and ethernet-100. The page stands alone: no script, nothing from outside."
)]
pub struct AnalyzeArgs {
    /// The folder of a run, or one of its checkpoints
    run: PathBuf,
    /// Values of the router that replace those it was trained with, if they change no parameter
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The page to write; an earlier page of this command is replaced
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The part of the data
    #[arg(long, value_enum, default_value_t = HeldOut::Test)]
    split: HeldOut,
    /// Read N windows, pairs or images, evenly spaced. Default: the whole part
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    most: Option<u64>,
    /// Look at images at these capacity factors besides the run's own. Default: 1,0.5,0.25,0.1
    #[arg(long, value_name = "FACTOR,...", value_delimiter = ',')]
    capacity: Option<Vec<f64>>,
    /// Write a trace of all routings that are read, for `moe trace`
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    communication: CommunicationArgs,
    #[command(flatten)]
    overwrite: Overwrite,
}

const PAGE: Output = Output {
    flag: "--out",
    maker: "moe analyze",
    kind: Kind::Page,
};

const TRACE: Output = Output {
    flag: "--trace",
    maker: "moe analyze",
    kind: Kind::Trace,
};

/// Counts, prints the tables and writes the page.
pub fn run(args: &AnalyzeArgs, shared: &Shared) -> anyhow::Result<Status> {
    let target = Target::of(args.out.as_deref(), PAGE, args.overwrite)?;
    let trace = Target::of(args.trace.as_deref(), TRACE, args.overwrite)?;
    let path = find(&args.run, &shared.runs)?;
    let device = shared.open_device()?;
    let run = LoadedRun::open_with(&path, &args.overrides, &device.device).map_err(run_error)?;
    let options = AnalyzeOptions {
        split: args.split.into(),
        most: args.most.map(|n| n as usize),
        capacities: args.capacity.clone(),
        evaluated_with: args.overrides.clone(),
        communication: args.communication.options(),
        trace: trace.as_ref().map(|target| traced(target, &device)),
    };
    if shared.dry_run {
        let task = format!("analyze the {} part", Split::from(args.split));
        return ReadPlan::new(&run, &device.name, task).show(shared);
    }
    let analysis = analyze(&run, &options, &device.device).map_err(analyze_error)?;
    if shared.json {
        print_json(&analysis)?;
    } else {
        print(&analysis_text(&analysis))?;
    }
    if let Some(trace) = &trace {
        wrote(trace, shared);
    }
    match target {
        Some(target) => target.write(&analysis_page(&analysis), shared)?,
        None if trace.is_none() => shared.next(&next(args)),
        None => (),
    }
    Ok(Status::Done)
}

/// The same with a page.
fn next(args: &AnalyzeArgs) -> String {
    let words = [shown(&args.run)].into_iter();
    let words = words.chain(args.overrides.iter().map(|text| quote(text)));
    format!(
        "analyze {} -o experts.html",
        Vec::from_iter(words).join(" ")
    )
}
