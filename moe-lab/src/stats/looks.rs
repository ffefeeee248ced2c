//! Two looks at one study (group sequential tests).
//!
//! Pocock, "Group sequential methods in the design and analysis of clinical trials" (1977). A study that is looked at
//! after a `share` of its seeds, and ends there if it is decided, has two chances to be wrong. Both looks are made at
//! one lower level, so that a one-sided rule without any effect is passed at `alpha` by one of them or the other:
//!
//! ```text
//! P(Z_1 > c or Z_2 > c) = alpha     level = 1 - Phi(c)     cor(Z_1, Z_2) = sqrt(share)
//! ```
//!
//! The level is that of normal means, and is kept for Student's t (Jennison and Turnbull, "Group sequential methods"
//! 2000, section 4.4); a test simulates that it holds at the seeds of claims.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// The one-sided level of each of two looks, of which the first is made after `share` of the seeds.
///
/// # Panics
///
/// Panics with `alpha` outside (0, 0.5) or `share` outside (0, 1).
pub fn level_of_looks(alpha: f64, share: f64) -> f64 {
    assert!(
        alpha > 0.0 && alpha < 0.5,
        "a one-sided level lies in (0, 0.5), got {alpha}"
    );
    assert!(
        share > 0.0 && share < 1.0,
        "the first look lies within the study, got a share of {share}"
    );
    // one look is too strict at alpha / 2 and too lax at alpha
    let (mut low, mut high) = (alpha / 2.0, alpha);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if either(middle, share) < alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The share of studies without any effect that pass at one of two looks of this level.
fn either(level: f64, share: f64) -> f64 {
    let normal = Normal::standard();
    let c = normal.inverse_cdf(1.0 - level);
    let rest = (1.0 - share).sqrt();
    // P(Z_1 <= c and Z_2 <= c), by Simpson's rule over Z_1
    const LOWEST: f64 = -8.0;
    const INTERVALS: usize = 400;
    let step = (c - LOWEST) / INTERVALS as f64;
    let neither: f64 = (0..=INTERVALS)
        .map(|i| {
            let z = LOWEST + i as f64 * step;
            let weight = match i {
                0 | INTERVALS => 1.0,
                i if i % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * normal.pdf(z) * normal.cdf((c - share.sqrt() * z) / rest)
        })
        .sum();
    1.0 - neither * step / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::p_above;
    use approx::assert_abs_diff_eq;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn levels_of_a_printed_table() {
        // Jennison and Turnbull 2000, table 2.1: two looks, C = 2.178 at two-sided 5 % and 1.875 at 10 %
        for (alpha, c) in [(0.025, 2.178), (0.05, 1.875)] {
            let level = 1.0 - Normal::standard().cdf(c);
            assert_abs_diff_eq!(level_of_looks(alpha, 0.5), level, epsilon = 1e-4);
        }
    }

    #[test]
    fn a_late_first_look_costs_less() {
        let levels = [0.5, 0.6, 0.8, 0.95].map(|share| level_of_looks(0.025, share));
        assert!(levels.is_sorted(), "{levels:?}");
        assert!(levels[3] > 0.02 && levels[3] < 0.025, "{levels:?}");
    }

    #[test]
    fn two_looks_are_wrong_as_often_as_one() {
        for (first, all) in [(5, 10), (6, 8)] {
            let level = level_of_looks(0.025, f64::from(first) / f64::from(all));
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
            let mut shares = [0.0; 2];
            for _ in 0..20_000 {
                let study: Vec<f64> = (0..all).map(|_| draw()).collect();
                let looks = [&study[..first as usize], &study[..]];
                for (share, alpha) in shares.iter_mut().zip([level, 0.025]) {
                    let passes = looks.iter().any(|look| p_above(look, 0.0) < alpha);
                    *share += f64::from(u8::from(passes)) / 20_000.0;
                }
            }
            // 20,000 studies: a standard error of 0.0011
            assert_abs_diff_eq!(shares[0], 0.025, epsilon = 0.0035);
            // and without the lower level they would be wrong more often
            assert!(shares[1] > 0.03, "{shares:?}");
        }
    }
}
