//! Subjects of a comparison: a model and its reading.

use super::AgreeArgs;
use crate::exit::{OrUsage, Usage, run_error};
use crate::generation::Words;
use crate::memory;
use crate::runs::{find, shown};
use crate::shared::Shared;
use anyhow::Context;
use burn::tensor::Device;
use moe_checkpoint::published::PublishedConfig;
use moe_checkpoint::{AnyCheckpoint, PublishedCheckpoint, PublishedTokenizer, disk};
use moe_lab::agree::{Engine, Seen, Windows, greedy, see_images, see_pairs, see_text};
use moe_models::WeightType;
use moe_router::parts::uniform_below;
use moe_train::config::RunConfig;
use moe_train::data::Split;
use moe_train::run::{LoadedRun, group_images};
use moe_train::task::{AnyModel, AnyModelConfig, TaskData};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The tokens of a window that a published checkpoint reads.
const LENGTH: usize = 64;

/// The tokens that are written after a prompt.
const N_WRITTEN: usize = 32;

/// The largest text that is read beside a published checkpoint.
const MOST_BYTES: u64 = 64 << 20;

/// Where the weights are from.
enum Origin {
    Config(Box<RunConfig>),
    Run(PathBuf, Vec<String>),
    Published(Box<PublishedCheckpoint>),
}

/// Tokens or data that the model reads.
enum Reading {
    Windows(Windows),
    Data(Box<TaskData>),
}

/// A model and its reading.
pub(super) struct Subject {
    origin: Origin,
    reading: Reading,
    most: usize,
    /// The images that must come together.
    group: usize,
    words: String,
}

impl Subject {
    /// Opens the subject and its data.
    pub(super) fn open(
        args: &AgreeArgs,
        device: &Device,
        stop: &AtomicBool,
        shared: &Shared,
    ) -> anyhow::Result<Self> {
        if PublishedCheckpoint::is_at(&args.subject) {
            Self::of_published(args, shared)
        } else if args.text.is_some() {
            Err(Usage::error(
                "--text is read by a published checkpoint; a configuration or a run reads its own data",
            ))
        } else if args.subject.extension().is_some_and(|end| end == "toml") {
            Self::of_config(args, stop, shared)
        } else {
            Self::of_run(args, device, stop, shared)
        }
    }

    fn of_config(args: &AgreeArgs, stop: &AtomicBool, shared: &Shared) -> anyhow::Result<Self> {
        let config = shared.load_config(&args.subject, &args.overrides)?;
        memory::check(&config, 1, &shared.device_name())?;
        let data = TaskData::load(&config, stop).or_usage()?;
        let name = format!("{}, seed {}", shown(&args.subject), config.seed);
        let group = group_of(&config);
        let origin = Origin::Config(Box::new(config));
        Ok(Self::of_data(origin, data, args, group, &name))
    }

    fn of_run(
        args: &AgreeArgs,
        device: &Device,
        stop: &AtomicBool,
        shared: &Shared,
    ) -> anyhow::Result<Self> {
        let path = find(&args.subject, &shared.runs)?;
        let run = LoadedRun::open_with(&path, &args.overrides, device);
        let run = run.map_err(run_error)?;
        let data = run.data(stop).map_err(run_error)?;
        let name = format!("{}, step {}", run.folder.display(), run.step);
        let origin = Origin::Run(path, args.overrides.clone());
        let group = group_of(&run.config);
        Ok(Self::of_data(origin, data, args, group, &name))
    }

    fn of_data(origin: Origin, data: TaskData, args: &AgreeArgs, group: usize, name: &str) -> Self {
        let most = args.windows;
        let (reading, what) = match data {
            TaskData::Text(text) => {
                let windows = Windows::of_text(&text, Split::Test, most);
                let (n, length) = (windows.len(), windows.length);
                let what = format!("{n} windows of {length} tokens of the test part");
                (Reading::Windows(windows), what)
            }
            TaskData::Images(_) => {
                let n = data.n_eval(Split::Test).min(most);
                (
                    Reading::Data(Box::new(data)),
                    format!("{n} images of the test part"),
                )
            }
            TaskData::Pairs(_) => {
                let n = data.n_eval(Split::Test).min(most);
                let what = format!("{n} pairs of the test part");
                (Reading::Data(Box::new(data)), what)
            }
        };
        Self {
            origin,
            reading,
            most,
            group,
            words: format!("{name}: {what}"),
        }
    }

    fn of_published(args: &AgreeArgs, shared: &Shared) -> anyhow::Result<Self> {
        let folder = &args.subject;
        if let Some(first) = args.overrides.first() {
            return Err(Usage::error(format!(
                "`{first}`: a published checkpoint has its own values"
            )));
        }
        let checkpoint = AnyCheckpoint::open(folder)?;
        shared.note_unread(checkpoint.unread());
        let AnyCheckpoint::Text(checkpoint) = checkpoint else {
            return Err(Usage::error(format!(
                "{}: of published checkpoints decoders are compared; `moe verify` holds this one to its goldens on a device",
                shown(folder)
            )));
        };
        let (ids, of) = tokens(checkpoint.config(), folder, args)?;
        if ids.len() < 2 {
            return Err(Usage::error(format!("{of}: fewer than two tokens")));
        }
        let windows = Windows::of_tokens(&ids, LENGTH, args.windows);
        let (n, length) = (windows.len(), windows.length);
        Ok(Self {
            words: format!("{}: {n} windows of {length} tokens of {of}", shown(folder)),
            origin: Origin::Published(Box::new(checkpoint)),
            reading: Reading::Windows(windows),
            most: args.windows,
            group: 1,
        })
    }

