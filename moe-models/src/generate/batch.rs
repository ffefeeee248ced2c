//! Continuing several prompts at once.

use super::Generator;
use super::NotFinite;
use super::generator::scores_of;
use super::scores::next_token;
use crate::{Decoder, DecoderInput};
use burn::tensor::{Int, Tensor, TensorData};
use moe_attention::Positions;
use moe_router::parts::mix_seed;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A text of a batch while it grows.
struct Text {
    ids: Vec<u32>,
    n_prompt: usize,
    rng: ChaCha8Rng,
    /// Its length with the stop token, once there was one.
    end: Option<usize>,
}

impl<M: Decoder> Generator<'_, M> {
    /// Continues several prompts at once, shorter ones padded at the left, and returns the new tokens of
    /// each: `max_new_tokens`, or fewer and a stop token at their end. Each text is drawn from a seed of
    /// its own and does not depend on its neighbours.
    ///
    /// # Errors
    ///
    /// Returns the token before which scores are not finite.
    ///
    /// # Panics
    ///
    /// Panics if there is no prompt, if one is empty, or if the generator has been used before.
    pub fn run_batch(
        &mut self,
        prompts: &[Vec<u32>],
        max_new_tokens: usize,
    ) -> Result<Vec<Vec<u32>>, NotFinite> {
        assert!(
            !prompts.is_empty() && prompts.iter().all(|prompt| !prompt.is_empty()),
            "each prompt of a batch has at least one token"
        );
        assert!(
            self.cache.is_empty(),
            "a batch needs a generator of its own"
        );
        let seed = self.sampling.seed;
        let texts = prompts.iter().enumerate();
        let mut texts: Vec<Text> = texts
            .map(|(i, prompt)| Text::new(prompt, seed, i))
            .collect();
        let mut length = prompts.iter().map(Vec::len).max().unwrap_or(1);
        for n in 0..max_new_tokens {
            let logits = self
                .model
                .forward_cache(
                    self.last_tokens(&texts, length).last_only(),
                    &mut self.cache,
                )
                .logits;
            for (i, text) in texts.iter_mut().enumerate() {
                let place = || format!("{} {}", next_token(n), i + 1);
                let scores = scores_of(&logits, [i, 0], place)?;
                let id = self.sampling.draw(scores, &text.ids, &mut text.rng);
                text.push(id, &self.stop_tokens);
            }
            if texts.iter().all(|text| text.end.is_some()) {
                break;
            }
            length = 1;
        }
        Ok(texts.into_iter().map(Text::new_tokens).collect())
    }

    /// The last `length` tokens of each text at their positions, padded at the left.
    fn last_tokens(&self, texts: &[Text], length: usize) -> DecoderInput {
        let shape = [texts.len(), length];
        let (mut ids, mut padding, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            let missing = length.saturating_sub(text.ids.len());
            let known = length - missing;
            let start = text.ids.len() - known;
            ids.extend(std::iter::repeat_n(0, missing));
            ids.extend(text.ids[start..].iter().map(|&id| i64::from(id)));
            padding.extend((0..length).map(|t| t < missing));
            positions.extend((0..length).map(|t| (start + t.saturating_sub(missing)) as i64));
        }
        let tensor =
            |values| Tensor::<2, Int>::from_data(TensorData::new(values, shape), &self.device);
        DecoderInput::new(tensor(ids))
            .padding(padding.into())
            .positions(Positions::Each(tensor(positions)))
    }
}

impl Text {
    fn new(prompt: &[u32], seed: u64, place: usize) -> Self {
        Self {
            ids: prompt.to_vec(),
            n_prompt: prompt.len(),
            rng: ChaCha8Rng::seed_from_u64(mix_seed(seed, place as u64)),
            end: None,
        }
    }

    /// Adds a token. A text that has ended goes on beside the others; what it adds is not kept.
    fn push(&mut self, id: u32, stop_tokens: &[u32]) {
        self.ids.push(id);
        if self.end.is_none() && stop_tokens.contains(&id) {
            self.end = Some(self.ids.len());
        }
    }

    fn new_tokens(self) -> Vec<u32> {
        let end = self.end.unwrap_or(self.ids.len());
        self.ids[self.n_prompt..end].to_vec()
    }
}
