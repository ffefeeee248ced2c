//! The maximal violation of balance, MaxVio.

use crate::Load;

/// `max load / mean load - 1`: 0 at perfect balance, `E - 1` if one expert is asked for
/// everything (Wang et al. 2024, arXiv 2408.15664, equation 4). Dropped assignments count.
pub fn max_vio(load: &Load) -> f64 {
    let share = load.share();
    let max = share.iter().copied().fold(0.0, f64::max);
    let total: f64 = share.iter().sum();
    if total == 0.0 {
        return 0.0;
    }
    max * share.len() as f64 - 1.0
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
    fn from_zero_to_e_minus_one() {
        assert_abs_diff_eq!(max_vio(&load(&[2.0; 4])), 0.0, epsilon = 1e-12);
        assert_abs_diff_eq!(max_vio(&load(&[8.0, 0.0, 0.0, 0.0])), 3.0, epsilon = 1e-12);
        // max 3 of mean 2
        assert_abs_diff_eq!(max_vio(&load(&[3.0, 1.0])), 0.5, epsilon = 1e-12);
        assert_eq!(max_vio(&load(&[0.0, 0.0])), 0.0);
    }

    #[test]
    fn full_experts_do_not_hide_a_collapse() {
        // all four keep their capacity of 2, and expert 0 was asked for 10 of 16: 10 / 4 - 1
        let load = Load {
            kept: vec![2.0; 4],
            asked: vec![10.0, 2.0, 2.0, 2.0],
            n_tokens: 16.0,
            statistic: Vec::new(),
        };
        assert_abs_diff_eq!(max_vio(&load), 1.5, epsilon = 1e-12);
        // mean 4, deviations 6, -2, -2, -2: variance 12, sqrt(12) / 4
        let cv = crate::metrics::cv(&load);
        assert_abs_diff_eq!(cv, 12f64.sqrt() / 4.0, epsilon = 1e-12);
        // shares 5/8 and three times 1/8: (0.625 ln 1.6 + 0.375 ln 8) / ln 4
        let entropy = crate::metrics::load_entropy(&load);
        assert_abs_diff_eq!(entropy, 0.774_397_4, epsilon = 1e-6);
    }
}
