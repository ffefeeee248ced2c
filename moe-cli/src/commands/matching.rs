//! `moe match`: the value of a key with which a configuration costs what another one costs.

mod answer;

use crate::exit::{OrUsage, Status, Usage};
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use answer::Answer;
use clap::{Args, ValueEnum};
use moe_lab::ablate::Claim;
use moe_lab::matching::{MatchError, Nearest, nearest};
use moe_models::Account;
use moe_models::bounds::LARGEST_SIZE;
use moe_train::config::{ConfigError, RunConfig};
use moe_train::resolve::{ConfigFile, Override, key_hint};
use moe_view::{quote, significant, thousands};
use serde::Serialize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The arguments of `moe match`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe match configs/quickstart.toml experts.n_experts=1 router.top_k=1 --key experts.d_expert --to configs/quickstart.toml\n  \
                  moe match configs/quickstart.toml --key model.d_model=64..512 --to configs/nine-domains.toml --equal total --within 2%\n  \
                  moe match configs/claims/c2.toml experts.n_experts=1 router.top_k=1 --key experts.d_expert --to configs/claims/c2.toml --equal flops\n\n\
                  Counts are those of `moe inspect`. The exit code is 3 if the nearest is further off than --within."
)]
pub struct MatchArgs {
    /// The configuration whose key is sought, or a claim, whose [base] is meant
    config: PathBuf,
    /// Values that replace the configuration's, such as experts.n_experts=1
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The key, which takes whole numbers, and in which range to look [default range: 1..1048576]
    #[arg(short, long, value_name = "KEY[=LOW..HIGH]", value_parser = Sought::parse)]
    key: Sought,
    /// The configuration to match, or a claim, and behind it values that replace its own
    #[arg(long, value_names = ["FILE", "KEY=VALUE"], num_args = 1.., required = true)]
    to: Vec<String>,
    /// The count that is to be equal
    #[arg(long, value_enum, default_value_t = Equal::Active)]
    equal: Equal,
    /// The largest difference that is a match, in percent
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = percent)]
    within: f64,
}

/// A count of `moe inspect`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Equal {
    /// Parameters that a token passes through
    Active,
    /// All parameters
    Total,
    /// FLOP of a token, forward
    Flops,
}

impl Equal {
    fn of(self, account: &Account) -> u64 {
        match self {
            Self::Active => account.params_active as u64,
            Self::Total => account.params_total as u64,
            Self::Flops => account.flops_per_token,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Active => "active parameters",
            Self::Total => "parameters",
            Self::Flops => "FLOP a token",
        }
    }
}

/// A key and the range of its values.
#[derive(Debug, Clone)]
struct Sought {
    key: String,
    range: RangeInclusive<u64>,
}

impl Sought {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((key, range)) = text.split_once('=') else {
            let range = 1..=LARGEST_SIZE as u64;
            return Ok(Self {
                key: text.to_owned(),
                range,
            });
        };
        let ends = range.split_once("..");
        let ends = ends.and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        match ends {
            Some((low, high)) if low <= high => Ok(Self {
                key: key.to_owned(),
                range: low..=high,
            }),
            _ => Err(format!("write the range as {key}=64..512")),
        }
    }
}

/// Searches, and prints the value with its neighbours.
pub fn run(args: &MatchArgs, shared: &Shared) -> anyhow::Result<Status> {
    let target = args.target(shared)?;
    let file = file(&args.config)?;
    let found = args.search(&file, target)?;
    let resolved = RunConfig::resolve(file, &args.with(found.nearest.value)).or_usage()?;
    resolved.notes.iter().for_each(|note| shared.note(note));
    let answer = Answer::new(&found, target, args);
    if shared.json {
        print_json(&answer)?;
    } else {
        print(&answer.text(&args.to))?;
    }
    if !answer.is_within {
        shared.note(&format!(
            "no value from {} to {} comes nearer than {} %",
            args.key.range.start(),
            args.key.range.end(),
            significant(answer.nearest.difference_percent.abs(), 3)
        ));
        return Ok(Status::BelowThreshold);
    }
    args.next(answer.nearest.value, shared)?;
    Ok(Status::Done)
}

