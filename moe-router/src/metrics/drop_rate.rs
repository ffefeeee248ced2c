//! The drop rate.

use crate::Load;

/// The share of assignments that were dropped, 0 to 1.
pub fn drop_rate(load: &Load) -> f64 {
    let asked: f64 = load.asked.iter().sum();
    let kept: f64 = load.kept.iter().sum();
    if asked == 0.0 {
        0.0
    } else {
        1.0 - kept / asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_over_asked() {
        let load = Load {
            kept: vec![3.0, 3.0],
            asked: vec![5.0, 3.0],
            n_tokens: 8.0,
            statistic: Vec::new(),
        };
        assert_eq!(drop_rate(&load), 0.25); // 2 of 8
    }
}
