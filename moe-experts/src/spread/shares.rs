//! Parameters that are shared out, and a rank's share of them.

use std::ops::Range;

/// Tells whether a parameter is shared out among the ranks of a replica, by its path in the model: stacks of matrices
/// of the experts that tokens are routed to, and their biases before the non-linearity. Biases after the last
/// projection are added by the ranks that hold the tokens, and are held by all.
pub fn is_shared_out<S: AsRef<str>>(path: &[S]) -> bool {
    let ends_with = |end: &[&str]| {
        path.len() >= end.len()
            && path[path.len() - end.len()..]
                .iter()
                .zip(end)
                .all(|(part, end)| part.as_ref() == *end)
    };
    ["gate", "up", "down"]
        .iter()
        .any(|name| ends_with(&["experts", name]))
        || ["gate", "up"]
            .iter()
            .any(|name| ends_with(&["experts", "biases", name]))
}

/// The experts of a rank: as many as each other rank has, in a row.
///
/// # Panics
///
/// Panics if the ranks do not divide the experts.
pub fn share(n_experts: usize, rank: usize, ranks: usize) -> Range<usize> {
    assert!(
        n_experts.is_multiple_of(ranks),
        "{n_experts} experts cannot be shared out evenly among {ranks} ranks"
    );
    let each = n_experts / ranks;
    rank * each..(rank + 1) * each
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_are_shared_out_and_what_all_tokens_meet_is_not() {
        let is = |path: &str| is_shared_out(&path.split('.').collect::<Vec<_>>());
        for path in [
            "layers.0.moe.experts.up",
            "layers.1.feed_forward.experts.gate",
            "layers.1.moe.experts.biases.up",
        ] {
            assert!(is(path), "{path}");
        }
        for path in [
            "layers.0.moe.shared.up",
            "layers.0.moe.experts.biases.down",
            "layers.0.moe.router.gate.weight",
            "layers.0.feed_forward.up",
            "experts",
        ] {
            assert!(!is(path), "{path}");
        }
    }

    #[test]
    fn shares_are_neighbours() {
        let shares: Vec<_> = (0..4).map(|rank| share(8, rank, 4)).collect();
        assert_eq!(shares, [0..2, 2..4, 4..6, 6..8]);
    }
}
