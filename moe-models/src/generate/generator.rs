//! Continuing a prompt token by token, plainly or with drafts.

use super::Sampling;
use super::scores::next_token;
use super::{NotFinite, Scores};
use crate::{Decoder, DecoderCache, DecoderInput, DecoderOutput};
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_router::{Routing, to_vec};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A token with the expert that it went to first in each layer.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedToken {
    /// The vocabulary id.
    pub id: u32,
    /// The expert of largest weight in each layer; none where the token was dropped.
    pub experts: Vec<Option<usize>>,
}

/// Numbers of tokens that a module drafted by predicting further, and of those that were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drafts {
    /// Tokens drafted.
    pub offered: usize,
    /// Tokens that the model itself would have chosen.
    pub accepted: usize,
}

/// The routing of tokens that passed through the model together.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The routing of each layer with experts.
    pub routings: Vec<Routing>,
    /// The tokens that stand in the text; a draft behind them was dropped.
    pub n_kept: usize,
}

/// Generates the continuation of a prompt.
#[derive(Debug)]
pub struct Generator<'a, M: Decoder> {
    pub(super) model: &'a M,
    pub(super) device: Device,
    pub(super) cache: DecoderCache,
    pub(super) sampling: Sampling,
    pub(super) stop_tokens: Vec<u32>,
    rng: ChaCha8Rng,
    drafts: Option<Drafts>,
    passes: Option<Vec<Pass>>,
}

impl<'a, M: Decoder> Generator<'a, M> {
    /// A generator with an empty cache.
    pub fn new(model: &'a M, sampling: Sampling, device: &Device) -> Self {
        Self {
            model,
            device: device.clone(),
            cache: model.new_cache(),
            sampling,
            stop_tokens: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(sampling.seed),
            drafts: None,
            passes: None,
        }
    }

    /// Keeps the routing of each pass of [`run`](Self::run).
    pub fn recording(mut self) -> Self {
        self.passes = Some(Vec::new());
        self
    }

    /// The passes that were kept: that of the prompt, then those of the new tokens.
    pub fn into_passes(self) -> Vec<Pass> {
        self.passes.unwrap_or_default()
    }

    /// Ends the text after any of these tokens.
    pub fn stop_tokens(mut self, ids: &[u32]) -> Self {
        self.stop_tokens = ids.to_vec();
        self
    }

    /// Lets the model's first module that predicts further tokens draft every second token, which the
    /// model then reads together with the one before it: speculative decoding (Leviathan et al. 2022,
    /// arXiv 2211.17192) as in DeepSeek-V3 (arXiv 2412.19437, section 5.4.3). A draft is kept if it is the
    /// token that the model would have chosen, so the text is that of plain greedy decoding, up to
    /// rounding: two rows at a time may round otherwise than one, which can decide between tokens that
    /// are all but equally likely.
    ///
    /// # Panics
    ///
    /// Panics if the model has no such module, if its tokens
    /// [compete](Decoder::tokens_compete), so that a draft would change the token before it or be
    /// changed by it, or if the sampling is not greedy (temperature 0, no repetition penalty).
    pub fn speculative(mut self) -> Self {
        assert!(
            self.model.n_mtp_layers() > 0,
            "the model has no module that predicts further tokens"
        );
        assert!(
            !self.model.tokens_compete(),
            "tokens of this model compete for places in its experts, so a draft would change the text"
        );
        assert!(
            self.sampling.temperature == 0.0 && self.sampling.repetition_penalty == 1.0,
            "drafts are checked against the most likely token: set temperature to 0 and no penalty"
        );
        self.drafts = Some(Drafts::default());
        self
    }

    /// The drafts so far.
    pub fn drafts(&self) -> Drafts {
        self.drafts.unwrap_or_default()
    }

    /// Reads the prompt, then calls `emit` with every token: those of the prompt, then the new ones,
    /// until there are `max_new_tokens` of them, one is a stop token, or `emit` returns `false`.
    ///
    /// # Errors
    ///
    /// Returns the token before which the scores are not finite; those before it have been given to
    /// `emit`.
    ///
    /// # Panics
    ///
    /// Panics if the prompt is empty, or if the generator has been used before.
    pub fn run(
        &mut self,
        prompt: &[u32],
        max_new_tokens: usize,
        mut emit: impl FnMut(GeneratedToken) -> bool,
    ) -> Result<(), NotFinite> {
        assert!(!prompt.is_empty(), "a prompt has at least one token");
        assert!(self.cache.is_empty(), "a text needs a generator of its own");
        let input = DecoderInput::new(tokens(prompt, &self.device)).last_only();
        let output = self.model.forward_cache(input, &mut self.cache);
        self.keep(&output, prompt.len());
        if !prompt
            .iter()
            .enumerate()
            .all(|(t, &id)| emit(token(id, &output, t)))
        {
            return Ok(());
        }
        match self.drafts {
            Some(_) => self.continue_drafting(prompt, output, max_new_tokens, emit),
            None => self.continue_plainly(prompt, output, max_new_tokens, emit),
        }
    }

