//! Numbers as people read them: few digits, with their unit.

/// A number with `digits` significant digits, below 1e-4 with an exponent: `2.346`, `12350`, `1.2e-7`.
pub fn significant(x: f64, digits: usize) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !x.is_finite() {
        return x.to_string().to_lowercase();
    }
    // rounding first: 9.996 with three digits is 10.0, which has another exponent
    let rounded = format!("{:.*e}", digits - 1, x);
    let exponent = rounded.split_once('e').and_then(|(_, e)| e.parse().ok());
    let exponent: i32 = exponent.unwrap_or(0);
    let decimals = digits as i32 - 1 - exponent;
    if exponent < -4 {
        rounded
    } else if decimals >= 0 {
        format!("{x:.*}", decimals as usize)
    } else {
        let unit = 10f64.powi(-decimals);
        format!("{:.0}", (x / unit).round() * unit)
    }
}

/// A number of things: `1 seed`, `3 seeds`.
pub fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(n as u64))
}

/// A whole number in groups of three: `12,300`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with three significant digits and a decimal prefix: `13.1 M`.
pub fn si(x: f64) -> String {
    scaled(x, 1000.0, &["", "k", "M", "G", "T", "P"])
}

/// A number of bytes with a binary prefix: `50.1 MiB`.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

fn scaled(x: f64, base: f64, units: &[&str]) -> String {
    let (mut x, mut unit) = (x, 0);
    while x.abs() >= base * 0.9995 && unit + 1 < units.len() {
        (x, unit) = (x / base, unit + 1);
    }
    let number = if unit == 0 {
        format!("{x:.0}")
    } else {
        significant(x, 3)
    };
    format!("{number} {}", units[unit]).trim_end().to_owned()
}

/// A time: `4.2s`, `45s`, `1m20s`, `2h05m`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
    }
}

/// The time since something happened, in one unit: `45s`, `12m`, `5h`, `3d`.
pub fn elapsed(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
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
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (x, text) in rows {
            assert_eq!(significant(x, 4), text);
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(counted(1, "seed"), "1 seed");
        assert_eq!(counted(1200, "run"), "1,200 runs");
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(123), "123");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn units_change_before_four_digits() {
        let cases = [
            (0.0, "0"),
            (999.0, "999"),
            (999.9, "1.00 k"),
            (13_120_000.0, "13.1 M"),
            (999_900.0, "1.00 M"),
        ];
        for (x, text) in cases {
            assert_eq!(si(x), text);
        }
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(52_534_000), "50.1 MiB");
    }

    #[test]
    fn durations() {
        let cases = [
            (4.21, "4.2s"),
            (45.4, "45s"),
            (80.0, "1m20s"),
            (7500.0, "2h05m"),
            (f64::INFINITY, "?"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        for (seconds, text) in [(59, "59s"), (60, "1m"), (86_399, "23h"), (200_000, "2d")] {
            assert_eq!(elapsed(seconds), text);
        }
    }
}
