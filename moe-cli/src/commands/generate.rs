//! `moe generate`: continues a text, and shows which expert takes each token.

use super::fill::{Filling, Trained};
use super::plan::ReadPlan;
use super::weights::Weights;
use crate::exit::{Status, Usage, run_error};
use crate::files::{missing_folder, write_whole};
use crate::generation::{
    Generation, TextModel, Trace, Writer, bracketed, coloured, legend, page, picture, visible,
};
use crate::interrupt;
use crate::runs::{find, shown};
use crate::shared::Shared;
use crate::terminal::{has_colour, print_json, print_raw};
use burn::tensor::Device;
use clap::Args;
use moe_models::checkpoint::{AnyCheckpoint, PublishedCheckpoint, SwitchCheckpoint};
use moe_models::{Decoder, Drafts, Sampling};
use moe_train::data::{DataConfig, PairName};
use moe_train::run::LoadedRun;
use moe_train::task::AnyModel;
use serde_json::json;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// The arguments of `moe generate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe generate runs/NAME/seed-0 -p \"In the beginning\" --show-experts"
)]
pub struct GenerateArgs {
    /// The folder of a run, one of its checkpoints, or a published checkpoint
    run: PathBuf,
    /// The text to continue
    #[arg(short, long, value_name = "TEXT")]
    prompt: String,
    /// The number of tokens to generate
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    tokens: usize,
    /// What the logits are divided by; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = Sampling::default().temperature)]
    temperature: f64,
    /// Draw from the K most likely tokens; 0 means all
    #[arg(long, value_name = "K", default_value_t = Sampling::default().top_k)]
    top_k: usize,
    /// Draw from the most likely tokens of this probability mass; 1 means all
    #[arg(long, value_name = "P", default_value_t = Sampling::default().top_p)]
    top_p: f64,
    /// Draw no token less likely than this share of the most likely one
    #[arg(long, value_name = "P", default_value_t = Sampling::default().min_p)]
    min_p: f64,
    /// Make tokens that came before less likely; 1 changes nothing
    #[arg(long, value_name = "R", default_value_t = Sampling::default().repetition_penalty)]
    repetition_penalty: f64,
    /// Draft every second token with the model's multi-token prediction; needs --temperature 0
    #[arg(long)]
    speculative: bool,
    /// The type that the model's matrices are held in
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    weights: Weights,
    /// Colour each token by the expert that it went to first
    #[arg(long)]
    show_experts: bool,
    /// The layer whose experts are shown, from 0. Default: the middle one
    #[arg(long, value_name = "N")]
    layer: Option<usize>,
    /// Also write a page with the experts of each token
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write a picture (SVG) with the first expert of each token
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Continues the prompt.
pub fn run(args: &GenerateArgs, shared: &Shared) -> anyhow::Result<Status> {
    let sampling = args.sampling(shared)?;
    let device = shared.open_device()?;
    let published = PublishedCheckpoint::is_at(&args.run);
    let path = match published {
        true => args.run.clone(),
        false => find(&args.run, &shared.runs)?,
    };
    let model = if published {
        match AnyCheckpoint::open(&path)? {
            AnyCheckpoint::Switch(checkpoint) => {
                return args.fill_published(&checkpoint, sampling, &device.device, shared);
            }
            AnyCheckpoint::Vmoe(_) => return Err(writes_no_text(&path)),
            AnyCheckpoint::Decoder(_) if shared.dry_run => return args.would(&path),
            AnyCheckpoint::Decoder(checkpoint) => {
                TextModel::of_published(&checkpoint, args.weights.into(), &device.device)?
            }
        }
    } else {
        let run = LoadedRun::open(&path, &device.device).map_err(run_error)?;
        if shared.dry_run {
            let task = format!("generate {} tokens", args.tokens);
            return ReadPlan::new(&run, &device.name, task).show(shared);
        }
        if let AnyModel::Switch(_) = run.model {
            return args.fill_run(run, sampling, &device.device, shared);
        }
        warn(&run, args.tokens, shared);
        let family = run.config.model.name();
        TextModel::of_run(run, args.weights.into()).ok_or_else(|| {
            Usage::error(format!(
                "{}: a model of the family {family} writes no text; `moe eval` scores it",
                shown(&path)
            ))
        })?
    };
    if args.speculative && model.decoder.n_mtp_layers() == 0 {
        return Err(Usage::error(
            "--speculative: the model predicts no further tokens; train one with model.n_mtp_layers = 1".to_owned(),
        ));
    }
    if args.speculative && model.decoder.tokens_compete() {
        return Err(Usage::error(
            "--speculative: tokens of this model compete for places in its experts, so drafts would change the text; leave it out".to_owned(),
        ));
    }
    let layer = args.checked_layer(model.decoder.n_moe_layers())?;
    let stop = interrupt::stop_flag("stopping")?;
    let streams = !args.show_experts && !shared.json;
    let generation = Generation {
        model: &model,
        n_tokens: args.tokens,
        sampling,
        speculative: args.speculative,
        stop: &stop,
    };
    let trace = generation.trace(&args.prompt, &device.device, |text| match streams {
        true => print_stream(text),
        false => Ok(()),
    })?;
    show(args, &trace, layer, shared)?;
    if args.speculative {
        let Drafts { offered, accepted } = trace.drafts;
        shared.note(&format!("{accepted} of {offered} drafts were right"));
    }
    if let Some(file) = &args.html {
        write_whole(file, &page(&trace, layer, &model.title))?;
        shared.note(&format!("wrote {}", file.display()));
    }
    if let Some(file) = &args.svg {
        write_whole(file, &picture(&trace, layer))?;
        shared.note(&format!("wrote {}", file.display()));
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(Status::Interrupted);
    }
    let path = shown(&path);
    shared.next(&match args.show_experts {
        true if published => format!("inspect {path}"),
        true => format!("eval {path}"),
        false => format!("generate {path} -p TEXT --show-experts --html experts.html"),
    });
    Ok(Status::Done)
}

impl GenerateArgs {
    /// Checks everything that can be checked before the model is read.
    fn sampling(&self, shared: &Shared) -> anyhow::Result<Sampling> {
        let problem = if self.prompt.is_empty() {
            Some("--prompt is empty; give at least one character".to_owned())
        } else if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            Some(format!(
                "--temperature {} must be 0 or more",
                self.temperature
            ))
        } else if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            Some(format!(
                "--top-p {} must be above 0 and at most 1",
                self.top_p
            ))
        } else if !(0.0..=1.0).contains(&self.min_p) {
            Some(format!("--min-p {} must be from 0 to 1", self.min_p))
        } else if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            Some(format!(
                "--repetition-penalty {} must be above 0",
                self.repetition_penalty
            ))
        } else if self.speculative && (self.temperature != 0.0 || self.repetition_penalty != 1.0) {
            Some("--speculative drafts the most likely tokens; add --temperature 0 and leave out --repetition-penalty".to_owned())
        } else {
            let files = [("--html", &self.html), ("--svg", &self.svg)];
            files
                .into_iter()
                .find_map(|(flag, file)| missing_folder(flag, file.as_deref()?))
        };
        match problem {
            Some(problem) => Err(Usage::error(problem)),
            None => Ok(Sampling {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                repetition_penalty: self.repetition_penalty,
                seed: shared.seed.unwrap_or(0),
            }),
        }
    }

    /// Says what would be done with a published checkpoint.
    fn would(&self, path: &Path) -> anyhow::Result<Status> {
        let task = format!("would generate {} tokens from {}", self.tokens, shown(path));
        print_raw(&format!("{task}\n"))?;
        Ok(Status::Done)
    }

    fn fill_published(
        &self,
        checkpoint: &SwitchCheckpoint,
        sampling: Sampling,
        device: &Device,
        shared: &Shared,
    ) -> anyhow::Result<Status> {
        self.check_filling()?;
        if shared.dry_run {
            return self.would(checkpoint.folder());
        }
        let writer = Writer::of_published(checkpoint, device)?;
        let status = self
            .filling(sampling, Trained::Any)
            .run(&writer, device, shared)?;
        shared.next(&format!("inspect {}", shown(checkpoint.folder())));
        Ok(status)
    }

    fn fill_run(
        &self,
        run: LoadedRun,
        sampling: Sampling,
        device: &Device,
        shared: &Shared,
    ) -> anyhow::Result<Status> {
        self.check_filling()?;
        let filling = self.filling(sampling, trained_for(&run));
        let folder = shown(&run.folder);
        let Some(writer) = Writer::of_run(run) else {
            return Err(Usage::error(format!("{folder} has no vocabulary")));
        };
        let status = filling.run(&writer, device, shared)?;
        shared.next(&format!("eval {folder}"));
        Ok(status)
    }

    fn filling(&self, sampling: Sampling, trained: Trained) -> Filling<'_> {
        Filling {
            prompt: &self.prompt,
            n_tokens: self.tokens,
            sampling,
            trained,
        }
    }

    /// Refuses what a model that fills gaps does not do.
    fn check_filling(&self) -> anyhow::Result<()> {
        let flags = [
            ("--show-experts", self.show_experts),
            ("--speculative", self.speculative),
            ("--html", self.html.is_some()),
            ("--svg", self.svg.is_some()),
            ("--layer", self.layer.is_some()),
            ("--weights bf16", self.weights == Weights::Bf16),
        ];
        match flags.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Usage::error(format!(
                "{flag} is for decoders; this model is an encoder with a decoder: leave it out"
            ))),
            None => Ok(()),
        }
    }

    fn checked_layer(&self, n_layers: usize) -> anyhow::Result<usize> {
        match self.layer {
            Some(layer) if layer >= n_layers => Err(Usage::error(format!(
                "--layer {layer}: the model has layers 0 to {}",
                n_layers - 1
            ))),
            layer => Ok(layer.unwrap_or(n_layers / 2)),
        }
    }
}

