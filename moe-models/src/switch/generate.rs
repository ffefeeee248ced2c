//! Writing a text about another, token by token.

use super::Switch;
use crate::generate::next_token;
use crate::{GeneratedToken, NotFinite, Sampling, Scores};
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_router::{Router, Routing, to_vec};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Writes a text about another, token by token, from a cache.
#[derive(Debug)]
pub struct SwitchGenerator<'a, R: Router> {
    model: &'a Switch<R>,
    device: Device,
    sampling: Sampling,
    start_token: u32,
    stop_tokens: Vec<u32>,
    /// Tokens that are never drawn.
    banned: Vec<u32>,
    rng: ChaCha8Rng,
}

impl<'a, R: Router> SwitchGenerator<'a, R> {
    /// A generator whose texts begin after `start_token`.
    pub fn new(
        model: &'a Switch<R>,
        sampling: Sampling,
        start_token: u32,
        device: &Device,
    ) -> Self {
        Self {
            model,
            device: device.clone(),
            sampling,
            start_token,
            stop_tokens: Vec::new(),
            banned: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(sampling.seed),
        }
    }

    /// Ends the text after any of these tokens.
    pub fn stop_tokens(mut self, ids: &[u32]) -> Self {
        self.stop_tokens = ids.to_vec();
        self
    }

    /// Never draws any of these tokens.
    pub fn banned(mut self, ids: &[u32]) -> Self {
        self.banned = ids.to_vec();
        self
    }

    /// Reads a text, then calls `emit` with every token that is written about it: until there are
    /// `max_new_tokens` of them, one is a stop token, or `emit` returns `false`.
    ///
    /// # Errors
    ///
    /// Returns the token before which the scores are not finite; those before it have been given to
    /// `emit`.
    ///
    /// # Panics
    ///
    /// Panics if the text is empty.
    pub fn run(
        &mut self,
        text: &[u32],
        max_new_tokens: usize,
        mut emit: impl FnMut(GeneratedToken) -> bool,
    ) -> Result<(), NotFinite> {
        assert!(!text.is_empty(), "a text has at least one token");
        let encoded = self.model.encode(self.tokens(text), None);
        let mut cache = self.model.new_cache(&encoded);
        let mut written = vec![self.start_token];
        let mut output = self.model.decode(self.tokens(&written), &mut cache);
        for n in 0..max_new_tokens {
            let place = || next_token(n);
            let scores = Scores::new(to_vec(output.logits), place)?;
            let scores = scores.without(&self.banned, place)?;
            let id = self.sampling.draw(scores, &written, &mut self.rng);
            written.push(id);
            // the experts of a token are known once it has passed through the decoder
            output = self.model.decode(self.tokens(&[id]), &mut cache);
            let first = output.decoder_routings.iter().map(Routing::first_expert);
            let token = GeneratedToken {
                id,
                experts: first.map(|layer| layer[0]).collect(),
            };
            if !emit(token) || self.stop_tokens.contains(&id) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn tokens(&self, ids: &[u32]) -> Tensor<2, Int> {
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let shape = [1, ids.len()];
        Tensor::from_data(TensorData::new(ids, shape), &self.device)
    }
}
