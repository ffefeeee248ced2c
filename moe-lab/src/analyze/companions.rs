//! Pairs of experts that compute the same tokens.

use serde::Serialize;

/// Experts that compute the same tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Companions {
    /// Of the tokens that an expert computed, the share that each other one computed too: `[E][E]`, row
    /// by row; 0 on the diagonal.
    pub share: Vec<Vec<f64>>,
    /// That share over what it would be if an expert's companions were drawn by their loads: `[E][E]`;
    /// 1 where that is not defined.
    pub lift: Vec<Vec<f64>>,
}

/// Counts of tokens that two experts both computed.
#[derive(Debug, Clone)]
pub(super) struct PairCounts {
    /// Tokens of each expert, `[E]`.
    tokens: Vec<f64>,
    /// Tokens of each pair, `[E][E]`, symmetric.
    pairs: Vec<Vec<f64>>,
}

impl PairCounts {
    pub(super) fn new(n_experts: usize) -> Self {
        Self {
            tokens: vec![0.0; n_experts],
            pairs: vec![vec![0.0; n_experts]; n_experts],
        }
    }

    /// Counts a token with the experts that computed it.
    pub(super) fn add(&mut self, experts: &[usize]) {
        for (i, &a) in experts.iter().enumerate() {
            self.tokens[a] += 1.0;
            for &b in &experts[i + 1..] {
                self.pairs[a][b] += 1.0;
                self.pairs[b][a] += 1.0;
            }
        }
    }

    /// None if no token had two experts.
    pub(super) fn companions(&self) -> Option<Companions> {
        let all: f64 = self.tokens.iter().sum();
        if self.pairs.iter().flatten().all(|&count| count == 0.0) {
            return None;
        }
        let experts = 0..self.tokens.len();
        let share = |a: usize, b: usize| self.pairs[a][b] / self.tokens[a].max(1.0);
        let lift = |a: usize, b: usize| {
            let companions: f64 = self.pairs[a].iter().sum();
            let expected = companions * self.tokens[b] / (all - self.tokens[a]);
            if a != b && expected > 0.0 {
                self.pairs[a][b] / expected
            } else {
                1.0
            }
        };
        let matrix = |cell: &dyn Fn(usize, usize) -> f64| {
            let row = |a| experts.clone().map(|b| cell(a, b)).collect();
            experts.clone().map(row).collect()
        };
        Some(Companions {
            share: matrix(&share),
            lift: matrix(&lift),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_against_draws_by_load() {
        // tokens {0, 1}, {0, 1}, {0, 2}, {1, 2}: loads 3, 3, 2. Of expert 0's three companions two are 1;
        // by load it would be 3 * 3 / 5 = 1.8, so the lift is 2 / 1.8
        let mut counts = PairCounts::new(3);
        for experts in [[0, 1], [1, 0], [0, 2], [1, 2]] {
            counts.add(&experts);
        }
        let found = counts.companions().expect("pairs");
        assert_eq!(found.share[0], [0.0, 2.0 / 3.0, 1.0 / 3.0]);
        assert_eq!(found.share[2], [0.5, 0.5, 0.0]);
        assert!((found.lift[0][1] - 2.0 / 1.8).abs() < 1e-12);
        assert!((found.lift[2][0] - 1.0).abs() < 1e-12);
        assert_eq!(found.lift[1][1], 1.0);
    }

    #[test]
    fn one_expert_a_token_has_no_companion() {
        let mut counts = PairCounts::new(2);
        counts.add(&[1]);
        assert_eq!(counts.companions(), None);
    }
}
