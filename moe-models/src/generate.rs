//! Sampling text from a decoder, token by token, from a cache.

use crate::{Decoder, DecoderCache, DecoderInput, DecoderOutput};
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_router::Routing;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How the next token is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// What the logits are divided by; 0 takes the most likely token. Default: 0.8
    pub temperature: f64,
    /// The number of most likely tokens to draw from; 0 means all. Default: 0
    pub top_k: usize,
    /// The probability mass of the most likely tokens to draw from; 1 means all. Default: 0.95
    pub top_p: f64,
    /// The seed of the draws. Default: 0
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 0,
            top_p: 0.95,
            seed: 0,
        }
    }
}

impl Sampling {
    /// The probabilities that a token is drawn with: temperature, then top-k, then top-p (Holtzman et
    /// al. 2019, arXiv 1904.09751, section 3.1), renormalised. Of equal tokens the lower id is kept.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let keep = match (self.temperature == 0.0, self.top_k) {
            (true, _) => 1,
            (false, 0) => order.len(),
            (false, k) => k.min(order.len()),
        };
        order.truncate(keep);
        let max = f64::from(logits[order[0]]);
        let temperature = if self.temperature == 0.0 {
            1.0
        } else {
            self.temperature
        };
        let mass: Vec<f64> = order
            .iter()
            .map(|&i| ((f64::from(logits[i]) - max) / temperature).exp())
            .collect();
        let total: f64 = mass.iter().sum();

        let mut probs = vec![0.0; logits.len()];
        let mut sum = 0.0;
        for (&i, &m) in order.iter().zip(&mass) {
            if sum >= self.top_p * total && sum > 0.0 {
                break;
            }
            probs[i] = m;
            sum += m;
        }
        probs.iter_mut().for_each(|p| *p /= sum);
        probs
    }
}

/// A token with the expert that it went to first in each layer.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedToken {
    /// The vocabulary id.
    pub id: u32,
    /// The expert of largest weight in each layer; none where the token was dropped.
    pub experts: Vec<Option<usize>>,
}

/// Generates the continuation of a prompt.
#[derive(Debug)]
pub struct Generator<'a, M: Decoder> {
    model: &'a M,
    device: Device,
    cache: DecoderCache,
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl<'a, M: Decoder> Generator<'a, M> {
    /// A generator with an empty cache.
    pub fn new(model: &'a M, sampling: Sampling, device: &Device) -> Self {
        Self {
            model,
            device: device.clone(),
            cache: model.new_cache(),
            sampling,
            rng: ChaCha8Rng::seed_from_u64(sampling.seed),
        }
    }

    /// Reads the prompt, then calls `emit` with every token: those of the prompt, then the new ones,
    /// until there are `max_new_tokens` of them or `emit` returns `false`.
    ///
    /// # Panics
    ///
    /// Panics if the prompt is empty.
    pub fn run(
        &mut self,
        prompt: &[u32],
        max_new_tokens: usize,
        mut emit: impl FnMut(GeneratedToken) -> bool,
    ) {
        assert!(!prompt.is_empty(), "a prompt has at least one token");
        let mut pending = prompt.to_vec();
        // the experts of a token are known once it has passed through the model
        for step in 0..=max_new_tokens {
            let output = self.advance(&pending);
            let first: Vec<_> = output.routings.iter().map(Routing::first_expert).collect();
            for (position, &id) in pending.iter().enumerate() {
                let experts = first.iter().map(|layer| layer[position]).collect();
                if !emit(GeneratedToken { id, experts }) {
                    return;
                }
            }
            if step < max_new_tokens {
                pending = vec![self.draw(output)];
            }
        }
    }

    fn advance(&mut self, ids: &[u32]) -> DecoderOutput {
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let shape = [1, ids.len()];
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &self.device);
        self.model
            .forward_cache(DecoderInput::new(tokens).last_only(), &mut self.cache)
    }

    fn draw(&mut self, output: DecoderOutput) -> u32 {
        let logits: Vec<f32> = output
            .logits
            .into_data()
            .convert::<f32>()
            .try_into_vec()
            .expect("the data was just converted to f32");
        let probs = self.sampling.probabilities(&logits);
        let mut point: f64 = self.rng.random();
        let mut chosen = 0;
        for (id, &p) in probs.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            chosen = id;
            point -= p;
            if point <= 0.0 {
                break;
            }
        }
        chosen as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    const LOGITS: [f32; 4] = [0.0, 2.0, 1.0, -1.0];

    fn sampling(temperature: f64, top_k: usize, top_p: f64) -> Sampling {
        Sampling {
            temperature,
            top_k,
            top_p,
            seed: 0,
        }
    }

    #[test]
    fn temperature_zero_takes_the_most_likely() {
        assert_eq!(
            sampling(0.0, 0, 1.0).probabilities(&LOGITS),
            [0.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn top_k_keeps_k() {
        // e^2 / (e^2 + e) = 0.7310586
        let probs = sampling(1.0, 2, 1.0).probabilities(&LOGITS);
        assert_abs_diff_eq!(probs[1], 0.731_058_6, epsilon = 1e-6);
        assert_abs_diff_eq!(probs[2], 0.268_941_4, epsilon = 1e-6);
        assert_eq!((probs[0], probs[3]), (0.0, 0.0));
    }

    #[test]
    fn top_p_keeps_the_smallest_set_of_that_mass() {
        // softmax: 0.0871, 0.6439, 0.2369, 0.0321; 0.6439 < 0.7 <= 0.8808
        let probs = sampling(1.0, 0, 0.7).probabilities(&LOGITS);
        assert_eq!(probs.iter().filter(|&&p| p > 0.0).count(), 2);
    }
}
