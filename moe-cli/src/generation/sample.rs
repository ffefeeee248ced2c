//! Continuing a prompt, with the experts of each token.

use super::TextModel;
use anyhow::ensure;
use burn::tensor::Device;
use moe_models::{AnyDecoder, Decoder, Generator, Sampling};
use moe_view::generation::{Piece, Trace};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The continuation of a text.
#[derive(Debug)]
pub struct Generation<'a> {
    /// The model and its words.
    pub model: &'a TextModel,
    /// The number of tokens after the prompt.
    pub n_tokens: usize,
    /// The way they are drawn.
    pub sampling: Sampling,
    /// True if the model drafts tokens.
    pub speculative: bool,
    /// Ends it early.
    pub stop: &'a AtomicBool,
}

impl Generation<'_> {
    /// Continues a prompt and gives `emit` the text as it arrives, whole characters at a time. Where the
    /// model fails, the trace is what it wrote before, and says so.
    pub fn trace(
        &self,
        prompt: &str,
        device: &Device,
        mut emit: impl FnMut(&str) -> io::Result<()>,
    ) -> anyhow::Result<Trace> {
        let prompt = self.model.words.encode(prompt)?;
        let mut decoder = self.model.words.stream();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut written = Ok(());
        let mut generator = self.generator(device);
        let ran = generator.run(&prompt, self.n_tokens, |token| {
            let text = decoder.push(token.id);
            written = emit(&text);
            pieces.push(Piece {
                id: token.id,
                text,
                experts: token.experts,
            });
            let ended = pieces.len() > prompt.len() && self.model.ends.contains(&token.id);
            written.is_ok() && !ended && !self.stop.load(Ordering::Relaxed)
        });
        written?;
        let rest = decoder.finish();
        emit(&rest)?;
        if let Some(last) = pieces.last_mut() {
            last.text.push_str(&rest);
        }
        ensure!(
            pieces.len() >= prompt.len(),
            "interrupted before the prompt was read"
        );
        Ok(Trace {
            pieces,
            n_prompt: prompt.len(),
            n_experts: self.model.n_experts,
            drafts: generator.drafts(),
            failure: ran.err(),
            n_layers: self.model.decoder.n_moe_layers(),
        })
    }

    fn generator(&self, device: &Device) -> Generator<'_, AnyDecoder> {
        let generator = Generator::new(&self.model.decoder, self.sampling, device);
        if self.speculative {
            generator.speculative()
        } else {
            generator
        }
    }
}
