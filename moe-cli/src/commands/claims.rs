//! `moe claims`: the claims of a folder with what was decided, their picture, and their runs.

mod overview;

use super::ablate::{self, AblateArgs};
use super::listing::{Cell, Listing};
use super::topics::toml_files;
use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use anyhow::Context;
use clap::{Args, Subcommand};
use moe_lab::ablate::Claim;
use overview::overview;
use std::fs;
use std::path::{Path, PathBuf};

/// The arguments of `moe claims`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe claims\n  moe claims -o effects.svg\n  moe claims run c2 c6 -j 2\n\nA claim's verdict is drawn from the table of its runs, docs/claims/NAME.csv, without training."
)]
pub struct ClaimsArgs {
    /// The folder of the claims' files
    #[arg(
        long,
        value_name = "DIR",
        default_value = "configs/claims",
        global = true
    )]
    folder: PathBuf,
    /// The folder of the tables of their runs; `run` makes it if there is none
    #[arg(long, value_name = "DIR", default_value = "docs/claims", global = true)]
    results: PathBuf,
    /// Draw the effect of each rule against its bound, of all claims that have a table (.svg, .png or .pdf)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
    #[command(subcommand)]
    what: Option<What>,
}

/// Work on claims.
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
    /// Make runs that nobody has until none is left, and wait for no other process. The exit code is 4 while others are
    /// still at it
    #[arg(long, conflicts_with = "jobs")]
    worker: bool,
}

const PICTURE: Output = Output {
    flag: "--out",
    maker: "moe claims",
    kind: Kind::Picture,
};

impl ClaimsArgs {
    /// The number of runs that are trained at once.
    pub fn jobs(&self) -> usize {
        match &self.what {
            Some(What::Run(args)) => args.jobs as usize,
            None => 1,
        }
    }
}

/// Lists and draws the claims, or makes their runs.
pub fn run(args: &ClaimsArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.what {
        Some(What::Run(_)) if args.out.is_some() => Err(Usage::error(
            "--out draws what was decided: leave it out here, and draw afterwards with `moe claims --out FILE`",
        )),
        Some(What::Run(what)) => decide(args, what, shared),
        None => {
            let target = Target::of(args.out.as_deref(), PICTURE, args.overwrite)?;
            overview(args, target.as_ref(), shared)
        }
    }
}

/// Makes the runs of each claim in turn.
fn decide(args: &ClaimsArgs, what: &RunArgs, shared: &Shared) -> anyhow::Result<Status> {
    let files = what.names.iter().map(|name| args.file(name));
    let files: Vec<PathBuf> = files.collect::<anyhow::Result<_>>()?;
    if !shared.dry_run {
        let folder = args.results.display();
        fs::create_dir_all(&args.results)
            .with_context(|| format!("cannot make the folder `{folder}`"))?;
    }
    let jobs = what.jobs.to_string();
    let options = if what.worker {
        vec!["--worker"]
    } else {
        vec!["--jobs", &jobs]
    };
    let mut status = Status::Done;
    for (file, name) in files.iter().zip(&what.names) {
        let written =
            ["csv", "svg"].map(|extension| args.results.join(format!("{name}.{extension}")));
        // a dry run makes no folder, and where there is none nothing is in the way
        let written = args.results.is_dir().then_some(&written);
        match ablate::run(&AblateArgs::of_claim(file, &options, written), shared)? {
            Status::Interrupted => return Ok(Status::Interrupted),
            Status::OthersAtWork => status = Status::OthersAtWork,
            Status::BelowThreshold if status == Status::Done => status = Status::BelowThreshold,
            _ => (),
        }
    }
    Ok(status)
}

impl ClaimsArgs {
    /// The file of the claim of a name.
    fn file(&self, name: &str) -> anyhow::Result<PathBuf> {
        let file = self.folder.join(format!("{name}.toml"));
        if file.exists() {
            return Ok(file);
        }
        let folder = self.folder.display();
        let names: Vec<String> = toml_files(&self.folder)
            .iter()
            .map(|path| stem(path))
            .collect();
        Err(Usage::error(if names.is_empty() {
            format!("there is no claim `{name}` in {folder}, and no other; give another --folder")
        } else {
            format!(
                "there is no claim `{name}` in {folder}; there are {}",
                names.join(", ")
            )
        }))
    }
}

/// A file's name without its extension.
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
