//! Eight steps of colour for a ratio to what would be expected: blue below, orange and red above.

use super::html::Html;

/// A step of the scale; its number is that of the colours `--h0` to `--h7` of the style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(usize);

/// Where the steps above the first end: reciprocal around 1.
const ENDS: [f64; 6] = [0.3, 0.6, 0.85, 1.18, 1.67, 3.33];
/// The names of the steps.
const NAMES: [&str; 8] = [
    "none",
    "below 0.3",
    "0.3 to 0.6",
    "0.6 to 0.85",
    "0.85 to 1.18",
    "1.18 to 1.67",
    "1.67 to 3.3",
    "above 3.3",
];

impl Level {
    /// The step of a ratio; below a thousandth it is none.
    pub fn of(ratio: f64) -> Self {
        if ratio < 1e-3 {
            return Self(0);
        }
        Self(1 + ENDS.iter().filter(|end| ratio >= **end).count())
    }

    /// Its number.
    pub fn index(self) -> usize {
        self.0
    }

    /// A number on the step's colour.
    pub fn cell(self, text: &str) -> Html {
        let attributes = format!("class=\"heat h{}\"", self.0);
        Html::element("span", &attributes, Html::text(text))
    }

    /// All steps with their names.
    pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
        NAMES
            .into_iter()
            .enumerate()
            .map(|(i, name)| (Self(i), name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_the_middle_and_zero_its_own() {
        let of = |ratio| Level::of(ratio).index();
        assert_eq!([of(0.0), of(0.1), of(0.5), of(0.7)], [0, 1, 2, 3]);
        assert_eq!([of(1.0), of(1.5), of(2.0), of(9.0)], [4, 5, 6, 7]);
        assert_eq!((of(0.3), of(3.33)), (2, 7));
        assert_eq!(Level::all().count(), 8);
    }
}
