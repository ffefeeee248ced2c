//! `moe inspect`: what a model holds and costs, without building it.

use super::causality;
use super::encoder_decoder;
use super::parameters::{
    ACTIVE, ACTIVE_HEAD_ONLY, ACTIVE_NO_EMBEDDING, EMBEDDING, FOOTNOTES, active,
};
use super::precision::Precision;
use super::published;
use super::vision;
use crate::exit::{Status, Usage, run_error};
use crate::memory;
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_models::Account;
use moe_router::Causality;
use moe_train::config::RunConfig;
use moe_train::run::{RunFolder, check_run, read_manifest, run_folder};
use moe_view::{bytes, duration, pairs, quote, si, thousands};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments of `moe inspect`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moe inspect configs/quickstart.toml experts.n_experts=64")]
pub struct InspectArgs {
    /// A configuration, the folder of a run or of a published checkpoint, a GGUF file, or the name of a published
    /// model, as it is usually spelled (mistralai/Mixtral-8x7B-v0.1): mixtral-8x7b, mixtral-8x22b, deepseek-moe-16b,
    /// deepseek-v2, deepseek-v2-lite, deepseek-v3, olmoe-1b-7b, qwen3-30b-a3b, qwen3-235b-a22b, smollm2-135m,
    /// switch-base-8, switch-base-128
    config: PathBuf,
    /// Values that replace the configuration's, such as router.name=switch
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Of a published model of text: the precision that its cache is counted in. Default: bf16
    #[arg(long, value_name = "TYPE")]
    precision: Option<Precision>,
    /// Of a published model of text: the length of a sequence. Default: its own, up to 4096; of an encoder with a
    /// decoder 512 of either
    #[arg(long, value_name = "TOKENS")]
    seq_length: Option<usize>,
}

/// The output.
#[derive(Serialize, Debug)]
struct Inspection {
    run: String,
    router: &'static str,
    causal: bool,
    causal_in_training: bool,
    #[serde(skip)]
    causality: Option<Causality>,
    tokens_per_step: u64,
    flops_per_step: u128,
    /// Seconds of training on this device; none before it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    training_s: Option<f64>,
    #[serde(skip)]
    training: String,
    #[serde(flatten)]
    account: Account,
}

/// Prints the model's size and cost.
pub fn run(args: &InspectArgs, shared: &Shared) -> anyhow::Result<Status> {
    let given = published::listed(&args.config)?;
    if vision::is_vision(&given) {
        args.check_flags("a vision model has no cache and no sequence")?;
        return vision::show(&given, &args.overrides, shared);
    }
    let options = published::Options {
        precision: args.precision.unwrap_or(Precision::Bf16),
        seq_length: args.seq_length,
    };
    if let Some(model) = encoder_decoder::published_switch(&given)? {
        return encoder_decoder::show(&given, model, &args.overrides, options, shared);
    }
    if let Some(model) = published::published(&given)? {
        return published::show(&given, model, &args.overrides, options, shared);
    }
    args.check_flags(
        "a configuration is counted in f32 and at its own length; set train.seq_length=N for another",
    )?;
    let path = config_of(&given);
    if path != given {
        check_run(&given).map_err(run_error)?;
    }
    let config = shared.load_config(&path, &args.overrides)?;
    let mut inspection = Inspection::new(&config);
    inspection.measured(measured(&config, shared), &path);
    memory::remark(&config, 1, &shared.device_name(), shared);
    if shared.json {
        print_json(&inspection)?;
    } else {
        print(&inspection.table())?;
        let overrides: Vec<String> = args.overrides.iter().map(|o| quote(o)).collect();
        let command = format!("train {} {}", shown(&path), overrides.join(" "));
        shared.next(command.trim_end());
    }
    Ok(Status::Done)
}

