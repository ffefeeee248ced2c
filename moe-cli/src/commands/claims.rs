//! `moe claims`: the claims of a folder with what was decided, and their runs.

use super::ablate::{self, AblateArgs};
use super::listing::{Cell, Listing};
use super::topics::toml_files;
use crate::exit::{OrUsage, Status, Usage, ablate_error};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, Subcommand};
use moe_lab::ablate::{AblationConfig, Claim, ClaimReport, Decision, Plan, RuleReport};
use moe_view::ablation::signed;
use moe_view::{Align, columns_within, counted, width};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments of `moe claims`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe claims\n  moe claims run c2 c6 -j 2\n\nA claim's verdict is drawn from the table of its runs, docs/claims/NAME.csv, without training."
)]
pub struct ClaimsArgs {
    /// The folder of the claims' files
    #[arg(long, value_name = "DIR", default_value = "configs/claims")]
    folder: PathBuf,
    /// The folder of the tables of their runs
    #[arg(long, value_name = "DIR", default_value = "docs/claims")]
    results: PathBuf,
    #[command(subcommand)]
    what: Option<What>,
}

/// What is done with claims.
#[derive(Subcommand, Debug)]
enum What {
    /// Make the runs of claims that are missing, print their tables, write NAME.csv and NAME.svg
    Run(RunArgs),
}

/// The arguments of `moe claims run`.
#[derive(Args, Debug)]
struct RunArgs {
    /// The claims: the names of their files without extension
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Train N runs at once, each on its share of the threads
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: u64,
}

impl ClaimsArgs {
    /// The number of runs that are trained at once.
    pub fn jobs(&self) -> usize {
        match &self.what {
            Some(What::Run(args)) => args.jobs as usize,
            None => 1,
        }
    }
}

/// Lists the claims, or makes their runs.
pub fn run(args: &ClaimsArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.what {
        Some(What::Run(what)) => decide(args, what, shared),
        None => overview(args, shared),
    }
}

/// Makes the runs of each claim in turn.
fn decide(args: &ClaimsArgs, what: &RunArgs, shared: &Shared) -> anyhow::Result<Status> {
    let file = |name: &String| {
        let path = args.folder.join(format!("{name}.toml"));
        let found = path.exists().then_some(path);
        found.ok_or_else(|| {
            let names: Vec<String> = toml_files(&args.folder)
                .iter()
                .map(|path| stem(path))
                .collect();
            let folder = args.folder.display();
            Usage::error(format!(
                "there is no claim `{name}` in {folder}; there are {}",
                names.join(", ")
            ))
        })
    };
    let paths: Vec<PathBuf> = what.names.iter().map(file).collect::<anyhow::Result<_>>()?;
    let mut status = Status::Done;
    for (path, name) in paths.iter().zip(&what.names) {
        let to = |extension: &str| args.results.join(format!("{name}.{extension}"));
        let args = AblateArgs::of_claim(path, what.jobs, &to("csv"), &to("svg"));
        match ablate::run(&args, shared)? {
            Status::Interrupted => return Ok(Status::Interrupted),
            Status::BelowThreshold => status = Status::BelowThreshold,
            _ => (),
        }
    }
    Ok(status)
}

/// A claim with what was decided.
#[derive(Serialize, Debug)]
struct Line {
    name: String,
    file: PathBuf,
    /// The decision; none if it has no table of runs.
    #[serde(flatten)]
    claim: Option<ClaimReport>,
    runs: usize,
}

