//! Drawing the next token from its scores.

use super::Scores;
use rand::{Rng, RngExt};

/// Rule by which the next token is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits; 0 takes the most likely token. Default: 0.8
    pub temperature: f64,
    /// The number of most likely tokens to draw from; 0 means all. Default: 0
    pub top_k: usize,
    /// The probability mass of the most likely tokens to draw from; 1 means all. Default: 0.95
    pub top_p: f64,
    /// The least probability of a token, as a share of the most likely one's. Default: 0
    pub min_p: f64,
    /// Divisor of the logits of tokens that came before, or factor of those below zero; 1
    /// changes nothing. Default: 1
    pub repetition_penalty: f64,
    /// The seed of the draws. Default: 0
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 0,
            top_p: 0.95,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// The probabilities that a token is drawn with: temperature, then top-k, then top-p (Holtzman et
    /// al. 2019, arXiv 1904.09751, section 3.1), then min-p (Nguyen et al. 2024, arXiv 2407.01082,
    /// section 3), renormalised. Of equal tokens the lower id is kept.
    pub fn probabilities(&self, scores: &Scores) -> Vec<f64> {
        let logits = scores.as_slice();
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
        // the most likely token has mass 1
        let mass: Vec<f64> = order
            .iter()
            .map(|&i| ((f64::from(logits[i]) - max) / temperature).exp())
            .collect();
        let total: f64 = mass.iter().sum();

        let mut probs = vec![0.0; logits.len()];
        let mut sum = 0.0;
        for (&i, &m) in order.iter().zip(&mass) {
            if sum > 0.0 && (sum >= self.top_p * total || m < self.min_p) {
                break;
            }
            probs[i] = m;
            sum += m;
        }
        probs.iter_mut().for_each(|p| *p /= sum);
        probs
    }

    /// Makes tokens that came before less likely (Keskar et al. 2019, arXiv 1909.05858, section 4.1).
    ///
    /// Differs from the paper: a negative logit is multiplied, so that the penalty always lowers it.
    pub fn penalise(&self, scores: &mut Scores, before: &[u32]) {
        let penalty = self.repetition_penalty;
        let mut seen = vec![false; scores.len()];
        for &id in before {
            let id = id as usize;
            if !std::mem::replace(&mut seen[id], true) {
                scores.change(id, |score| {
                    if score < 0.0 {
                        score * penalty
                    } else {
                        score / penalty
                    }
                });
            }
        }
    }

    /// Draws the token after those that came before.
    pub(crate) fn draw(&self, mut scores: Scores, before: &[u32], rng: &mut impl Rng) -> u32 {
        if self.repetition_penalty != 1.0 {
            self.penalise(&mut scores, before);
        }
        let mut point: f64 = rng.random();
        let mut chosen = 0;
        let probs = self.probabilities(&scores);
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

    fn scores() -> Scores {
        Scores::new(LOGITS.to_vec(), String::new).expect("finite")
    }

    fn sampling(temperature: f64, top_k: usize, top_p: f64) -> Sampling {
        Sampling {
            temperature,
            top_k,
            top_p,
            ..Sampling::default()
        }
    }

    #[test]
    fn temperature_zero_takes_the_most_likely() {
        assert_eq!(
            sampling(0.0, 0, 1.0).probabilities(&scores()),
            [0.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn top_k_keeps_k() {
        // e^2 / (e^2 + e) = 0.7310586
        let probs = sampling(1.0, 2, 1.0).probabilities(&scores());
        assert_abs_diff_eq!(probs[1], 0.731_058_6, epsilon = 1e-6);
        assert_abs_diff_eq!(probs[2], 0.268_941_4, epsilon = 1e-6);
        assert_eq!((probs[0], probs[3]), (0.0, 0.0));
    }

    #[test]
    fn top_p_keeps_the_smallest_set_of_that_mass() {
        // softmax: 0.0871, 0.6439, 0.2369, 0.0321; 0.6439 < 0.7 <= 0.8808
        let probs = sampling(1.0, 0, 0.7).probabilities(&scores());
        assert_eq!(probs.iter().filter(|&&p| p > 0.0).count(), 2);
    }

    #[test]
    fn min_p_keeps_what_is_likely_enough() {
        // shares of the most likely: e^-2 = 0.135, 1, e^-1 = 0.368, e^-3 = 0.050
        let probs = Sampling {
            min_p: 0.2,
            ..sampling(1.0, 0, 1.0)
        }
        .probabilities(&scores());
        assert_eq!((probs[0], probs[3]), (0.0, 0.0));
        assert_abs_diff_eq!(probs[2], 0.268_941_4, epsilon = 1e-6);
    }

    #[test]
    fn a_penalty_counts_each_token_once() {
        let sampling = Sampling {
            repetition_penalty: 2.0,
            ..Sampling::default()
        };
        let mut penalised = scores();
        sampling.penalise(&mut penalised, &[1, 1, 3]);
        assert_eq!(penalised.as_slice(), [0.0, 1.0, 1.0, -2.0]);
    }

    #[test]
    fn a_penalty_that_overflows_leaves_something_to_choose() {
        let sampling = Sampling {
            repetition_penalty: 1e-300, // 0 in f32
            temperature: 1e-300,
            ..Sampling::default()
        };
        let mut penalised = scores();
        sampling.penalise(&mut penalised, &[0, 2]);
        let probs = sampling.probabilities(&penalised);
        assert_eq!(probs, [0.0, 0.0, 1.0, 0.0]);
    }
}
