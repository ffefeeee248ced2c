//! Placements of experts on the ranks of expert parallelism.

use thiserror::Error;

/// Why experts cannot be placed.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlacementError {
    /// Ranks that would hold unequal numbers of experts.
    #[error(
        "{n_ranks} ranks do not divide {n_experts} experts: choose a divisor of {n_experts} as the number of ranks"
    )]
    Ranks {
        /// The number of ranks.
        n_ranks: usize,
        /// The number of experts.
        n_experts: usize,
    },
    /// Nodes that would hold unequal numbers of ranks.
    #[error(
        "{per_node} ranks a node do not divide {n_ranks} ranks: choose a divisor of {n_ranks} as the ranks of a node"
    )]
    Nodes {
        /// Ranks of a node.
        per_node: usize,
        /// The number of ranks.
        n_ranks: usize,
    },
}

/// Consecutive experts on `W` ranks, and consecutive ranks on nodes: expert `e` of `E` is on rank `e W / E`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    n_experts: usize,
    n_ranks: usize,
    per_node: usize,
}

impl Placement {
    /// Places experts that have a network on ranks; a node that could hold more ranks than there are holds all of them.
    ///
    /// # Errors
    ///
    /// Returns an error if the ranks do not divide the experts, or the ranks of a node not the ranks.
    pub fn new(n_experts: usize, n_ranks: usize, per_node: usize) -> Result<Self, PlacementError> {
        if n_ranks == 0 || n_experts == 0 || !n_experts.is_multiple_of(n_ranks) {
            return Err(PlacementError::Ranks { n_ranks, n_experts });
        }
        let on_node = per_node.min(n_ranks);
        if on_node == 0 || !n_ranks.is_multiple_of(on_node) {
            return Err(PlacementError::Nodes { per_node, n_ranks });
        }
        Ok(Self {
            n_experts,
            n_ranks,
            per_node: on_node,
        })
    }

    /// The number of experts `E`.
    pub fn n_experts(&self) -> usize {
        self.n_experts
    }

    /// The number of ranks `W`.
    pub fn n_ranks(&self) -> usize {
        self.n_ranks
    }

    /// The number of ranks of a node.
    pub fn per_node(&self) -> usize {
        self.per_node
    }

    /// The number of nodes.
    pub fn n_nodes(&self) -> usize {
        self.n_ranks / self.per_node
    }

    /// The rank of an expert.
    pub fn rank(&self, expert: usize) -> usize {
        expert / (self.n_experts / self.n_ranks)
    }

    /// The node of a rank.
    pub fn node(&self, rank: usize) -> usize {
        rank / self.per_node
    }

    /// The rank on another rank's node that has the same place there as `rank` has on its own: where a row enters a node.
    pub fn entry(&self, rank: usize, other: usize) -> usize {
        self.node(other) * self.per_node + rank % self.per_node
    }

    /// The rank that token `t` of `T` comes from: tokens are dealt evenly, in consecutive blocks.
    pub fn source(&self, token: usize, n_tokens: usize) -> usize {
        token * self.n_ranks / n_tokens
    }

    /// The mean number of ranks of a token whose `k` experts are drawn evenly, without one twice:
    /// `W (1 - C(E - E/W, k) / C(E, k))`.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `k` experts.
    pub fn even_fan_out(&self, k: usize) -> f64 {
        let (n_experts, n_elsewhere) = (
            self.n_experts,
            self.n_experts - self.n_experts / self.n_ranks,
        );
        assert!(k <= n_experts, "{k} of {n_experts} experts");
        let of_draw = |i: usize| n_elsewhere.saturating_sub(i) as f64 / (n_experts - i) as f64;
        let misses: f64 = (0..k).map(of_draw).product();
        self.n_ranks as f64 * (1.0 - misses)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn experts_and_ranks_are_consecutive() {
        // 16 experts, two a rank, four ranks a node
        let placement = Placement::new(16, 8, 4).unwrap();
        let ranks: Vec<usize> = (0..16).map(|e| placement.rank(e)).collect();
        assert_eq!(ranks, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
        let nodes: Vec<usize> = (0..8).map(|r| placement.node(r)).collect();
        assert_eq!(nodes, [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(placement.n_nodes(), 2);
        // rank 6 is the third of its node, as rank 2 is of the other
        assert_eq!((placement.entry(6, 1), placement.entry(6, 5)), (2, 6));
    }

    #[test]
    fn tokens_are_dealt_in_blocks() {
        let placement = Placement::new(4, 4, 8).unwrap();
        let sources = |n| {
            (0..n)
                .map(|t| placement.source(t, n))
                .collect::<Vec<usize>>()
        };
        assert_eq!(sources(8), [0, 0, 1, 1, 2, 2, 3, 3]);
        // blocks of six tokens over four ranks differ by one at most
        assert_eq!(sources(6), [0, 0, 1, 2, 2, 3]);
        assert_eq!(sources(2), [0, 2]);
    }

    #[test]
    fn what_does_not_divide_is_an_error() {
        let error = |e, w, per_node| Placement::new(e, w, per_node).unwrap_err().to_string();
        assert!(error(64, 24, 8).contains("24 ranks do not divide 64 experts"));
        assert!(error(64, 128, 8).contains("128 ranks do not divide 64 experts"));
        assert!(error(64, 0, 8).contains("0 ranks"));
        assert!(error(24, 12, 8).contains("8 ranks a node do not divide 12 ranks"));
        assert!(error(8, 8, 0).contains("0 ranks a node"));
        // a node larger than the world holds it whole
        assert_eq!(Placement::new(8, 2, 8).unwrap().n_nodes(), 1);
    }

    #[test]
    fn even_draws_spread_by_the_formula() {
        let even = |e, w, k| Placement::new(e, w, w).unwrap().even_fan_out(k);
        assert_eq!(even(8, 8, 1), 1.0);
        // 2 (1 - C(4, 2) / C(8, 2)) = 2 (1 - 6 / 28)
        assert_abs_diff_eq!(even(8, 2, 2), 11.0 / 7.0, epsilon = 1e-12);
        // one expert a rank: always k ranks; more experts a token than others have: all ranks
        assert_abs_diff_eq!(even(8, 8, 3), 3.0, epsilon = 1e-12);
        assert_abs_diff_eq!(even(8, 2, 5), 2.0, epsilon = 1e-12);
        assert_eq!(even(8, 1, 2), 1.0);
    }
}