impl InspectArgs {
    /// Refuses what is for published models of text; `reason` says why.
    fn check_flags(&self, reason: &str) -> anyhow::Result<()> {
        let flags = [
            ("--precision", self.precision.is_some()),
            ("--seq-length", self.seq_length.is_some()),
        ];
        match flags.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Usage::error(format!("{flag}: {reason}; leave it out"))),
            None => Ok(()),
        }
    }
}

/// The seconds that training takes, by a finished run of the configuration on this device, of any seed.
fn measured(config: &RunConfig, shared: &Shared) -> Option<(f64, PathBuf)> {
    let folder = run_folder(config, &shared.runs);
    let of_any_seed = std::fs::read_dir(folder.parent()?).into_iter().flatten();
    let others = of_any_seed.filter_map(|entry| Some(entry.ok()?.path()));
    let device = shared.device_name();
    [folder.clone()].into_iter().chain(others).find_map(|run| {
        let run_folder = RunFolder::new(&run);
        let manifest = read_manifest(&run_folder).ok()?;
        let is_measured = run_folder.summary().is_file() && manifest.tokens_per_s > 0.0;
        let tokens = (config.train.steps * config.tokens_per_step()) as f64;
        (is_measured && manifest.device == device).then(|| (tokens / manifest.tokens_per_s, run))
    })
}

/// The configuration of a run folder or of one of its checkpoints, or the path itself.
fn config_of(path: &Path) -> PathBuf {
    let mut inside = path
        .ancestors()
        .take(3)
        .map(|folder| folder.join("config.toml"));
    if !path.is_dir() {
        return path.to_owned();
    }
    inside
        .find(|file| file.is_file())
        .unwrap_or(path.to_owned())
}

impl Inspection {
    fn new(config: &RunConfig) -> Self {
        let account = config.account();
        let tokens_per_step = config.tokens_per_step();
        let causality = config.causality();
        Self {
            run: config.run_name(),
            router: config.router.name(),
            causal: causality::holds(causality),
            causal_in_training: causality::holds_in_training(causality),
            causality,
            tokens_per_step,
            flops_per_step: u128::from(account.flops_per_token_training)
                * u128::from(tokens_per_step),
            training_s: None,
            training: String::new(),
            account,
        }
    }

    /// Sets the time of training, by the run that took it.
    fn measured(&mut self, found: Option<(f64, PathBuf)>, config: &Path) {
        self.training_s = found.as_ref().map(|(seconds, _)| *seconds);
        self.training = match found {
            Some((seconds, run)) => format!("{}, by {}", duration(seconds), shown(&run)),
            None => format!("not measured; `moe bench train {}` does", shown(config)),
        };
    }

    fn table(&self) -> String {
        let a = &self.account;
        let count = |n: usize| thousands(n as u64);
        let size = |n: usize| bytes(n as u64);
        let memory = &a.memory;
        let table = pairs(&[
            ("run", self.run.clone()),
            ("router", self.router.to_owned()),
            ("causal", causality::of_model(self.causality).to_owned()),
            ("parameters", count(a.params_total)),
            (ACTIVE, active(a.params_active, a.params_total)),
            (ACTIVE_HEAD_ONLY, count(a.params_active_head_only)),
            (ACTIVE_NO_EMBEDDING, count(a.params_active_no_embedding)),
            (EMBEDDING, count(a.params_embedding)),
            ("FLOP a token", si(a.flops_per_token as f64)),
            (
                "FLOP a token, training",
                si(a.flops_per_token_training as f64),
            ),
            ("FLOP a step", si(self.flops_per_step as f64)),
            ("tokens a step", thousands(self.tokens_per_step)),
            ("time of training, about", self.training.clone()),
            ("KV cache a token", size(a.kv_bytes_per_token)),
            ("memory of training, about", bytes(memory.total() as u64)),
            ("  weights", size(memory.weights_bytes)),
            ("  gradients", size(memory.gradients_bytes)),
            ("  optimizer", size(memory.optimizer_bytes)),
            ("  activations, estimated", size(memory.activations_bytes)),
        ]);
        format!("{table}\n\n{FOOTNOTES}")
    }
}