    fn continue_plainly(
        &mut self,
        prompt: &[u32],
        mut output: DecoderOutput,
        max_new_tokens: usize,
        mut emit: impl FnMut(GeneratedToken) -> bool,
    ) -> Result<(), NotFinite> {
        let mut text = prompt.to_vec();
        for n in 0..max_new_tokens {
            let scores = scores_of(&output.logits, [0, 0], || next_token(n))?;
            let id = self.sampling.draw(scores, &text, &mut self.rng);
            text.push(id);
            // the experts of a token are known once it has passed through the model
            output = self.advance(&[id]);
            self.keep(&output, 1);
            if !emit(token(id, &output, 0)) || self.stop_tokens.contains(&id) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn continue_drafting(
        &mut self,
        prompt: &[u32],
        output: DecoderOutput,
        max_new_tokens: usize,
        mut emit: impl FnMut(GeneratedToken) -> bool,
    ) -> Result<(), NotFinite> {
        if max_new_tokens == 0 {
            return Ok(());
        }
        let mut n = 0;
        let mut next = most_likely(&output, 0, n)?;
        let mut hidden = output.hidden;
        let mut after = [&prompt[1..], &[next]].concat();
        loop {
            let drafted = match max_new_tokens - n {
                1 => None,
                _ => Some(self.draft(hidden, &after, n)?),
            };
            let candidates: Vec<u32> = [next].into_iter().chain(drafted).collect();
            let output = self.advance(&candidates);
            let kept = match drafted {
                Some(drafted) => self.judge(drafted, most_likely(&output, 0, n + 1)?),
                None => 1,
            };
            self.keep(&output, kept);
            for (t, &id) in candidates[..kept].iter().enumerate() {
                n += 1;
                let goes_on = emit(token(id, &output, t)) && !self.stop_tokens.contains(&id);
                if !goes_on || n == max_new_tokens {
                    return Ok(());
                }
            }
            next = most_likely(&output, kept - 1, n)?;
            after = [&candidates[1..kept], &[next]].concat();
            hidden = output.hidden.narrow(1, 0, kept);
        }
    }

    /// Counts those of the next token and its draft that stand; forgets a draft that does not.
    fn judge(&mut self, drafted: u32, chosen: u32) -> usize {
        let drafts = self.drafts.get_or_insert_default();
        drafts.offered += 1;
        if drafted == chosen {
            drafts.accepted += 1;
            return 2;
        }
        self.cache.truncate(self.cache.len() - 1);
        1
    }

    /// The token after the next, which is the `n`-th new one.
    fn draft(&mut self, hidden: Tensor<3>, after: &[u32], n: usize) -> Result<u32, NotFinite> {
        let after = tokens(after, &self.device);
        let logits = self.model.draft(hidden, after, &mut self.cache);
        let place = || format!("the draft of {}", next_token(n + 1));
        let scores = scores_of(&logits, [0, logits.dims()[1] - 1], place)?;
        Ok(scores.most_likely())
    }

    fn keep(&mut self, output: &DecoderOutput, n_kept: usize) {
        if let Some(passes) = &mut self.passes {
            let routings = output.routings.clone();
            passes.push(Pass { routings, n_kept });
        }
    }

    fn advance(&mut self, ids: &[u32]) -> DecoderOutput {
        let input = DecoderInput::new(tokens(ids, &self.device));
        self.model.forward_cache(input, &mut self.cache)
    }
}

fn token(id: u32, output: &DecoderOutput, position: usize) -> GeneratedToken {
    let first = output.routings.iter().map(Routing::first_expert);
    GeneratedToken {
        id,
        experts: first.map(|layer| layer[position]).collect(),
    }
}

fn tokens(ids: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let shape = [1, ids.len()];
    Tensor::from_data(TensorData::new(ids, shape), device)
}

/// The scores at a position of a sequence.
pub(super) fn scores_of(
    logits: &Tensor<3>,
    [sequence, position]: [usize; 2],
    place: impl FnOnce() -> String,
) -> Result<Scores, NotFinite> {
    let row = logits.clone();
    let row = row.slice([sequence..sequence + 1, position..position + 1]);
    Scores::new(to_vec(row), place)
}

/// The most likely token after `n` new ones, of the scores at a position.
fn most_likely(output: &DecoderOutput, position: usize, n: usize) -> Result<u32, NotFinite> {
    let scores = scores_of(&output.logits, [0, position], || next_token(n))?;
    Ok(scores.most_likely())
}
