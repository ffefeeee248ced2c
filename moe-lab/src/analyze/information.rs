//! Mutual information of experts and the labels of their tokens, corrected for chance.
//!
//! The estimate from counts is above 0 even if experts ignore the labels. Its mean over all ways to deal the labels out
//! to the tokens anew is, to first order, and taken off:
//!
//! ```text
//! chance = (L - 1) (sum_e q_e / p_e - sum_t k_t^2) / (2 N^2 ln 2)
//! ```
//!
//! with `L` labels that occur, `N` assignments, the share `p_e` of expert `e` in them, `q_e` the sum of its squared masses
//! (its assignments, unless the plan is soft), and `k_t` the experts of token `t`. For one expert a token it is the
//! correction of Miller and Madow, `(E - 1)(L - 1) / (2 N ln 2)` (Miller, "Note on the bias of information estimates",
//! 1955; Paninski, "Estimation of entropy and mutual information", 2003). For `k` experts a token it is `(E - k) / (E - 1)`
//! of that, since they differ. What is left may be slightly negative.

use moe_router::metrics::{LabelCounts, mutual_information};
use serde::Serialize;
use std::f64::consts::LN_2;

/// The information of the expert of an assignment on a label of its token; each assignment weighs the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Information {
    /// The bits that the expert tells about the label beyond chance; about 0 for experts that ignore it.
    pub bits: f64,
    /// The bits that chance alone would give, taken off already.
    pub by_chance: f64,
    /// The entropy of the label, bits: the most that it could be.
    pub entropy: f64,
    /// The bits over the entropy, by which labels of different entropy compare; 0 where that is 0.
    pub share: f64,
}

/// The information of a layer's experts on the class and on the domain of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LayerInformation {
    /// On the class of the token, see [`TokenClass`](super::TokenClass).
    pub token_class: Information,
    /// On the domain of its text.
    pub domain: Information,
    /// On the class, for a reader who knows the domain.
    pub class_within_domain: Information,
    /// On the domain, for a reader who knows the class.
    pub domain_within_class: Information,
}

impl Information {
    /// Of counts of assignments, `[E][L]`.
    pub(crate) fn of(counts: &LabelCounts, chance: &Chance) -> Self {
        let base = label_shares(counts);
        let n_labels = base.iter().filter(|share| **share > 0.0).count();
        let by_chance = n_labels.saturating_sub(1) as f64 * chance.bits_a_label();
        let bits = mutual_information(counts) - by_chance;
        let entropy = base.iter().filter(|share| **share > 0.0);
        Self::new(bits, by_chance, entropy.map(|p| p * p.recip().log2()).sum())
    }

    /// What is told on a pair of labels besides one of them, `I(E; A | B) = I(E; A, B) - I(E; B)`.
    pub(super) fn within(self, known: Self) -> Self {
        Self::new(
            self.bits - known.bits,
            self.by_chance - known.by_chance,
            (self.entropy - known.entropy).max(0.0),
        )
    }

    fn new(bits: f64, by_chance: f64, entropy: f64) -> Self {
        let share = if entropy > 0.0 { bits / entropy } else { 0.0 };
        Self {
            bits,
            by_chance,
            entropy,
            share,
        }
    }
}

/// The share of each label in all assignments, `[L]`.
pub(super) fn label_shares(counts: &LabelCounts) -> Vec<f64> {
    let total: f64 = counts.counts.iter().flatten().sum();
    let n_labels = counts.counts.first().map_or(0, Vec::len);
    let of_label = |l: usize| counts.counts.iter().map(|row| row[l]).sum::<f64>();
    let shares = (0..n_labels).map(|l| of_label(l) / total.max(f64::MIN_POSITIVE));
    shares.collect()
}

/// Sums that the information by chance follows from.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    /// The mass of each expert, `[E]`.
    mass_e: Vec<f64>,
    /// The sum of its squared masses, `[E]`.
    squares_e: Vec<f64>,
    /// The sum of the squared masses of tokens.
    squares_of_tokens: f64,
}

impl Chance {
    pub(super) fn new(n_experts: usize) -> Self {
        Self {
            mass_e: vec![0.0; n_experts],
            squares_e: vec![0.0; n_experts],
            squares_of_tokens: 0.0,
        }
    }

    /// Of one assignment of mass 1 for each count, and tokens whose squared numbers of experts have the given sum.
    pub(crate) fn of_assignments(counts_e: &[f64], squares_of_tokens: f64) -> Self {
        Self {
            mass_e: counts_e.to_vec(),
            squares_e: counts_e.to_vec(),
            squares_of_tokens,
        }
    }

    /// Adds the mass of a token at an expert.
    pub(super) fn add(&mut self, expert: usize, mass: f64) {
        self.mass_e[expert] += mass;
        self.squares_e[expert] += mass * mass;
    }

    /// Adds the mass of a token at all its experts.
    pub(super) fn add_token(&mut self, mass: f64) {
        self.squares_of_tokens += mass * mass;
    }

