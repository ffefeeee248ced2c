//! Continuing a prompt, with the experts of each token.

use super::TextModel;
use anyhow::ensure;
use burn::tensor::Device;
use moe_models::{AnyDecoder, Decoder, Generator, Pass, Sampling};
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
    /// True if the routing of each pass is kept.
    pub records: bool,
    /// Ends it early.
    pub stop: &'a AtomicBool,
}

/// A text that was continued.
#[derive(Debug)]
pub struct Continued {
    /// The text, token by token.
    pub trace: Trace,
    /// The routing of each pass, if it was to be kept.
    pub passes: Vec<Pass>,
}

impl Generation<'_> {
    /// Continues a prompt and gives `emit` the text as it arrives, whole characters at a time. Where the
    /// model fails, the trace is what it wrote before, and says so.
    pub fn trace(
        &self,
        prompt: &str,
        device: &Device,
        mut emit: impl FnMut(&str) -> io::Result<()>,
    ) -> anyhow::Result<Continued> {
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
        let trace = Trace {
            pieces,
            n_prompt: prompt.len(),
            n_experts: self.model.n_experts,
            drafts: generator.drafts(),
            failure: ran.err(),
            n_layers: self.model.decoder.n_moe_layers(),
        };
        let passes = generator.into_passes();
        Ok(Continued { trace, passes })
    }

    fn generator(&self, device: &Device) -> Generator<'_, AnyDecoder> {
        let mut generator = Generator::new(&self.model.decoder, self.sampling, device);
        if self.records {
            generator = generator.recording();
        }
        if self.speculative {
            generator.speculative()
        } else {
            generator
        }
    }
}
