//! Experts a token by how frequent its kind is.

use crate::stats::spearman;

/// Kinds of token that come less often than this are left out.
pub const LEAST_OF_KIND: f64 = 20.0;

/// Spearman's correlation, over the kinds of token that come at least [`LEAST_OF_KIND`] times, of the frequency of a kind
/// with the mean number of experts that compute it. None if that number is the same for all kinds, as it is where each
/// token has `k` experts and none is dropped.
///
/// # Shapes
///
/// - base_v: `[V]`, how often each kind came
/// - computed_v: `[V]`, how often an expert computed it
pub(super) fn frequency_correlation(base_v: &[f64], computed_v: &[f64]) -> Option<f64> {
    let kinds = base_v.iter().zip(computed_v);
    let often = kinds.filter(|(base, _)| **base >= LEAST_OF_KIND);
    let (frequency, k): (Vec<f64>, Vec<f64>) = often
        .map(|(base, computed)| (*base, computed / base))
        .unzip();
    spearman(&frequency, &k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn rare_kinds_with_more_experts() {
        // frequencies 20, 40, 100 with 3, 2 and 1 experts a token; the kind that comes 19 times is left out
        let base = [20.0, 40.0, 100.0, 19.0];
        let found = frequency_correlation(&base, &[60.0, 80.0, 100.0, 0.0]);
        assert_abs_diff_eq!(found.expect("k differs"), -1.0, epsilon = 1e-12);
        // 3, 1, 2 experts: ranks 1, 2, 3 and 3, 1, 2: centred products -1 + 0 + 0 over 2
        let found = frequency_correlation(&base, &[60.0, 40.0, 200.0, 0.0]);
        assert_abs_diff_eq!(found.expect("k differs"), -0.5, epsilon = 1e-12);
    }

    #[test]
    fn a_fixed_number_has_none() {
        assert_eq!(frequency_correlation(&[20.0, 50.0], &[40.0, 100.0]), None);
        assert_eq!(frequency_correlation(&[5.0, 6.0], &[5.0, 12.0]), None);
    }
}