/// A configuration's file, or the base of a claim.
fn file(path: &Path) -> anyhow::Result<ConfigFile> {
    match Claim::read(path).or_usage()? {
        Some(claim) => Ok(claim.base),
        None => ConfigFile::read(path).or_usage(),
    }
}

impl MatchArgs {
    /// The count of the other configuration.
    fn target(&self, shared: &Shared) -> anyhow::Result<u64> {
        let (path, overrides) = (Path::new(&self.to[0]), &self.to[1..]);
        if !path.exists() && self.to[0].contains('=') {
            return Err(Usage::error(format!(
                "--to {}: give the file first, then its values: --to {} {}",
                self.to[0],
                shown(&self.config),
                self.to.join(" ")
            )));
        }
        let resolved = RunConfig::resolve(file(path)?, overrides).or_usage()?;
        resolved.notes.iter().for_each(|note| shared.note(note));
        Ok(self.equal.of(&resolved.config.account()))
    }

    fn search(&self, file: &ConfigFile, target: u64) -> anyhow::Result<Nearest> {
        self.check_key(file)?;
        let mut last = None;
        let found = nearest(
            self.key.range.clone(),
            target,
            |value| match RunConfig::resolve(file.clone(), &self.with(value)) {
                Ok(resolved) => Some(self.equal.of(&resolved.config.account())),
                Err(error) => {
                    last = Some(error);
                    None
                }
            },
        );
        let key = &self.key.key;
        found.map_err(|error| {
            Usage::error(match (&error, last) {
                (MatchError::NothingValid { .. }, Some(last)) => format!("{error}: {last}"),
                (MatchError::Constant { count }, _) => format!(
                    "`{key}` does not change the {} of this configuration: {} whatever the value",
                    self.equal.words(),
                    thousands(*count)
                ),
                (error, _) => format!("`{key}`: {error}"),
            })
        })
    }

    /// Refuses a key that there is not, or that takes no whole number.
    fn check_key(&self, file: &ConfigFile) -> anyhow::Result<()> {
        let key = &self.key.key;
        let config = match RunConfig::resolve(file.clone(), &self.overrides) {
            Ok(resolved) => resolved.config,
            Err(error @ ConfigError::Resolve(_)) => return Err(error).or_usage(),
            // sizes that only the value sought makes fit
            Err(_) => return Ok(()),
        };
        if let Some(hint) = key_hint(key, &config.table()) {
            return Err(Usage::error(format!("there is no key `{key}`; {hint}")));
        }
        let values = config.all_values();
        let value = values.iter().find(|(name, _)| name == key);
        match value {
            Some((_, value)) if value.parse::<i64>().is_ok() => Ok(()),
            _ => Err(Usage::error(format!(
                "`{key}` takes no whole number; give a key such as experts.d_expert"
            ))),
        }
    }

    /// The overrides with a value of the key.
    fn with(&self, value: u64) -> Vec<String> {
        let sought = format!("{}={value}", self.key.key);
        self.overrides.iter().cloned().chain([sought]).collect()
    }

    /// Points to what uses the value: a run, or the line of an arm.
    fn next(&self, value: u64, shared: &Shared) -> anyhow::Result<()> {
        let overrides = self.with(value);
        if Claim::read(&self.config).or_usage()?.is_some() {
            let parsed = overrides
                .iter()
                .filter_map(|text| Override::parse(text).ok());
            let set: Vec<String> = parsed
                .map(|o| format!("{} = {}", o.key(), o.value()))
                .collect();
            let set = set.join(", ");
            shared.note(&format!("as an arm of the claim: set = {{ {set} }}"));
            return Ok(());
        }
        let overrides: Vec<String> = overrides.iter().map(|text| quote(text)).collect();
        shared.next(&format!(
            "train {} {}",
            shown(&self.config),
            overrides.join(" ")
        ));
        Ok(())
    }
}

/// A share in percent: `1%` or `1`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if percent >= 0.0 && percent.is_finite() => Ok(percent),
        _ => Err("it must be a number of percent, such as 1%".to_owned()),
    }
}
