use super::{Piece, Trace};
use anyhow::ensure;
use burn::tensor::Device;
use moe_models::{Decoder, Generator, Sampling};
use moe_train::data::StreamDecoder;
use moe_train::run::LoadedRun;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a text is continued.
#[derive(Debug)]
pub struct Generation<'a> {
    /// The model and its vocabulary.
    pub run: &'a LoadedRun,
    /// The number of tokens after the prompt.
    pub n_tokens: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Whether the model drafts tokens.
    pub speculative: bool,
    /// Ends it early.
    pub stop: &'a AtomicBool,
}

impl Generation<'_> {
    /// Continues a prompt and gives `emit` the text as it arrives, whole characters at a time.
    pub fn trace(
        &self,
        prompt: &str,
        device: &Device,
        mut emit: impl FnMut(&str) -> io::Result<()>,
    ) -> anyhow::Result<Trace> {
        let prompt = self.run.vocab.encode(prompt);
        let mut decoder = StreamDecoder::new(&self.run.vocab);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut written = Ok(());
        let mut generator = Generator::new(&self.run.model, self.sampling, device);
        if self.speculative {
            generator = generator.speculative();
        }
        generator.run(&prompt, self.n_tokens, |token| {
            let text = decoder.push(token.id);
            written = emit(&text);
            pieces.push(Piece {
                id: token.id,
                text,
                experts: token.experts,
            });
            written.is_ok() && !self.stop.load(Ordering::Relaxed)
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
            n_experts: self.run.config.experts.n_experts,
            drafts: generator.drafts(),
            n_layers: self.run.model.n_moe_layers(),
        })
    }
}
