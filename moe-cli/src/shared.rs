//! The options that several commands share, and what they decide.

use crate::backends::{BACKENDS, DeviceChoice, OpenDevice};
use crate::exit::{OrUsage, Usage};
use crate::invocation;
use crate::terminal::say;
use clap::{Arg, ArgMatches, Args, Command, ValueEnum};
use moe_parallel::Mesh;
use moe_train::config::{LARGEST_SEED, RunConfig};
use moe_train::run::{Lock, RunOptions, check_run};
use std::path::{Path, PathBuf};

/// The options that several commands share; a command takes those that it uses.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Shared options")]
pub struct Shared {
    /// The backend to compute on, with an index where it has several: flex, cuda:1; `moe list
    /// backends` shows all. `moe bench layer` and `moe agree` take several and compare them
    #[arg(long, value_name = "NAME", value_parser = DeviceChoice::parse)]
    pub device: Vec<DeviceChoice>,
    /// Overrides the configuration's seed; in `generate`, the seed of the draws, and in `data prepare`, of the parts
    /// (default 0)
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(..=LARGEST_SEED))]
    pub seed: Option<u64>,
    /// The folder of all runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,
    /// The means by which a run folder is held: `flock`, a lock of the system, or `lease`, a file that is touched while
    /// the run goes on, for file systems without locks; `moe doctor --runs DIR` tells
    #[arg(long, value_name = "KIND", value_enum, default_value_t = LockKind::Flock)]
    pub lock: LockKind,
    /// Check everything, print the resolved configuration and the plan, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
    /// No progress and no notes
    #[arg(short, long)]
    pub quiet: bool,
    /// Share the experts of each layer out among N of the processes that make a run together
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub expert_parallel: usize,
    /// End a run of several processes if one of them keeps the others waiting for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub patience: u64,
    /// Try several processes out as N threads of this one, without MPI
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub ranks: usize,
    /// The processes that run the command together.
    #[arg(skip)]
    pub mesh: Mesh,
    /// Also print the resolved configuration before the work
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// The means by which a run folder is held.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// A lock of the system
    Flock,
    /// A file that is touched while the run goes on
    Lease,
}

impl LockKind {
    fn lock(self) -> Lock {
        match self {
            Self::Flock => Lock::Flock,
            Self::Lease => Lock::Lease,
        }
    }
}

impl Shared {
    /// The named options, with those that need no name: `--json` and `--quiet`.
    pub fn options(names: &[&str]) -> Vec<Arg> {
        let all = Self::augment_args(Command::new("all"));
        let is_used = |arg: &&Arg| {
            let id = arg.get_id().as_str();
            ["json", "quiet"].contains(&id) || names.contains(&id)
        };
        all.get_arguments().filter(is_used).cloned().collect()
    }

    /// The options that were given; the others as if they had not been.
    pub fn of(given: &ArgMatches) -> Self {
        let has = |name: &str| value::<bool>(given, name).unwrap_or(false);
        Self {
            device: given
                .try_get_many("device")
                .ok()
                .flatten()
                .map_or(Vec::new(), |devices| devices.cloned().collect()),
            seed: value(given, "seed"),
            expert_parallel: value(given, "expert_parallel").unwrap_or(1),
            patience: value(given, "patience").unwrap_or(600),
            ranks: value(given, "ranks").unwrap_or(1),
            mesh: Mesh::one(),
            runs: value(given, "runs").unwrap_or_else(|| PathBuf::from("runs")),
            lock: value(given, "lock").unwrap_or(LockKind::Flock),
            dry_run: has("dry_run"),
            json: has("json"),
            quiet: has("quiet"),
            verbose: has("verbose"),
        }
    }

    /// Tells whether an option as it is typed is one of these.
    pub fn is_option(typed: &str) -> bool {
        let all = Self::augment_args(Command::new("all"));
        let name = typed.strip_prefix("--");
        all.get_arguments().any(|arg| arg.get_long() == name)
    }

    /// Starts the chosen device, or the default one.
    pub fn open_device(&self) -> anyhow::Result<OpenDevice> {
        match &self.device[..] {
            [] => DeviceChoice::first().map_err(Usage::error)?.open(),
            [choice] => choice.open(),
            several => {
                let names: Vec<String> = several.iter().map(DeviceChoice::name).collect();
                Err(Usage::error(format!(
                    "--device is given {} times ({}); this command computes on one. `moe bench layer` and `moe agree` compare several",
                    names.len(),
                    names.join(", ")
                )))
            }
        }
    }

    /// The name of the chosen device, which is not started.
    pub fn device_name(&self) -> String {
        let default = || BACKENDS[0].name.to_owned();
        self.device.first().map_or_else(default, DeviceChoice::name)
    }

    /// Starts all chosen devices, or the default one.
    pub fn open_devices(&self) -> anyhow::Result<Vec<OpenDevice>> {
        match &self.device[..] {
            [] => Ok(vec![self.open_device()?]),
            several => several.iter().map(DeviceChoice::open).collect(),
        }
    }

    /// The overrides of the command line, `--seed` last.
    pub fn overrides(&self, given: &[String]) -> Vec<String> {
        let seed = self.seed.map(|seed| format!("seed={seed}"));
        given.iter().cloned().chain(seed).collect()
    }

    /// Reads and checks a configuration and prints what resolving it had to say.
    pub fn load_config(&self, path: &Path, overrides: &[String]) -> anyhow::Result<RunConfig> {
        let resolved = RunConfig::load(path, &self.overrides(overrides)).or_usage()?;
        for note in &resolved.notes {
            self.note(note);
        }
        if let Some(note) = not_of_its_run(path) {
            self.note(&note);
        }
        if self.verbose {
            say(resolved.config.to_toml());
        }
        Ok(resolved.config)
    }

    /// Options of the training code beside the configuration.
    pub fn run_options(&self, device: &OpenDevice) -> RunOptions {
        RunOptions {
            runs_dir: self.runs.clone(),
            device_name: device.name.clone(),
            argv: std::env::args().collect(),
            claim: None,
            mesh: self.mesh.clone(),
            lock: self.lock.lock(),
        }
    }

    /// Prints a remark on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            say(format!("note: {text}"));
        }
    }

    /// Says which fields of a published configuration are not read.
    pub fn note_unread(&self, fields: &[String]) {
        if !fields.is_empty() {
            let fields = fields.join(", ");
            self.note(&format!(
                "config.json: not known here and not read: {fields}; the numbers may not be the reference's"
            ));
        }
    }

    /// Prints the next command to try on stderr, unless quiet or in JSON.
    pub fn next(&self, arguments: &str) {
        if !self.quiet && !self.json {
            let device = self.device.first();
            let named = arguments.contains("--device");
            let flag = device
                .filter(|_| !named)
                .map_or(String::new(), |d| format!(" --device {}", d.name()));
            let command = invocation::command(device.map(DeviceChoice::backend));
            say(format!("next: {command} {arguments}{flag}"));
        }
    }
}

/// The value of an option that the command may not have.
fn value<T: Clone + Send + Sync + 'static>(given: &ArgMatches, name: &str) -> Option<T> {
    given.try_get_one(name).ok().flatten().cloned()
}

/// A remark on the `config.toml` of a run whose other files are not of it, as when it was edited.
fn not_of_its_run(path: &Path) -> Option<String> {
    if path.file_name()? != "config.toml" {
        return None;
    }
    let error = check_run(path.parent()?).err()?;
    Some(format!(
        "{} is read as a configuration, for it is not what its folder was trained with: {error}",
        path.display()
    ))
}
