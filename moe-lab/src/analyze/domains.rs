//! Experts and the domains or classes of their tokens.

use moe_router::metrics::{LabelCounts, mutual_information};
use serde::Serialize;
use std::f64::consts::LN_2;

/// The domains of what each expert computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Domains {
    /// Of each expert, the share of each domain in what it computed: `[E][L]`; zeros for an expert that
    /// computed nothing.
    pub share: Vec<Vec<f64>>,
    /// The share of each domain in what all experts computed: `[L]`.
    pub base: Vec<f64>,
    /// The bits that the expert of an assignment tells about the domain of its token.
    pub mutual_information: f64,
    /// The bits of that which chance alone would give, about: `(E - 1)(L - 1) / (2 N ln 2)` (Miller 1955).
    pub by_chance: f64,
    /// The most that it could be: the entropy of the domains, bits.
    pub domain_entropy: f64,
}

impl Domains {
    /// Of counts of assignments, `[E][L]`.
    pub(super) fn of(counts: &LabelCounts) -> Self {
        let total: f64 = counts.counts.iter().flatten().sum();
        let n_domains = counts.counts.first().map_or(0, Vec::len);
        let of_domain = |l: usize| counts.counts.iter().map(|row| row[l]).sum::<f64>();
        let base: Vec<f64> = (0..n_domains)
            .map(|l| of_domain(l) / total.max(1.0))
            .collect();
        let share = |row: &Vec<f64>| {
            let computed: f64 = row.iter().sum();
            row.iter()
                .map(|count| count / computed.max(f64::MIN_POSITIVE))
                .collect()
        };
        let cells = (counts.counts.len() as f64 - 1.0) * (n_domains as f64 - 1.0);
        Self {
            share: counts.counts.iter().map(share).collect(),
            mutual_information: mutual_information(counts),
            by_chance: cells / (2.0 * total.max(1.0) * LN_2),
            domain_entropy: base
                .iter()
                .filter(|p| **p > 0.0)
                .map(|p| -p * p.log2())
                .sum(),
            base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_that_know_the_domain() {
        // each of two experts takes one of two equal domains: one bit, of one bit at most
        let counts = LabelCounts {
            counts: vec![vec![50.0, 0.0], vec![0.0, 50.0], vec![0.0, 0.0]],
        };
        let domains = Domains::of(&counts);
        assert_eq!(domains.share, [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]);
        assert_eq!(domains.base, [0.5, 0.5]);
        assert_eq!(
            (domains.mutual_information, domains.domain_entropy),
            (1.0, 1.0)
        );
        // (3 - 1)(2 - 1) / (2 * 100 * ln 2) = 0.0144
        assert!((domains.by_chance - 0.014_427).abs() < 1e-6);
    }
}
