//! `moe compare`: the comparison of an ablation on the results of any program.

mod document;

use super::ablate::{positive, status};
use crate::exit::{OrUsage, Status, Usage};
use crate::shared::Shared;
use crate::table_files::{TableFiles, TableTargets};
use crate::terminal::{print, print_json};
use clap::Args;
use document::document;
use moe_lab::ablate::{AblationConfig, AblationReport};
use moe_lab::results::{Filter, Names, Question, ResultsClaim, Table};
use moe_lab::stats::Goal;
use moe_view::ablation::{AblationTable, FigureConfig, TableConfig};
use moe_view::width;
use std::path::{Path, PathBuf};

/// The arguments of `moe compare`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe compare results.csv --arm optimizer --seed seed --metric val_loss\n  \
                  moe compare wandb_export.csv --arm optimizer --metric val/loss --where State=finished\n  \
                  moe compare lm_eval_results --metric hellaswag/acc_norm --names '{arm}-seed{seed}'\n  \
                  moe compare claim.toml"
)]
pub struct CompareArgs {
    /// CSV, TSV, JSON lines, an export of W&B, a folder of lm-eval, or a claim on such results
    results: PathBuf,
    /// The column that names what is compared
    #[arg(long, value_name = "COL")]
    arm: Option<String>,
    /// The column of seeds; arms of the same seeds are paired [default: `seed`]
    #[arg(long, value_name = "COL")]
    seed: Option<String>,
    /// The column of the scores
    #[arg(long, value_name = "COL")]
    metric: Option<String>,
    /// The form of names with arm and seed in them, such as '{arm}-seed{seed}'
    #[arg(long, value_name = "PATTERN", value_parser = Names::parse)]
    names: Option<Names>,
    /// The arm that the others are compared with [default: the first]
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Lower scores are better
    #[arg(long, conflicts_with = "higher")]
    lower: bool,
    /// Higher scores are better
    #[arg(long)]
    higher: bool,
    /// The largest difference that counts as none: arms may then be equal
    #[arg(long, value_name = "M", value_parser = positive)]
    equal_within: Option<f64>,
    /// Take only rows with this value in this column; may be given several times
    #[arg(long = "where", value_name = "COL=VALUE", value_parser = Filter::parse)]
    filters: Vec<Filter>,
    /// Columns of costs: arms that differ by more than 1 % are not compared
    #[arg(long = "cost", value_name = "COL,COL", value_delimiter = ',')]
    costs: Vec<String>,
    /// The column that says if a run is causal: true or false
    #[arg(long, value_name = "COL")]
    causal: Option<String>,
    /// Compare only the seeds that all arms have
    #[arg(long, conflicts_with = "unpaired")]
    paired: bool,
    /// Compare arms as independent samples, though their seeds are the same
    #[arg(long)]
    unpaired: bool,
    #[command(flatten)]
    files: TableFiles,
    /// Print for every two arms the smallest margin within which they are equal
    #[arg(long)]
    matrix: bool,
}

/// Compares the arms of a table, or decides the claim on one.
pub fn run(args: &CompareArgs, shared: &Shared) -> anyhow::Result<Status> {
    let targets = args.files.targets("moe compare")?;
    let report = if args.results.extension().is_some_and(|end| end == "toml") {
        args.check_claim()?;
        decided(&args.results)?
    } else {
        let table = Table::read(&args.results).or_usage()?;
        let scores = args.question().scores(&table).or_usage()?;
        scores.report(&args.comparison()).or_usage()?
    };
    args.show(&report, &targets, shared)?;
    Ok(status(&report))
}

/// The comparison that decides a claim.
pub(super) fn decided(path: &Path) -> anyhow::Result<AblationReport> {
    match ResultsClaim::read(path).or_usage()? {
        Some(claim) => claim.decide().or_usage(),
        None => Err(Usage::error(format!(
            "{}: it has no tables [claim] and [results]; a configuration or a claim of runs belongs to `moe ablate`",
            path.display()
        ))),
    }
}

impl CompareArgs {
    fn question(&self) -> Question {
        Question {
            metric: self.metric.clone(),
            arm: self.arm.clone(),
            seed: self.seed.clone(),
            names: self.names.clone(),
            baseline: self.baseline.clone(),
            goal: match (self.lower, self.higher) {
                (true, _) => Some(Goal::Lower),
                (_, true) => Some(Goal::Higher),
                _ => None,
            },
            filters: self.filters.clone(),
            costs: self.costs.clone(),
            causal: self.causal.clone(),
            only_shared: self.paired,
            never_paired: self.unpaired,
        }
    }

    fn comparison(&self) -> AblationConfig {
        let mut config = AblationConfig::default();
        config.compare.margin = self.equal_within;
        config
    }

    /// Refuses what a claim's file fixes.
    fn check_claim(&self) -> anyhow::Result<()> {
        let fixed = [
            (self.arm.is_some(), "--arm"),
            (self.seed.is_some(), "--seed"),
            (self.metric.is_some(), "--metric"),
            (self.names.is_some(), "--names"),
            (self.baseline.is_some(), "--baseline"),
            (self.lower, "--lower"),
            (self.higher, "--higher"),
            (self.equal_within.is_some(), "--equal-within"),
            (!self.filters.is_empty(), "--where"),
            (!self.costs.is_empty(), "--cost"),
            (self.causal.is_some(), "--causal"),
            (self.paired, "--paired"),
            (self.unpaired, "--unpaired"),
        ];
        match fixed.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => Err(Usage::error(format!(
                "{} is a claim, whose comparison is fixed in the file; leave out {flag}",
                self.results.display()
            ))),
            None => Ok(()),
        }
    }

    /// Prints the table, and then writes the files, so that no failure of a file takes the table away.
    fn show(
        &self,
        report: &AblationReport,
        targets: &TableTargets,
        shared: &Shared,
    ) -> anyhow::Result<()> {
        let table = AblationTable(report);
        if shared.json {
            print_json(&document(report)?)?;
        } else {
            let width = width();
            let config = TableConfig {
                is_wide: false,
                width,
            };
            print(&table.text(config))?;
            if self.matrix {
                print(&format!("\n{}", table.matrix(width)))?;
            }
        }
        let drawn = FigureConfig {
            title: self.files.title.clone(),
            panels: Vec::new(),
        };
        targets.write(report, &drawn, shared)
    }
}
