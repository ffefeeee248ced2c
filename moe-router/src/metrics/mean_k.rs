//! The mean number of experts a token.

use crate::Load;

/// The number of experts that compute an average token: what dynamic routers hold near a target.
/// Dropped assignments do not count.
pub fn mean_k(load: &Load) -> f64 {
    if load.n_tokens == 0.0 {
        return 0.0;
    }
    load.kept.iter().sum::<f64>() / load.n_tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_assignments_over_tokens() {
        let load = Load {
            kept: vec![3.0, 2.0, 1.0],
            asked: vec![4.0, 2.0, 2.0],
            n_tokens: 4.0,
            statistic: Vec::new(),
        };
        assert_eq!(mean_k(&load), 1.5); // 6 / 4
        assert_eq!(mean_k(&Load::default()), 0.0);
    }
}
