//! Experts and the domains or classes of their tokens.

use super::Information;
use super::information::{Chance, label_shares};
use moe_router::metrics::LabelCounts;
use serde::Serialize;

/// The domains, or classes, of what each expert computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Domains {
    /// Of each expert, the share of each domain in what it computed: `[E][L]`; zeros for an expert that
    /// computed nothing.
    pub share: Vec<Vec<f64>>,
    /// The share of each domain in what all experts computed: `[L]`.
    pub base: Vec<f64>,
    /// The bits that the expert of an assignment tells about the domain of its token.
    pub information: Information,
}

impl Domains {
    /// Of counts of assignments, `[E][L]`.
    pub(crate) fn of(counts: &LabelCounts, chance: &Chance) -> Self {
        let share = |row: &Vec<f64>| {
            let computed: f64 = row.iter().sum();
            row.iter()
                .map(|count| count / computed.max(f64::MIN_POSITIVE))
                .collect()
        };
        Self {
            share: counts.counts.iter().map(share).collect(),
            base: label_shares(counts),
            information: Information::of(counts, chance),
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
        let domains = Domains::of(&counts, &Chance::new(3));
        assert_eq!(domains.share, [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]);
        assert_eq!(domains.base, [0.5, 0.5]);
        let found = domains.information;
        assert_eq!((found.bits, found.entropy, found.share), (1.0, 1.0, 1.0));
    }
}
