//! Mean, sample standard deviation and median of a few numbers.

/// The arithmetic mean, `sum(x) / n`.
///
/// # Panics
///
/// Panics without values.
pub fn mean(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "the mean needs at least one value");

    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation, `sqrt(sum((x - mean)^2) / (n - 1))`.
///
/// Returns `None` for fewer than two values, which have no spread to estimate.
pub fn sample_std(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let center = mean(values);
    let squares: f64 = values.iter().map(|x| (x - center).powi(2)).sum();

    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The median: the middle value, or the mean of the two middle values.
///
/// # Panics
///
/// Panics without values.
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "the median needs at least one value");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;

    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mean_of_three() {
        // (1 + 2 + 6) / 3 = 3
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
    }

    #[test]
    fn std_divides_by_n_minus_one() {
        // mean 3; squares 4 + 1 + 9 = 14; sqrt(14 / 2) = sqrt(7)
        assert_eq!(sample_std(&[1.0, 2.0, 6.0]), Some(7f64.sqrt()));
        assert_eq!(sample_std(&[1.0]), None);
    }

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&[6.0, 1.0, 2.0]), 2.0);
        // (2 + 6) / 2 = 4
        assert_eq!(median(&[6.0, 1.0, 2.0, 100.0]), 4.0);
    }

    #[test]
    #[should_panic(expected = "the mean needs at least one value")]
    fn mean_of_nothing() {
        mean(&[]);
    }

    #[test]
    #[should_panic(expected = "the median needs at least one value")]
    fn median_of_nothing() {
        median(&[]);
    }

    proptest! {
        #[test]
        fn a_shift_moves_the_centre_and_not_the_spread(
            values in prop::collection::vec(-10.0..10.0f64, 2..20),
            shift in -10.0..10.0f64,
        ) {
            let moved: Vec<f64> = values.iter().map(|x| x + shift).collect();

            prop_assert!((mean(&moved) - mean(&values) - shift).abs() < 1e-9);
            prop_assert!((median(&moved) - median(&values) - shift).abs() < 1e-9);
            let (a, b) = (sample_std(&values), sample_std(&moved));
            prop_assert!((a.unwrap_or(f64::NAN) - b.unwrap_or(f64::NAN)).abs() < 1e-9);
        }
    }
}
