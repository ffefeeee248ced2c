//! Ranks with ties, and Spearman's correlation of them.
//!
//! Spearman, "The proof and measurement of association between two things" (1904):
//!
//! ```text
//! rho = Pearson's correlation of the ranks, equal values by the mean of their ranks
//! ```

use super::summary::mean;

/// Twice the ranks from 1 on, so that the mean of two ranks is a whole number.
pub(super) fn doubled_ranks(values: &[f64]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0; values.len()];
    let mut below = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &place in equal {
            ranks[place] = 2 * below + equal.len() as u64 + 1;
        }
        below += equal.len() as u64;
    }
    ranks
}

/// Spearman's rank correlation of two lists of the same things; none if either has the same value everywhere.
///
/// # Panics
///
/// Panics if the lists differ in length.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "a correlation needs pairs of values");
    let centered = |values: &[f64]| -> Vec<f64> {
        let ranks = doubled_ranks(values).into_iter().map(|rank| rank as f64);
        let ranks: Vec<f64> = ranks.collect();
        let center = if ranks.is_empty() { 0.0 } else { mean(&ranks) };
        ranks.iter().map(|rank| rank - center).collect()
    };
    let (x, y) = (centered(x), centered(y));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = (product(&x, &x) * product(&y, &y)).sqrt();
    (spread > 0.0).then(|| product(&x, &y) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        // ranks 2, 4.5, 1, 4.5, 3
        assert_eq!(doubled_ranks(&[2.0, 9.0, 1.0, 9.0, 5.0]), [4, 9, 2, 9, 6]);
        // zeros of both signs are equal
        assert_eq!(doubled_ranks(&[0.0, -0.0]), [3, 3]);
    }

    #[test]
    fn any_monotone_order_is_perfect() {
        let x = [1.0, 2.0, 10.0, 11.0];
        let near = |found: Option<f64>| found.expect("both differ");
        assert_abs_diff_eq!(
            near(spearman(&x, &[0.0, 1.0, 2.0, 90.0])),
            1.0,
            epsilon = 1e-12
        );
        assert_abs_diff_eq!(
            near(spearman(&x, &[4.0, 3.0, 2.0, 1.0])),
            -1.0,
            epsilon = 1e-12
        );
    }

    #[test]
    fn ties_by_hand() {
        // ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: centred -1.5, 0, 0, 1.5 and -1.5, 0.5, -0.5, 1.5;
        // 4.5 / sqrt(4.5 * 5) = 0.9486833
        let found = spearman(&[1.0, 2.0, 2.0, 3.0], &[10.0, 30.0, 20.0, 40.0]);
        assert_abs_diff_eq!(found.expect("both differ"), 0.948_683_3, epsilon = 1e-7);
    }

    #[test]
    fn a_constant_has_no_correlation() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[2.0; 3]), None);
        assert_eq!(spearman(&[], &[]), None);
        assert_eq!(spearman(&[1.0], &[2.0]), None);
    }
}
