//! `moe eval PATH --data TEXTS`: scores texts that anybody chooses, by a run or a published checkpoint.

mod scored;
mod scoring;

use self::scored::{Question, Scored};
use self::scoring::{Scoring, bar};
use super::weights::Weights;
use crate::exit::{OrUsage, Status, Usage, run_error};
use crate::generation::{TextModel, Words};
use crate::interrupt;
use crate::runs::{find, shown};
use crate::shared::Shared;
use crate::terminal::print;
use burn::tensor::Device;
use clap::Args;
use moe_checkpoint::{AnyCheckpoint, PublishedCheckpoint, disk};
use moe_models::WeightType;
use moe_train::data::Corpus;
use moe_train::run::LoadedRun;
use moe_view::thousands;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The tokens of a window, if the model is made for as many.
const LENGTH: usize = 1024;

/// The arguments of `moe eval` for texts of one's own.
#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// Score these texts whole, in place of the held-out part: files or folders with commas between, each a domain
    #[arg(long, value_name = "PATHS", conflicts_with_all = ["split", "windows", "overrides", "trace"])]
    pub data: Option<String>,
    /// The column of the texts in .csv, .tsv and .jsonl files
    #[arg(
        long,
        value_name = "NAME",
        requires = "data",
        default_value = "",
        hide_default_value = true
    )]
    column: String,
    /// The tokens of a window. Default: those that the model is made for, up to 1024
    #[arg(long, value_name = "N", requires = "data", value_parser = clap::value_parser!(u32).range(1..))]
    seq_length: Option<u32>,
    /// The tokens from one window to the next; those in between are scored with what was before. Default: half a window
    #[arg(long, value_name = "N", requires = "data", value_parser = clap::value_parser!(u32).range(1..))]
    stride: Option<u32>,
    /// The type that the model's matrices are held in
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        requires = "data"
    )]
    weights: Weights,
    /// Keep what was scored in a file, and go on from it
    #[arg(long, value_name = "FILE", requires = "data")]
    progress: Option<PathBuf>,
}

impl ScoreArgs {
    /// Scores the texts and prints a row for each domain.
    pub fn run(&self, path: &Path, data: &str, shared: &Shared) -> anyhow::Result<Status> {
        if shared.mesh.world.size() > 1 {
            return Err(Usage::error(
                "--data is scored by one process; start one for each half of the texts instead",
            ));
        }
        let stop = interrupt::stop_flag("stopping")?;
        let texts = texts(data, &self.column, &stop)?;
        let device = shared.open_device()?;
        self.weights.check(&device.device)?;
        let (model, positions) = self.open(path, shared, &device.device)?;
        self.weights.note(&model.decoder, shared);
        let question = Question {
            model: model.title.clone(),
            weights: WeightType::from(self.weights).to_string(),
            device: device.name.clone(),
            texts: digest(&texts),
            ..self.windows(positions)?
        };
        if shared.dry_run {
            let n_bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
            print(&format!(
                "would score {} bytes of {} domains",
                thousands(n_bytes as u64),
                texts.len()
            ))?;
            return Ok(Status::Done);
        }
        let mut scoring = Scoring {
            file: self.progress.as_deref(),
            scored: self.begun(question, texts.len())?,
            device: &device.device,
            model: &model,
            stop: &stop,
            kept: Instant::now(),
            bar: bar(shared),
        };
        for (place, (name, text)) in texts.iter().enumerate() {
            scoring.domain(place, name, text)?;
        }
        scoring.bar.finish_and_clear();
        scoring.keep()?;
        self.end(&scoring.scored, path, &stop, shared)
    }

    /// Prints the scores, or says how an evaluation that was stopped goes on.
    fn end(
        &self,
        scored: &Scored,
        path: &Path,
        stop: &AtomicBool,
        shared: &Shared,
    ) -> anyhow::Result<Status> {
        if stop.load(Ordering::Relaxed) {
            shared.note(&match &self.progress {
                Some(file) => format!(
                    "interrupted; the same command goes on from {}",
                    file.display()
                ),
                None => "interrupted; with --progress FILE the same command would go on".to_owned(),
            });
            return Ok(Status::Interrupted);
        }
        scored.show(shared)?;
        shared.next(&format!("generate {} -p TEXT", shown(path)));
        Ok(Status::Done)
    }

