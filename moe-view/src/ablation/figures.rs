//! Numbers of text tables.

/// Writes a number with `digits` significant digits: `1.235`, `12350`, `0.0123`, `1.2e-7`.
///
/// Numbers below 1e-4 in size are written with an exponent; what is not finite is `nan`.
pub(super) fn significant(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return "nan".into();
    }
    if x == 0.0 {
        return "0".into();
    }
    // Rounding first: 9.9996 with four digits is 10.00, which has another exponent.
    let rounded = format!("{:.*e}", digits.saturating_sub(1), x);
    let (_, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let decimals = decimals(exponent, digits);

    if exponent < -4 {
        rounded
    } else if decimals >= 0 {
        format!("{x:.*}", decimals as usize)
    } else {
        let unit = 10f64.powi(-decimals);
        format!("{:.0}", (x / unit).round() * unit)
    }
}

fn decimals(exponent: i32, digits: usize) -> i32 {
    digits as i32 - 1 - exponent
}

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
    fn four_significant_digits() {
        let rows = [
            (0.0, "0"),
            (1.23456, "1.235"),
            (-0.0123456, "-0.01235"),
            (9.99996, "10.00"),
            (12345.6, "12350"),
            (1234.4, "1234"),
            (0.000123456, "0.0001235"),
            (0.0000123456, "1.235e-5"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "nan"),
        ];
        for (x, text) in rows {
            assert_eq!(significant(x, 4), text);
        }
    }

    #[test]
    fn spread_has_the_decimals_of_the_mean() {
        assert_eq!(plus_minus(2.1, Some(0.0123)), "2.100 ± 0.012");
        assert_eq!(plus_minus(12345.0, Some(67.0)), "12350 ± 67");
        assert_eq!(plus_minus(2.1, None), "2.100");
        assert_eq!(plus_minus(0.0, Some(0.0)), "0 ± 0");
        assert_eq!(plus_minus(0.0, Some(0.25)), "0 ± 0.25");
        assert_eq!(plus_minus(f64::NAN, Some(f64::NAN)), "nan ± nan");
    }
}