fn overview(args: &ClaimsArgs, shared: &Shared) -> anyhow::Result<Status> {
    let paths = toml_files(&args.folder);
    let line = |path: &PathBuf| line(path, &args.results);
    let lines: Vec<Line> = paths.iter().map(line).collect::<anyhow::Result<_>>()?;
    if shared.json {
        print_json(&lines)?;
        return Ok(Status::Done);
    }
    if lines.is_empty() {
        let folder = args.folder.display();
        shared.note(&format!(
            "there is no claim in {folder}; give another --folder"
        ));
        return Ok(Status::Done);
    }
    let header = [
        "claim",
        "decision",
        "rules",
        "of which first",
        "difference",
        "interval",
        "runs",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(lines.iter().map(cells));
    use Align::{Left, Right};
    let align = [Left, Left, Left, Left, Right, Right, Right];
    print(&columns_within(&rows, &align, width()))?;
    shared.next("ablate configs/claims/NAME.toml --from-csv docs/claims/NAME.csv");
    Ok(Status::Done)
}

fn line(path: &Path, results: &Path) -> anyhow::Result<Line> {
    let name = stem(path);
    let claim = Claim::read(path).or_usage()?;
    let table = results.join(format!("{name}.csv"));
    let none = Line {
        name,
        file: path.to_owned(),
        claim: None,
        runs: 0,
    };
    let Some(claim) = claim.filter(|_| table.exists()) else {
        return Ok(none);
    };
    let plan = Plan::of_claim(&claim, &[], None).map_err(ablate_error)?;
    let report = ablate::read(&table, &plan, &AblationConfig::default())?;
    Ok(Line {
        runs: plan.arms.len() * plan.seeds.len() + plan.trials().count() + plan.scaled().count(),
        claim: report.claim,
        ..none
    })
}

fn cells(line: &Line) -> Vec<String> {
    let Some(claim) = &line.claim else {
        let mut cells = vec![line.name.clone(), "not run".to_owned()];
        cells.resize(7, "-".to_owned());
        return cells;
    };
    let count = |decision: Decision| {
        let n = claim
            .rules
            .iter()
            .filter(|rule| rule.decision == decision)
            .count();
        (n > 0).then(|| format!("{n} {decision}"))
    };
    let kinds = [Decision::Pass, Decision::Fail, Decision::Inconclusive];
    let counts: Vec<String> = kinds.into_iter().filter_map(count).collect();
    let weakest = claim
        .rules
        .iter()
        .find(|rule| rule.decision == claim.decision);
    let interval = |rule: &RuleReport| {
        let interval = rule.interval?;
        Some(format!(
            "[{}, {}]",
            signed(interval.low),
            signed(interval.high)
        ))
    };
    let of_weakest = |of: &dyn Fn(&RuleReport) -> Option<String>| {
        weakest.and_then(of).unwrap_or_else(|| "-".to_owned())
    };
    vec![
        line.name.clone(),
        claim.decision.to_string(),
        counts.join(", "),
        of_weakest(&|rule| Some(rule.rule.clone())),
        of_weakest(&|rule| rule.difference.map(signed)),
        of_weakest(&interval),
        counted(line.runs, "run"),
    ]
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem();
    stem.map_or(String::new(), |stem| stem.to_string_lossy().into_owned())
}

/// The claims of the folder `configs/claims`.
pub fn claims() -> Listing {
    let paths = toml_files(Path::new("configs/claims"));
    let remark = if paths.is_empty() {
        "There is no configs/claims/*.toml here; run this in the repository's root."
    } else {
        "Run one: moe ablate FILE; its rules decide it."
    };
    Listing {
        topic: "claims",
        header: vec!["file", "arms", "seeds", "hypothesis", "source"],
        rows: paths.iter().map(|path| row(path)).collect(),
        remark: Some(remark.to_owned()),
    }
}

fn row(path: &Path) -> Vec<Cell> {
    let count = |n: u64| Cell::Number(n, n.to_string());
    let (arms, seeds, hypothesis, source) = match Claim::read(path) {
        Ok(Some(claim)) => (
            claim.arms.len() as u64,
            claim.seeds,
            claim.hypothesis,
            claim.source,
        ),
        Ok(None) => (
            0,
            0,
            "no claim: it has no table [claim]".to_owned(),
            String::new(),
        ),
        Err(error) => (0, 0, format!("cannot be used: {error}"), String::new()),
    };
    vec![
        Cell::Name(path.display().to_string()),
        count(arms),
        count(seeds),
        Cell::Words(hypothesis),
        Cell::Words(source),
    ]
}