/// What a run of an encoder with a decoder was trained for.
fn trained_for(run: &LoadedRun) -> Trained {
    match &run.config.data {
        DataConfig::Pairs(pairs) if pairs.name == PairName::Spans => Trained::Gaps,
        _ => Trained::Any,
    }
}

fn writes_no_text(folder: &Path) -> anyhow::Error {
    Usage::error(format!(
        "{}: a vision model writes no text; `moe inspect` counts it, `moe verify` holds it to goldens",
        shown(folder)
    ))
}

/// Says what makes a text worse than the model's loss promises.
fn warn(run: &LoadedRun, n_tokens: usize, shared: &Shared) {
    if run
        .config
        .causality()
        .is_some_and(|causality| !causality.is_causal())
    {
        shared
            .note("the router is not causal: token by token it decides otherwise than in training");
    }
    let trained = run.config.train.seq_length;
    if n_tokens > trained {
        shared.note(&format!(
            "the model was trained on {trained} tokens at a time; text beyond is weaker"
        ));
    }
}

/// Shows text as it arrives.
fn print_stream(text: &str) -> io::Result<()> {
    match io::stdout().is_terminal() {
        true => print_raw(&visible(text)),
        false => print_raw(text),
    }
}

fn show(args: &GenerateArgs, trace: &Trace, layer: usize, shared: &Shared) -> anyhow::Result<()> {
    if shared.json {
        return print_json(&json!({
            "prompt": args.prompt,
            "text": trace.text(),
            "n_prompt_tokens": trace.n_prompt,
            "tokens": trace.pieces,
        }));
    }
    let text = match (args.show_experts, has_colour()) {
        (false, _) => String::new(),
        (true, true) => coloured(trace, layer) + "\n\n" + &legend(trace, layer, true),
        (true, false) => bracketed(trace, layer) + "\n\n" + &legend(trace, layer, false),
    };
    print_raw(&format!("{text}\n"))?;
    Ok(())
}