    /// Refuses engines that do not compute the subject.
    pub(super) fn check(&self, engines: &[Engine]) -> anyhow::Result<()> {
        let Reading::Data(data) = &self.reading else {
            return Ok(());
        };
        if let Some(engine) = engines.iter().find(|e| e.weights != WeightType::F32) {
            return Err(Usage::error(format!(
                "--weights {0}: only decoders hold their matrices in {0}",
                engine.weights
            )));
        }
        let batches = engines.iter().any(|e| e.batch != engines[0].batch);
        match **data {
            TaskData::Images(_) => match engines.iter().find(|e| e.batch % self.group != 0) {
                Some(engine) => Err(Usage::error(format!(
                    "--batch {}: {} images are routed together, so give multiples of that",
                    engine.batch, self.group
                ))),
                None => Ok(()),
            },
            TaskData::Pairs(_) if batches => Err(Usage::error(
                "--batch: pairs are padded to the longest of their batch, so batches of other sizes are other tokens",
            )),
            _ => Ok(()),
        }
    }

    /// The windows, images or pairs that are computed at a time unless a number is given.
    pub(super) fn usual_batch(&self) -> usize {
        8usize.next_multiple_of(self.group)
    }

    /// The subject and its reading, in words.
    pub(super) fn words(&self) -> &str {
        &self.words
    }

    /// The tokens that a decoder writes after the first half of the first window; none of another model.
    pub(super) fn written(
        &self,
        model: &AnyModel,
        engine: &Engine,
    ) -> anyhow::Result<Option<Vec<u32>>> {
        let (AnyModel::Text(decoder), Reading::Windows(windows)) = (model, &self.reading) else {
            return Ok(None);
        };
        let prompt = &windows.inputs[..windows.length.div_ceil(2)];
        Ok(Some(greedy(decoder, prompt, N_WRITTEN, &engine.device)?))
    }

    /// The model of an engine.
    pub(super) fn model(&self, engine: &Engine) -> anyhow::Result<AnyModel> {
        let device = engine.device.clone().without_autodiff();
        let model = match &self.origin {
            Origin::Config(config) => config.init_model(&device),
            Origin::Run(path, overrides) => {
                let run = LoadedRun::open_with(path, overrides, &device);
                run.map_err(run_error)?.model
            }
            Origin::Published(checkpoint) => {
                let decoder = checkpoint.load(engine.weights.into(), &device);
                let folder = checkpoint.folder().display();
                AnyModel::Text(decoder.with_context(|| format!("cannot read {folder}"))?)
            }
        };
        Ok(match model {
            AnyModel::Text(decoder) => AnyModel::Text(engine.weights.hold(decoder)),
            other => other,
        })
    }

    /// The reading of a model.
    pub(super) fn see(&self, model: &AnyModel, engine: &Engine) -> anyhow::Result<Seen> {
        let of_data = |data: &TaskData| match (model, data) {
            (AnyModel::Images(model), TaskData::Images(data)) => {
                Some(see_images(model, data, Split::Test, self.most, engine))
            }
            (AnyModel::Pairs(model), TaskData::Pairs(data)) => {
                Some(see_pairs(model, data, Split::Test, self.most, engine))
            }
            _ => None,
        };
        let seen = match (model, &self.reading) {
            (AnyModel::Text(decoder), Reading::Windows(windows)) => {
                Some(see_text(decoder, windows, engine))
            }
            (_, Reading::Data(data)) => of_data(data),
            _ => None,
        };
        seen.context("the data is of another task than the model")
    }
}

fn group_of(config: &RunConfig) -> usize {
    match config.model() {
        AnyModelConfig::Images(model) => group_images(&model),
        AnyModelConfig::Text(_) | AnyModelConfig::Pairs(..) => 1,
    }
}

/// The tokens that a published checkpoint reads, and where they are from.
fn tokens(
    config: &PublishedConfig,
    folder: &Path,
    args: &AgreeArgs,
) -> anyhow::Result<(Vec<u32>, String)> {
    let vocab_size = config.common().vocab_size;
    let Some(path) = &args.text else {
        let n = args.windows.saturating_mul(LENGTH).saturating_add(1) as u64;
        let draw = |i| uniform_below(vocab_size, 0, i) as u32;
        return Ok(((0..n).map(draw).collect(), "evenly drawn tokens".to_owned()));
    };
    let text = disk::read_text(path, MOST_BYTES)
        .map_err(|error| Usage::error(format!("--text {}: {error}", path.display())))?;
    let words = Words::published(PublishedTokenizer::read(folder)?, vocab_size);
    Ok((words.encode(&text)?, shown(path)))
}