    /// The bits by chance for each label after the first.
    fn bits_a_label(&self) -> f64 {
        let total: f64 = self.mass_e.iter().sum();
        if total == 0.0 {
            return 0.0;
        }
        let experts = self.mass_e.iter().zip(&self.squares_e);
        let spread: f64 = experts
            .filter(|(mass, _)| **mass > 0.0)
            .map(|(mass, squares)| squares * total / mass)
            .sum();
        (spread - self.squares_of_tokens).max(0.0) / (2.0 * total * total * LN_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn counts<const L: usize>(rows: &[[f64; L]]) -> LabelCounts {
        let counts = rows.iter().map(|row| row.to_vec()).collect();
        LabelCounts { counts }
    }

    /// The sums of tokens that have `k` experts each.
    fn chance(counts: &LabelCounts, k: f64) -> Chance {
        let mass_e: Vec<f64> = counts.counts.iter().map(|row| row.iter().sum()).collect();
        let n_tokens = mass_e.iter().sum::<f64>() / k;
        Chance {
            squares_e: mass_e.clone(),
            squares_of_tokens: n_tokens * k * k,
            mass_e,
        }
    }

    #[test]
    fn one_expert_a_token_is_corrected_as_by_miller() {
        // I = 0.1887219 bits; (2 - 1)(2 - 1) / (2 * 8 ln 2) = 0.0901684
        let table = counts(&[[3.0, 1.0], [1.0, 3.0], [0.0, 0.0]]);
        let found = Information::of(&table, &chance(&table, 1.0));
        assert_abs_diff_eq!(found.by_chance, 0.090_168_4, epsilon = 1e-7);
        assert_abs_diff_eq!(found.bits, 0.188_721_9 - 0.090_168_4, epsilon = 1e-7);
        assert_eq!(found.entropy, 1.0);
        assert_eq!(found.share, found.bits);
    }

    #[test]
    fn experts_that_know_the_label_tell_one_bit() {
        let table = counts(&[[4.0, 0.0], [0.0, 4.0]]);
        let found = Information::of(&table, &chance(&table, 1.0));
        assert_abs_diff_eq!(found.bits + found.by_chance, 1.0, epsilon = 1e-12);
    }

    #[test]
    fn all_experts_of_every_token_tell_nothing_by_chance() {
        // two of two experts: both have 4 and 2 tokens of the labels, whatever the labels are
        let table = counts(&[[4.0, 2.0], [4.0, 2.0]]);
        let found = Information::of(&table, &chance(&table, 2.0));
        assert_eq!((found.bits, found.by_chance), (0.0, 0.0));
        // the entropy of 2/3 and 1/3
        assert_abs_diff_eq!(found.entropy, 0.918_295_8, epsilon = 1e-7);
    }

    #[test]
    fn nothing_counted_tells_nothing() {
        let table = LabelCounts::new(2, 3);
        let found = Information::of(&table, &Chance::new(2));
        assert_eq!(found, Information::new(0.0, 0.0, 0.0));
    }

    #[test]
    fn one_label_within_another() {
        // labels (a, b) = (0, 0), (0, 1), (1, 0), (1, 1); the expert is a, which b tells nothing about
        let joint = counts(&[[2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 2.0]]);
        let of_b = counts(&[[2.0, 2.0], [2.0, 2.0]]);
        let of_a = counts(&[[4.0, 0.0], [0.0, 4.0]]);
        let none = Chance::new(2);
        let of = |table| Information::of(table, &none);
        assert_eq!(
            of(&joint).within(of(&of_b)),
            Information::new(1.0, 0.0, 1.0)
        );
        assert_eq!(
            of(&joint).within(of(&of_a)),
            Information::new(0.0, 0.0, 1.0)
        );
    }

    /// The mean information of experts that draw `k` of 4 without regard to five labels, over 200 texts of 400 tokens.
    fn mean_of_draws(k: usize) -> [f64; 2] {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut sums = [0.0; 2];
        for _ in 0..200 {
            let (mut table, mut chance) = (LabelCounts::new(4, 5), Chance::new(4));
            for _ in 0..400 {
                let (label, first) = (random.random_range(0..5), random.random_range(0..4));
                for expert in (first..first + k).map(|e| e % 4) {
                    table.counts[expert][label] += 1.0;
                    chance.add(expert, 1.0);
                }
                chance.add_token(k as f64);
            }
            let found = Information::of(&table, &chance);
            sums[0] += found.bits / 200.0;
            sums[1] += found.by_chance / 200.0;
        }
        sums
    }

    #[test]
    fn zero_means_zero() {
        // by chance 3 * 4 / (2 * 400 ln 2) = 0.0216 bits for one expert, a third of that for two, a ninth for three
        for k in [1, 2, 3] {
            let [bits, by_chance] = mean_of_draws(k);
            assert!(bits.abs() < 0.15 * by_chance, "{k}: {bits} of {by_chance}");
        }
    }
}