    /// The model, and the number of tokens that it is made for.
    fn open(
        &self,
        path: &Path,
        shared: &Shared,
        device: &Device,
    ) -> anyhow::Result<(TextModel, usize)> {
        let no_decoder = || {
            Usage::error(format!(
                "{}: --data scores texts by a decoder, and this is none",
                shown(path)
            ))
        };
        if PublishedCheckpoint::is_at(path) {
            let checkpoint = AnyCheckpoint::open(path)?;
            shared.note_unread(checkpoint.unread());
            let AnyCheckpoint::Text(checkpoint) = checkpoint else {
                return Err(no_decoder());
            };
            let positions = checkpoint.config().common().max_position_embeddings;
            let model = TextModel::of_published(&checkpoint, self.weights.into(), device)?;
            if let Words::Ids { .. } = model.words {
                return Err(Usage::error(format!(
                    "{}: there is no tokenizer, which makes tokens of texts; put tokenizer.json beside the weights",
                    shown(path)
                )));
            }
            return Ok((model, positions));
        }
        let run = LoadedRun::open(&find(path, &shared.runs)?, device).map_err(run_error)?;
        let positions = run.config.train.seq_length;
        let model = TextModel::of_run(run, self.weights.into()).ok_or_else(no_decoder)?;
        Ok((model, positions))
    }

    /// Sizes of the windows, of a model that is made for so many positions.
    fn windows(&self, positions: usize) -> anyhow::Result<Question> {
        let seq_length = self
            .seq_length
            .map_or(positions.min(LENGTH), |n| n as usize);
        let stride = self.stride.map_or(seq_length.div_ceil(2), |n| n as usize);
        if seq_length > positions {
            return Err(Usage::error(format!(
                "--seq-length {seq_length}: the model is made for {positions} tokens"
            )));
        }
        if stride > seq_length {
            return Err(Usage::error(format!(
                "--stride {stride} is above the {seq_length} tokens of a window, and tokens between windows would not be scored"
            )));
        }
        Ok(Question {
            model: String::new(),
            weights: String::new(),
            device: String::new(),
            seq_length,
            stride,
            texts: String::new(),
        })
    }

    /// What a file of progress holds, or nothing yet.
    fn begun(&self, question: Question, n_domains: usize) -> anyhow::Result<Scored> {
        let fresh = Scored {
            question,
            domains: Vec::with_capacity(n_domains),
        };
        let Some(file) = self.progress.as_deref().filter(|file| file.exists()) else {
            return Ok(fresh);
        };
        let bytes = disk::read_at_most(file, 1 << 24).or_usage()?;
        let kept: Scored = serde_json::from_slice(&bytes).map_err(|error| {
            Usage::error(format!(
                "--progress {}: this is no progress of `moe eval --data`: {error}",
                file.display()
            ))
        })?;
        if kept.question == fresh.question {
            return Ok(kept);
        }
        Err(Usage::error(format!(
            "--progress {}: the file is of another evaluation (model, weights, device, windows or texts differ); name another",
            file.display()
        )))
    }
}

/// The domains and their whole texts.
fn texts(paths: &str, column: &str, stop: &AtomicBool) -> anyhow::Result<Vec<(String, String)>> {
    let corpus = Corpus::from_path(paths, column, stop)
        .map_err(|error| Usage::error(error.to_string().replace("data.column", "--column")))?;
    let domain = |domain: moe_train::data::Domain| (domain.name, domain.files.join("\n"));
    Ok(corpus.domains.into_iter().map(domain).collect())
}

fn digest(texts: &[(String, String)]) -> String {
    let mut hash = Sha256::new();
    for (name, text) in texts {
        for part in [name, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
