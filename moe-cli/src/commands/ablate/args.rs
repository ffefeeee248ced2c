//! The arguments of `moe ablate`.

use super::cluster::ClusterArgs;
use crate::exit::{Usage, ablate_error};
use crate::table_files::{TableFiles, TableTargets};
use crate::target::{Kind, Output, Target};
use clap::{Args, FromArgMatches};
use moe_lab::ablate::{AblateError, AblationConfig, Claim, Plan};
use moe_view::ablation::Panel;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The arguments of `moe ablate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe ablate configs/quickstart.toml -x router.name=mixtral,loss_free router.top_k=2\n  \
                  moe ablate configs/debug.toml -x balance.load_balance=0,0.02 -t train.lr=2.5e-3,5e-3,1e-2 -j 2 --csv runs.csv\n  \
                  moe ablate configs/debug.toml -x router.name=mixtral,random router.top_k=2 --submit slurm --sbatch '--time=4:00:00'\n  \
                  moe ablate configs/claims/c1.toml --svg c1.svg"
)]
pub struct AblateArgs {
    /// The configuration of all arms, or a claim, which names its arms and seeds itself
    pub(super) config: PathBuf,
    /// Values that replace the configuration's in all arms
    #[arg(value_name = "KEY=VALUE")]
    pub(super) overrides: Vec<String>,
    /// An axis: a key and its values, the first the baseline's; several axes make a grid
    #[arg(short = 'x', long = "axis", value_name = "KEY=A,B")]
    pub(super) axes: Vec<String>,
    /// The number of seeds of each arm [default: as many as can decide between the arms, or the claim's]
    #[arg(short, long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) seeds: Option<u64>,
    /// Give each arm its own best value of a key first, found on seeds that decide nothing
    #[arg(short, long, value_name = "KEY=A,B,C")]
    pub(super) tune: Option<String>,
    /// The number of seeds of each value in a tuning
    #[arg(long, value_name = "N", default_value_t = 2, requires = "tune")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) tune_seeds: u64,
    /// The largest difference that counts as none, in the table's unit: arms may then be equal
    #[arg(long, value_name = "M", value_parser = positive)]
    pub(super) margin: Option<f64>,
    /// Make three seeds and say how many would find a difference of DELTA, in the table's unit
    #[arg(long, value_name = "DELTA", value_parser = positive)]
    pub(super) power: Option<f64>,
    /// Train the baseline with these multiples of its steps too, and say what each arm is worth in compute
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    pub(super) scale: Vec<f64>,
    /// Train N runs at once, each on its share of the threads; the results are the same
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) jobs: u64,
    /// Compare the runs of a table that --csv wrote, without training
    #[arg(long, value_name = "FILE", conflicts_with_all = ["power", "jobs"])]
    pub(super) from_csv: Option<PathBuf>,
    /// Write a line of values for each run (.csv)
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    pub(super) files: TableFiles,
    /// The panels of the figure [default: loss, and those in which the arms differ]
    #[arg(long, value_name = "A,B", requires = "svg", value_delimiter = ',')]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Panel::ALL.map(Panel::name)))]
    pub(super) panels: Vec<String>,
    /// Print all columns in one table, however wide
    #[arg(long)]
    pub(super) wide: bool,
    /// Print for every two arms the smallest margin within which they are equal
    #[arg(long)]
    pub(super) matrix: bool,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// The command, which leaves its name in files.
const MAKER: &str = "moe ablate";

/// The seeds of a pilot.
const PILOT: u64 = 3;

/// The files that the answer is written to.
#[derive(Debug)]
pub(super) struct Targets {
    pub csv: Option<Target>,
    pub table: TableTargets,
}

impl AblateArgs {
    /// The number of runs that are trained at once.
    pub fn jobs(&self) -> usize {
        self.jobs as usize
    }

    /// The arguments of a claim with options of ours, whose runs and figure are written to two files, or to none.
    pub fn of_claim(file: &Path, options: &[&str], written: Option<&[PathBuf; 2]>) -> Self {
        let options = options.iter().map(OsStr::new);
        let mut words: Vec<&OsStr> = [OsStr::new("ablate")].into_iter().chain(options).collect();
        for (flag, path) in ["--csv", "--svg"].iter().zip(written.into_iter().flatten()) {
            words.extend([OsStr::new(flag), path.as_os_str()]);
        }
        words.extend([OsStr::new("--"), file.as_os_str()]);
        let command = Self::augment_args(clap::Command::new("ablate"));
        let matches = command.get_matches_from(words);
        Self::from_arg_matches(&matches).expect("the arguments are whole")
    }

    /// Checks the files before any work.
    pub(super) fn targets(&self) -> anyhow::Result<Targets> {
        let output = Output {
            flag: "--csv",
            maker: MAKER,
            kind: Kind::Runs,
        };
        Ok(Targets {
            csv: Target::of(self.csv.as_deref(), output, self.files.overwrite)?,
            table: self.files.targets(MAKER)?,
        })
    }

    /// The plan of a grid, or of the claim that the file is.
    pub(super) fn plan(&self, overrides: &[String]) -> anyhow::Result<Plan> {
        let claim = Claim::read(&self.config).map_err(|error| ablate_error(error.into()))?;
        let plan: Result<Plan, AblateError> = match &claim {
            Some(claim) => {
                self.check_claim(&self.config)?;
                Plan::of_claim(claim, overrides, self.seeds)
            }
            None => {
                let seeds = self.seeds.or(self.power.map(|_| PILOT));
                let tuning = self.tune.as_deref().map(|axis| (axis, self.tune_seeds));
                Plan::new(&self.config, overrides, &self.axes, seeds, tuning)
            }
        };
        let scaled = |plan: Plan| match &self.scale[..] {
            [] => Ok(plan),
            budgets => plan.scaled_to(budgets),
        };
        plan.and_then(scaled).map_err(ablate_error)
    }

    /// Refuses what a claim's file fixes.
    fn check_claim(&self, path: &Path) -> anyhow::Result<()> {
        let fixed = [
            (!self.axes.is_empty(), "arms", "-x"),
            (self.tune.is_some(), "tuning", "--tune"),
            (self.margin.is_some(), "margins", "--margin"),
            (!self.scale.is_empty(), "budgets", "--scale"),
        ];
        match fixed.into_iter().find(|(is_given, ..)| *is_given) {
            Some((_, what, flag)) => Err(Usage::error(format!(
                "{} is a claim, whose {what} are fixed in the file; leave out {flag}",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    /// The options of the comparison; a margin is given in the unit of the table.
    pub(super) fn comparison(&self, plan: &Plan) -> AblationConfig {
        let mut config = AblationConfig::default();
        config.compare.margin = self.margin.map(|margin| margin / scale(plan));
        config
    }
}

/// The factor of a score to stand in the unit of the table.
pub(super) fn scale(plan: &Plan) -> f64 {
    plan.arms[0].config.model.task().merit().scale()
}

/// A number above 0.
pub(in crate::commands) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        Ok(_) => Err("it must be a number above 0".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
