//! The rule of token choice in numbers, on the host: what a trace of a router is held to.
//!
//! ```text
//! s_e = score(z)_e      r_e = s_e + b_e, minus infinity outside of the token's best groups
//! a token takes the k largest r_e      w_e = scale * s_e, divided by the sum of the chosen s where that is the rule
//! ```

use crate::parts::{ExpertGroups, FillOrder, Normalise, Priority, Score};

/// Choice of each token's best experts, and their weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenChoice {
    /// The number of experts a token.
    pub top_k: usize,
    /// The function from logits to scores.
    pub score: Score,
    /// The function from the scores of the chosen experts to their weights. Default: none
    pub normalise: Normalise,
    /// The factor of the weights, applied last. Default: 1
    pub scale: f64,
    /// Groups of experts that a token is limited to. Default: none
    pub groups: Option<ExpertGroups>,
    /// The tokens that an expert takes from a group of tokens. Default: as many as come
    pub capacity: Option<usize>,
    /// Tokens that claim their places first. Default: earlier ones
    pub priority: Priority,
    /// The order in which a group's choices are served. Default: token by token
    pub order: FillOrder,
}

impl TokenChoice {
    /// The `top_k` experts of largest score, which weigh as they are.
    pub fn new(top_k: usize, score: Score) -> Self {
        Self {
            top_k,
            score,
            normalise: Normalise::None,
            scale: 1.0,
            groups: None,
            capacity: None,
            priority: Priority::default(),
            order: FillOrder::default(),
        }
    }

    /// The scores of a token's experts, `[E]`.
    pub fn scores(&self, logits_e: &[f32]) -> Vec<f64> {
        let logits = logits_e.iter().copied().map(f64::from);
        match self.score {
            Score::Softmax | Score::Cosine => softmax(logits),
            Score::Sigmoid => logits.map(|z| 1.0 / (1.0 + (-z).exp())).collect(),
            Score::Relu => logits.map(|z| z.max(0.0)).collect(),
        }
    }

    /// The weights of chosen experts, which exist, by the logits and the scores of all.
    ///
    /// # Panics
    ///
    /// Panics if there is no such expert.
    pub fn weights(&self, logits_e: &[f32], scores_e: &[f64], experts: &[u32]) -> Vec<f64> {
        let chosen = experts.iter().map(|&expert| scores_e[expert as usize]);
        let weights = match self.normalise {
            Normalise::None => chosen.collect(),
            Normalise::Sum => {
                let sum = chosen.clone().sum::<f64>() + 1e-20;
                chosen.map(|score| score / sum).collect()
            }
            Normalise::Softmax => softmax(experts.iter().map(|&e| f64::from(logits_e[e as usize]))),
        };
        weights
            .into_iter()
            .map(|weight| self.scale * weight)
            .collect()
    }
}

/// A softmax on the host.
fn softmax(logits: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.map(|z| (z - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, Router, RouterConfig, RouterInput, RouterShape, to_vec};
    use burn::tensor::{Device, Distribution, Tensor};

    #[test]
    fn weights_follow_from_scores() {
        // e^(ln 1) : e^(ln 3) : e^(ln 4) of 8
        let logits = [1f32.ln(), 3f32.ln(), 4f32.ln()];
        let rule = TokenChoice::new(2, Score::Softmax);
        let scores = rule.scores(&logits);
        for (score, expected) in scores.iter().zip([0.125, 0.375, 0.5]) {
            assert!((score - expected).abs() < 1e-6);
        }
        let halves = [0.125, 0.375, 0.5];
        assert_eq!(rule.weights(&logits, &halves, &[2, 1]), [0.5, 0.375]);
        let divided = TokenChoice {
            normalise: Normalise::Sum,
            scale: 2.0,
            ..rule
        };
        // 2 * 0.5 / 0.625
        assert!((divided.weights(&logits, &halves, &[2, 0])[0] - 1.6).abs() < 1e-12);
        // the softmax of the chosen logits, whatever the scores: 4 / 7 and 3 / 7
        let softmax = TokenChoice {
            normalise: Normalise::Softmax,
            ..TokenChoice::new(2, Score::Sigmoid)
        };
        let weights = softmax.weights(&logits, &softmax.scores(&logits), &[2, 1]);
        assert!((weights[0] - 4.0 / 7.0).abs() < 1e-6 && (weights[1] - 3.0 / 7.0).abs() < 1e-6);
        assert_eq!(TokenChoice::new(1, Score::Sigmoid).scores(&[0.0]), [0.5]);
        assert_eq!(TokenChoice::new(1, Score::Relu).scores(&[-1.0]), [0.0]);
    }

    #[test]
    fn routers_weigh_as_their_rule_says() {
        let device = Device::flex();
        let shape = RouterShape {
            d_model: 8,
            n_experts: 8,
            layer: 0,
        };
        let mut n_rules = 0;
        for name in RouterConfig::NAMES {
            let config = RouterConfig::from_name(name).unwrap();
            let Some(rule) = config.token_choice(8, 16) else {
                continue;
            };
            n_rules += 1;
            let x = Tensor::random([16, 8], Distribution::Default, &device);
            let routing = config.init(&shape, &device).route(RouterInput::new(x));
            let logits = to_vec(routing.logits);
            let Plan::Sparse(plan) = routing.plan else {
                panic!("a sparse plan");
            };
            let (experts, weights) = (plan.assignments.experts(), to_vec(plan.weights));
            for (t, logits_e) in logits.chunks(8).enumerate() {
                let of_token = t * rule.top_k..(t + 1) * rule.top_k;
                let expected =
                    rule.weights(logits_e, &rule.scores(logits_e), &experts[of_token.clone()]);
                for (weight, expected) in weights[of_token].iter().zip(expected) {
                    assert!((f64::from(*weight) - expected).abs() < 1e-6, "{name}");
                }
            }
        }
        assert_eq!(n_rules, 8);
    }
}
