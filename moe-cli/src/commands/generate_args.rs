//! The arguments of `moe generate`, and what can be checked of them.

use super::weights::Weights;
use crate::exit::Usage;
use crate::shared::Shared;
use crate::target::Overwrite;
use clap::Args;
use moe_models::{AnyDecoder, Decoder, Sampling};
use std::path::PathBuf;

/// The arguments of `moe generate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe generate runs/NAME/seed-0 -p \"In the beginning\" --show-experts"
)]
pub struct GenerateArgs {
    /// The folder of a run, one of its checkpoints, or a published checkpoint (a folder or a GGUF file)
    pub(super) run: PathBuf,
    /// The text to continue
    #[arg(short, long, value_name = "TEXT")]
    pub(super) prompt: String,
    /// The number of tokens to generate
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub(super) tokens: usize,
    /// The divisor of the logits; 0 takes the most likely token
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
    pub(super) speculative: bool,
    /// The type that the model's matrices are held in
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    pub(super) weights: Weights,
    /// Colour each token by the expert that it went to first
    #[arg(long)]
    pub(super) show_experts: bool,
    /// The layer whose experts are shown, from 0. Default: the middle one
    #[arg(long, value_name = "N")]
    layer: Option<usize>,
    /// Also write a page with the experts of each token
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Also write a picture (.svg, .png or .pdf) with the first expert of each token
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// Write a trace of the routing of the prompt and the text, for `moe trace`
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,
    #[command(flatten)]
    pub(super) overwrite: Overwrite,
}

impl GenerateArgs {
    /// Checks everything that can be checked before the model is read.
    pub(super) fn sampling(&self, shared: &Shared) -> anyhow::Result<Sampling> {
        if let Some(problem) = self.problem() {
            return Err(Usage::error(problem));
        }
        Ok(Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            seed: shared.seed.unwrap_or(0),
        })
    }

    /// The first argument that cannot be, if there is one.
    fn problem(&self) -> Option<String> {
        if self.prompt.is_empty() {
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
            None
        }
    }

    /// Refuses what a model that fills gaps does not do.
    pub(super) fn check_filling(&self) -> anyhow::Result<()> {
        let flags = [
            ("--show-experts", self.show_experts),
            ("--speculative", self.speculative),
            ("--html", self.html.is_some()),
            ("--svg", self.svg.is_some()),
            ("--layer", self.layer.is_some()),
            ("--weights", self.weights != Weights::F32),
        ];
        match flags.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Usage::error(format!(
                "{flag} is for decoders; this model is an encoder with a decoder: leave it out"
            ))),
            None => Ok(()),
        }
    }

    /// Refuses what the model cannot do, and returns the layer whose experts are shown.
    pub(super) fn check_decoder(&self, decoder: &AnyDecoder) -> anyhow::Result<usize> {
        if self.speculative && decoder.n_mtp_layers() == 0 {
            return Err(Usage::error(
                "--speculative: the model predicts no further tokens; train one with model.n_mtp_layers = 1",
            ));
        }
        if self.speculative && decoder.tokens_compete() {
            return Err(Usage::error(
                "--speculative: tokens of this model compete for places in its experts, so drafts would change the text; leave it out",
            ));
        }
        let n_layers = decoder.n_moe_layers();
        let flags = [
            ("--show-experts", self.show_experts),
            ("--html", self.html.is_some()),
            ("--svg", self.svg.is_some()),
            ("--trace", self.trace.is_some()),
            ("--layer", self.layer.is_some()),
        ];
        if let (0, Some((flag, _))) = (n_layers, flags.iter().find(|(_, given)| *given)) {
            return Err(Usage::error(format!(
                "{flag}: all layers of the model are dense, so there are no experts to show; leave it out"
            )));
        }
        match self.layer {
            Some(layer) if layer >= n_layers => Err(Usage::error(format!(
                "--layer {layer}: the model has layers 0 to {}",
                n_layers - 1
            ))),
            layer => Ok(layer.unwrap_or(n_layers / 2)),
        }
    }
}
