use crate::Load;

/// `max load / mean load - 1`: 0 at perfect balance, `E - 1` if one expert takes everything (Wang et
/// al. 2024, arXiv 2408.15664, equation 4).
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
}
