//! The number of dead experts.

use crate::Load;

/// The number of experts that nobody asked for. An expert with less than a thousandth of a balanced
/// share counts as dead too, which for counts of fewer than a thousand means none at all.
pub fn dead_experts(load: &Load) -> usize {
    let threshold = 1e-3 / load.kept.len() as f64;
    load.share().iter().filter(|&&s| s < threshold).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_without_tokens_are_dead() {
        let load = Load {
            kept: vec![5.0, 0.0, 3.0, 0.0],
            asked: vec![5.0, 0.0, 3.0, 0.0],
            n_tokens: 8.0,
            statistic: Vec::new(),
        };
        assert_eq!(dead_experts(&load), 2);
    }
}
