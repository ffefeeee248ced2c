//! Output of `--dry-run`: what would happen, where, at what cost, with which configuration.

use super::causality;
use crate::exit::{OrUsage, Status, run_error};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use moe_models::Account;
use moe_router::Causality;
use moe_train::config::RunConfig;
use moe_train::run::{LoadedRun, RunFolder, finished, run_folder};
use moe_train::task::{Checked, Task, TaskData};
use moe_view::{bytes, pairs, si, thousands};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The plan of a run.
#[derive(Serialize, Debug)]
pub struct RunPlan<'a> {
    dry_run: bool,
    folder: PathBuf,
    /// `new`, `resume` or `finished`.
    state: &'static str,
    device: &'a str,
    steps: u64,
    tokens: u64,
    /// The most windows, images or pairs that the last evaluation scores.
    final_windows: usize,
    /// Those that there are, if the data was read.
    all_windows: Option<usize>,
    causal: bool,
    causal_in_training: bool,
    account: Account,
    config: &'a RunConfig,
    /// The part of the data that training is left to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_checked: Option<&'static str>,
}

impl<'a> RunPlan<'a> {
    /// The plan of a run, if its text is there and long enough.
    pub fn new(config: &'a RunConfig, runs: &Path, device: &'a str) -> anyhow::Result<Self> {
        let checked = TaskData::check(config).or_usage()?;
        let all_windows = match checked {
            Checked::Whole { n_validation } => n_validation,
            Checked::WithoutVocabulary | Checked::Unread => None,
        };
        let most = config.train.final_windows();
        let causality = config.causality();
        Ok(Self {
            dry_run: true,
            folder: run_folder(config, runs),
            state: state(config, runs)?,
            device,
            steps: config.train.steps,
            tokens: config.train.steps * config.tokens_per_step(),
            final_windows: all_windows.map_or(most, |all| all.min(most)),
            all_windows,
            causal: causality::holds(causality),
            causal_in_training: causality::holds_in_training(causality),
            account: config.account(),
            config,
            not_checked: checked.remark(),
        })
    }

    fn last_evaluation(&self) -> String {
        let scored = thousands(self.final_windows as u64);
        let what = match self.config.model.task() {
            Task::Text => "windows",
            Task::Images => "images",
            Task::Pairs => "pairs",
        };
        match self.all_windows {
            None => format!("at most {scored} {what} (train.final_eval_windows)"),
            Some(all) if self.final_windows < all => format!(
                "{scored} of {} {what} (train.final_eval_windows)",
                thousands(all as u64)
            ),
            Some(_) => format!("all {scored} {what}"),
        }
    }

    /// Prints it, in text as the resolved configuration under comments.
    pub fn show(&self, shared: &Shared) -> anyhow::Result<Status> {
        let causality = self.config.causality();
        let causal = match causality {
            None | Some(Causality::Causal) => "",
            Some(Causality::LeaksInTraining(_)) => {
                ": its training loss is not that of a language model"
            }
            Some(Causality::Leaks(_)) => ": its loss is not that of a language model",
        };
        let rows = [
            ("folder", self.folder.display().to_string()),
            ("state", self.state.to_owned()),
            ("device", self.device.to_owned()),
            ("steps", thousands(self.steps)),
            ("tokens", thousands(self.tokens)),
            ("evaluation", self.last_evaluation()),
            ("parameters", si(self.account.params_total as f64)),
            ("active a token", si(self.account.params_active as f64)),
            ("memory, about", bytes(self.account.memory.total() as u64)),
            (
                "causal",
                format!("{}{causal}", causality::of_model(causality)),
            ),
        ];
        if let Some(remark) = self.not_checked {
            shared.note(remark);
        }
        show(self, &rows, self.config, shared)
    }
}

/// The plan of reading a run.
#[derive(Serialize, Debug)]
pub struct ReadPlan<'a> {
    dry_run: bool,
    task: String,
    folder: &'a Path,
    step: u64,
    device: &'a str,
    config: &'a RunConfig,
}

impl<'a> ReadPlan<'a> {
    /// The plan of a task that reads a run.
    pub fn new(run: &'a LoadedRun, device: &'a str, task: String) -> Self {
        Self {
            dry_run: true,
            task,
            folder: &run.folder,
            step: run.step,
            device,
            config: &run.config,
        }
    }

    /// Prints it, in text as the resolved configuration under comments.
    pub fn show(&self, shared: &Shared) -> anyhow::Result<Status> {
        let rows = [
            ("task", self.task.clone()),
            ("folder", self.folder.display().to_string()),
            ("step", self.step.to_string()),
            ("device", self.device.to_owned()),
        ];
        show(self, &rows, self.config, shared)
    }
}

fn show(
    plan: &impl Serialize,
    rows: &[(&str, String)],
    config: &RunConfig,
    shared: &Shared,
) -> anyhow::Result<Status> {
    if shared.json {
        print_json(plan)?;
    } else {
        let table = pairs(rows);
        let comments: Vec<String> = table.lines().map(|line| format!("# {line}")).collect();
        print(&format!("{}\n\n{}", comments.join("\n"), config.to_toml()))?;
        shared.note("nothing was written; leave out --dry-run to go ahead");
    }
    Ok(Status::Done)
}

fn state(config: &RunConfig, runs: &Path) -> anyhow::Result<&'static str> {
    if finished(config, runs).map_err(run_error)?.is_some() {
        return Ok("finished");
    }
    let folder = RunFolder::new(run_folder(config, runs));
    let steps = folder.checkpoint_steps().map_err(run_error)?;
    Ok(if steps.is_empty() { "new" } else { "resume" })
}
