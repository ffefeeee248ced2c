//! Chains of experts from a layer to the next: the first expert of each token in both.

use crate::analyze::{Chance, Information};
use moe_router::metrics::LabelCounts;
use serde::Serialize;

/// Counts of pairs over all layers take at most so many places.
const MOST_PLACES: usize = 1 << 24;

/// At most so many links between two layers are listed.
const MOST_LINKS: usize = 8;

/// Links that were found less often than this are not listed.
const LEAST_COUNT: f64 = 5.0;

/// The experts of a layer and those of the layer before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chains {
    /// The layer that tokens come from; they go to the next.
    pub layer: usize,
    /// The bits that a token's first expert tells about its first expert in the next layer.
    pub information: Information,
    /// The pairs that come most often beyond chance.
    pub links: Vec<Link>,
}

/// A pair of experts of two layers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Link {
    /// The expert.
    pub from: usize,
    /// The expert of the next layer.
    pub to: usize,
    /// The tokens that took both first.
    pub count: f64,
    /// Over what it would be if the next expert were drawn by its load.
    pub lift: f64,
}

/// Counts of the pairs of a layer and the next, `[E][E]`; empty where there would be too many.
#[derive(Debug, Clone)]
pub(super) struct PairCounts {
    n_experts: usize,
    counts: Vec<u64>,
}

impl PairCounts {
    /// Counts nothing yet, for one of so many layers.
    pub(super) fn new(n_experts: usize, n_layers: usize) -> Self {
        let places = n_experts * n_experts;
        let has_room = places.saturating_mul(n_layers) <= MOST_PLACES;
        Self {
            n_experts,
            counts: vec![0; if has_room { places } else { 0 }],
        }
    }

    pub(super) fn is_counting(&self) -> bool {
        !self.counts.is_empty()
    }

    pub(super) fn add(&mut self, from: usize, to: usize) {
        self.counts[from * self.n_experts + to] += 1;
    }

    /// Returns what was counted; nothing if it was not.
    pub(super) fn finish(&self, layer: usize) -> Option<Chains> {
        if self.counts.iter().all(|&count| count == 0) {
            return None;
        }
        let rows = self.counts.chunks(self.n_experts);
        let rows = rows.map(|row| row.iter().map(|&count| count as f64).collect());
        let counts = LabelCounts {
            counts: rows.collect(),
        };
        let from: Vec<f64> = counts.counts.iter().map(|row| row.iter().sum()).collect();
        let all: f64 = from.iter().sum();
        let chance = Chance::of_assignments(&from, all);
        Some(Chains {
            layer,
            information: Information::of(&counts, &chance),
            links: links(&counts, &from, all),
        })
    }
}

/// The links with the largest `count * log2(lift)`.
fn links(counts: &LabelCounts, from: &[f64], all: f64) -> Vec<Link> {
    let rows = counts.counts.iter();
    let to = rows.fold(vec![0.0; from.len()], |mut to, row| {
        to.iter_mut()
            .zip(row)
            .for_each(|(sum, count)| *sum += count);
        to
    });
    let mut links = Vec::new();
    for (e, row) in counts.counts.iter().enumerate() {
        for (next, &count) in row.iter().enumerate() {
            let lift = count * all / (from[e] * to[next]);
            if count >= LEAST_COUNT && lift > 1.0 {
                let (from, to) = (e, next);
                links.push(Link {
                    from,
                    to,
                    count,
                    lift,
                });
            }
        }
    }
    let worth = |link: &Link| link.count * link.lift.log2();
    links.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    links.truncate(MOST_LINKS);
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_a_pair_beyond_chance() {
        // of 40 tokens at expert 0 thirty go on to 1; of 40 at expert 1 ten: 1 has 40 of 80, so the lift is 30 * 80 / 1600
        let mut pairs = PairCounts::new(2, 3);
        for (from, to, n) in [(0, 1, 30), (0, 0, 10), (1, 1, 10), (1, 0, 30)] {
            (0..n).for_each(|_| pairs.add(from, to));
        }
        let chains = pairs.finish(4).unwrap();
        assert_eq!((chains.layer, chains.links.len()), (4, 2));
        let link = chains.links[0];
        assert_eq!(
            (link.from, link.to, link.count, link.lift),
            (0, 1, 30.0, 1.5)
        );
        // 1 - H(1/4) = 0.1887 bits, less (2 - 1)(2 - 1) / (2 * 80 ln 2) = 0.0090 by chance
        assert!((chains.information.bits - (0.188_72 - 0.009_02)).abs() < 1e-4);
        assert_eq!(chains.information.entropy, 1.0);
    }

    #[test]
    fn too_many_pairs_are_not_counted() {
        let pairs = PairCounts::new(4096, 2);
        assert!(!pairs.is_counting());
        assert_eq!(pairs.finish(0), None);
    }
}
