//! A model that writes text.

use super::words::Words;
use anyhow::Context;
use burn::tensor::Device;
use moe_checkpoint::{PublishedCheckpoint, PublishedTokenizer};
use moe_models::{AnyDecoder, WeightType};
use moe_router::RouterConfig;
use moe_train::run::LoadedRun;
use moe_view::last_parts;

/// A model that writes text: of a run, or published.
#[derive(Debug)]
pub struct TextModel {
    /// The decoder.
    pub decoder: AnyDecoder,
    /// Text to tokens and back.
    pub words: Words,
    /// The number of experts of a layer.
    pub n_experts: usize,
    /// The tokens that end a text.
    pub ends: Vec<u32>,
    /// Its router.
    pub router: RouterConfig,
    /// Where it is from, as a title.
    pub title: String,
    /// Its name, without the place of its files.
    pub name: String,
}

impl TextModel {
    /// The model of a run; none if the run is not one of text.
    pub fn of_run(run: LoadedRun, weights: WeightType) -> Option<Self> {
        Some(Self {
            title: format!("{}, step {}", run.folder.display(), run.step),
            name: format!("{}, step {}", last_parts(&run.folder, 2), run.step),
            n_experts: run.config.experts.n_experts,
            router: run.config.router.clone(),
            decoder: weights.hold(run.model.decoder()?),
            words: Words::Vocab(run.vocab?),
            ends: Vec::new(),
        })
    }

    /// A published model with its tokenizer; without one, texts are token ids.
    pub fn of_published(
        checkpoint: &PublishedCheckpoint,
        weights: WeightType,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let config = checkpoint.config();
        let folder = checkpoint.folder();
        let tokenizer = PublishedTokenizer::read(folder)?;
        let plain = device.clone().without_autodiff();
        let decoder = checkpoint
            .load(weights.into(), &plain)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        Ok(Self {
            decoder,
            words: Words::published(tokenizer, config.common().vocab_size),
            n_experts: config.n_experts(),
            router: config.model().router,
            ends: checkpoint.ends().to_vec(),
            title: folder.display().to_string(),
            name: last_parts(folder, 1),
        })
    }
}
