//! Numbers and seeds of cells.

/// The largest number whose square is still a number.
const LARGEST: f64 = 1e150;

/// Words for nothing.
const NOTHING: [&str; 8] = ["", "-", "na", "n/a", "null", "none", "nil", "missing"];

/// Reads a number; what is not finite is read as not-a-number.
///
/// # Errors
///
/// Returns the fault, and what to do.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let text = text.trim();
    if is_nothing(text) {
        return Err("there is no number".to_owned());
    }
    match text.parse::<f64>() {
        Ok(x) if !x.is_finite() => Ok(f64::NAN),
        Ok(x) if x.abs() > LARGEST => Err(format!("`{text}` is too large to be compared")),
        Ok(x) => Ok(x),
        Err(_) => Err(format!("`{}` is no number{}", shortened(text), hint(text))),
    }
}

/// Tells whether a cell has nothing in it.
pub(super) fn is_nothing(text: &str) -> bool {
    NOTHING.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// A seed as it is compared: a whole number without the decimals that some programs write.
pub(super) fn seed(text: &str) -> String {
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|c| c == b'0') => whole,
        _ => text,
    };
    whole
        .parse::<u64>()
        .map_or_else(|_| text.to_owned(), |seed| seed.to_string())
}

fn hint(text: &str) -> &'static str {
    if text.ends_with('%') {
        "; write it without the sign, in all rows"
    } else if text.contains(',') && text.replace(',', ".").parse::<f64>().is_ok() {
        "; write a decimal point, not a comma"
    } else if text.contains(',') && text.replace(',', "").parse::<f64>().is_ok() {
        "; write it without commas"
    } else {
        ""
    }
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let line = text.lines().next().unwrap_or("");
    if text.chars().count() <= MOST && line == text {
        return text.to_owned();
    }
    let beginning: String = line.chars().take(MOST).collect();
    format!("{beginning}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_or_what_to_write() {
        for (text, value) in [("1.5", 1.5), ("-2e-3", -0.002), (" 7 ", 7.0), ("+.5", 0.5)] {
            assert_eq!(number(text), Ok(value));
        }
        for text in ["nan", "NaN", "inf", "-Infinity", "1e999"] {
            assert!(number(text).is_ok_and(f64::is_nan), "{text}");
        }
        for (text, words) in [
            ("", "there is no number"),
            ("N/A", "there is no number"),
            ("2,31", "`2,31` is no number; write a decimal point"),
            ("1,234.5", "write it without commas"),
            ("71.3 %", "without the sign"),
            ("1e200", "too large"),
            ("two\nlines", "`two...` is no number"),
        ] {
            let error = number(text).expect_err("no number");
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn seeds_are_whole_numbers_or_words() {
        for (text, expected) in [
            ("3", "3"),
            ("3.0", "3"),
            ("03", "3"),
            ("3.5", "3.5"),
            ("s3", "s3"),
            ("-1", "-1"),
            ("3.", "3."),
        ] {
            assert_eq!(seed(text), expected);
        }
    }
}
