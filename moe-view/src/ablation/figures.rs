//! Numbers of text tables.

use crate::significant;

/// Writes `mean ± std` with the decimals that give the mean four significant digits.
pub(super) fn plus_minus(mean: f64, std: Option<f64>) -> String {
    let mean_text = significant(mean, 4);
    match std {
        None => mean_text,
        // A mean of zero has no decimals to borrow.
        Some(std) if mean == 0.0 => format!("{mean_text} ± {}", significant(std, 2)),
        Some(std) if mean_text.contains('e') || !mean.is_finite() => {
            format!("{mean_text} ± {}", significant(std, 2))
        }
        Some(std) => {
            let decimals = mean_text.split_once('.').map_or(0, |(_, tail)| tail.len());
            format!("{mean_text} ± {std:.decimals$}")
        }
    }
}

/// Writes a difference with its sign and three significant digits.
pub fn signed(x: f64) -> String {
    // what equal means of rounded numbers leave
    let x = if x.abs() < 1e-12 { 0.0 } else { x };
    let sign = if x > 0.0 { "+" } else { "" };
    format!("{sign}{}", significant(x, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_has_the_decimals_of_the_mean() {
        assert_eq!(plus_minus(2.1, Some(0.0123)), "2.100 ± 0.012");
        assert_eq!(plus_minus(12345.0, Some(67.0)), "12350 ± 67");
        assert_eq!(plus_minus(2.1, None), "2.100");
        assert_eq!(plus_minus(0.0, Some(0.0)), "0 ± 0");
        assert_eq!(plus_minus(0.0, Some(0.25)), "0 ± 0.25");
        assert_eq!(plus_minus(f64::NAN, Some(f64::NAN)), "nan ± nan");
    }

    #[test]
    fn what_rounding_leaves_is_zero() {
        assert_eq!(signed(-2.22e-15), signed(0.0));
        assert_eq!(signed(0.5), "+0.500");
        assert_eq!(signed(-0.5), "-0.500");
    }
}
