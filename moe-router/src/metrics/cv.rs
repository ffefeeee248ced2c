//! The coefficient of variation of loads.

use crate::Load;

/// The coefficient of variation of the experts' loads: population standard deviation over mean. 0 at
/// perfect balance, `sqrt(E - 1)` if one expert is asked for everything (Shazeer et al. 2017, arXiv
/// 1701.06538, section 4). Dropped assignments count.
pub fn cv(load: &Load) -> f64 {
    let n_experts = load.asked.len().max(1) as f64;
    let mean = load.asked.iter().sum::<f64>() / n_experts;
    if mean == 0.0 {
        return 0.0;
    }
    let variance = load.asked.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n_experts;
    variance.sqrt() / mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    fn load(kept: &[f64]) -> Load {
        Load {
            kept: kept.to_vec(),
            asked: kept.to_vec(),
            n_tokens: kept.iter().sum(),
            statistic: Vec::new(),
        }
    }

    #[test]
    fn from_zero_to_the_root_of_e_minus_one() {
        assert_eq!(cv(&load(&[2.0; 4])), 0.0);
        // mean 2, deviations 6, -2, -2, -2: variance 48 / 4 = 12, sqrt(12) / 2 = sqrt(3)
        assert_abs_diff_eq!(
            cv(&load(&[8.0, 0.0, 0.0, 0.0])),
            3f64.sqrt(),
            epsilon = 1e-12
        );
        // mean 2, variance 1
        assert_abs_diff_eq!(cv(&load(&[3.0, 1.0])), 0.5, epsilon = 1e-12);
        assert_eq!(cv(&load(&[0.0, 0.0])), 0.0);
    }
}
