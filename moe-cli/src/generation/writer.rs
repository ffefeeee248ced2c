//! A model that reads one text and writes another.

use super::marked::MarkedWords;
use crate::exit::Usage;
use anyhow::Context;
use burn::tensor::Device;
use moe_checkpoint::{Precision, PublishedTokenizer, SwitchCheckpoint};
use moe_models::switch::{Switch, SwitchGenerator};
use moe_models::{NotFinite, Sampling};
use moe_router::RouterConfig;
use moe_train::data::UnigramVocab;
use moe_train::run::LoadedRun;
use moe_train::task::AnyModel;

/// An encoder with a decoder that writes a text about another: of a run, or published.
#[derive(Debug)]
pub struct Writer {
    /// The model.
    pub model: Switch,
    /// Text to tokens and back.
    pub words: MarkedWords,
    /// The token that a text begins after.
    pub start: u32,
    /// The tokens that end a text; the first is put behind what is read.
    pub ends: Vec<u32>,
    /// Tokens that are never drawn.
    pub banned: Vec<u32>,
    /// The router of its sparse layers.
    pub router: RouterConfig,
    /// Where it is from.
    pub title: String,
}

impl Writer {
    /// The model of a run; none if it is not an encoder with a decoder.
    pub fn of_run(run: LoadedRun) -> Option<Self> {
        let AnyModel::Pairs(model) = run.model else {
            return None;
        };
        Some(Self {
            model,
            words: MarkedWords::Vocab(run.vocab?),
            start: UnigramVocab::PAD,
            ends: vec![UnigramVocab::END],
            banned: vec![UnigramVocab::PAD],
            router: run.config.router,
            title: run.folder.display().to_string(),
        })
    }

    /// A published model with its tokenizer; without one, texts are token ids.
    pub fn of_published(checkpoint: &SwitchCheckpoint, device: &Device) -> anyhow::Result<Self> {
        let (folder, config) = (checkpoint.folder(), checkpoint.config());
        let tokenizer = PublishedTokenizer::read(folder)?;
        let ends = checkpoint.ends()?;
        let plain = device.clone().without_autodiff();
        let model = checkpoint
            .load(Precision::F32, &plain)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        Ok(Self {
            model,
            words: MarkedWords::published(tokenizer, ends.first().copied()),
            start: config.decoder_start_token_id,
            ends,
            banned: Vec::new(),
            router: config.router(),
            title: folder.display().to_string(),
        })
    }

    /// The tokens of a text, all of which the model knows.
    pub fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        let ids = self.words.encode(text)?;
        let [n_tokens, _] = self.model.embedding.weight.dims();
        match ids.iter().find(|id| **id as usize >= n_tokens) {
            Some(id) => Err(Usage::error(format!(
                "the prompt has the token {id}, and the model's vocabulary is of {n_tokens}: check \
                 that tokenizer.json belongs to the model"
            ))),
            None => Ok(ids),
        }
    }

    /// Gives `written` what is written about a text: at most `n_tokens` tokens, without their end. After
    /// an error it is what was written before.
    pub fn write(
        &self,
        text: &[u32],
        n_tokens: usize,
        sampling: Sampling,
        device: &Device,
        written: &mut Vec<u32>,
    ) -> Result<(), NotFinite> {
        let mut generator = SwitchGenerator::new(&self.model, sampling, self.start, device)
            .stop_tokens(&self.ends)
            .banned(&self.banned);
        generator.run(text, n_tokens, |token| {
            if !self.ends.contains(&token.id) {
                written.push(token.id);
            }
            true
        })
    }
}
