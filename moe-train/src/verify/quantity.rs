use serde::Serialize;

/// How far ours may be from the reference's.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// The largest difference of any element.
    Absolute(f64),
    /// The largest difference of any element over the largest size of any of the reference's.
    Relative(f64),
    /// The number of elements that differ is 0.
    Exact,
}

/// A quantity that both implementations computed.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct Quantity {
    /// Its name.
    pub name: String,
    /// The largest error, in the terms of the tolerance; none if the sizes differ or an element is not
    /// a number.
    pub error: Option<f64>,
    /// The tolerance.
    pub tolerance: Tolerance,
    /// Whether the error is within it.
    pub passed: bool,
}

impl Quantity {
    /// Compares numbers.
    pub(super) fn floats(name: &str, ours: &[f32], theirs: &[f32], tolerance: Tolerance) -> Self {
        let comparable = ours.len() == theirs.len();
        let pairs = || ours.iter().zip(theirs);
        let is_number = pairs().all(|(a, b)| a.is_finite() && b.is_finite());
        // both may be not a number, as in a table of all values of a type
        let alike = pairs().all(|(a, b)| (a.is_nan() && b.is_nan()) || (a - b).is_finite());
        let difference = pairs()
            .map(|(a, b)| f64::from(*a) - f64::from(*b))
            .filter(|d| !d.is_nan())
            .fold(0.0, |worst: f64, d| worst.max(d.abs()));
        let size = theirs
            .iter()
            .fold(0.0, |m: f64, x| m.max(f64::from(x.abs())));
        let error = match tolerance {
            Tolerance::Absolute(_) => difference,
            Tolerance::Relative(_) if difference == 0.0 => 0.0,
            Tolerance::Relative(_) => difference / size,
            Tolerance::Exact => pairs().filter(|(a, b)| differ(**a, **b)).count() as f64,
        };
        let usable = comparable && (is_number || alike);
        Self::new(name, usable.then_some(error), tolerance)
    }

    /// Compares whole numbers, which must be equal.
    pub(super) fn ids(name: &str, ours: &[i64], theirs: &[i64]) -> Self {
        let differing = ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
        let error = (ours.len() == theirs.len()).then_some(differing as f64);
        Self::new(name, error, Tolerance::Exact)
    }

    pub(super) fn new(name: &str, error: Option<f64>, tolerance: Tolerance) -> Self {
        let limit = match tolerance {
            Tolerance::Absolute(limit) | Tolerance::Relative(limit) => limit,
            Tolerance::Exact => 0.0,
        };
        Self {
            name: name.to_owned(),
            passed: error.is_some_and(|error| error <= limit),
            error,
            tolerance,
        }
    }
}

/// Whether two numbers differ in a bit; what is not a number has many forms.
fn differ(a: f32, b: f32) -> bool {
    a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_error_decides() {
        let compare = |tolerance| Quantity::floats("x", &[1.0, -4.5], &[1.25, -4.0], tolerance);
        assert_eq!(compare(Tolerance::Absolute(0.5)).error, Some(0.5));
        assert!(compare(Tolerance::Absolute(0.5)).passed);
        assert!(!compare(Tolerance::Absolute(0.4)).passed);
        assert_eq!(compare(Tolerance::Relative(1.0)).error, Some(0.125)); // 0.5 / 4
        assert_eq!(compare(Tolerance::Exact).error, Some(2.0));
    }

    #[test]
    fn what_is_no_number_or_of_another_size_fails() {
        let limit = Tolerance::Absolute(f64::INFINITY);
        assert!(!Quantity::floats("x", &[f32::NAN], &[1.0], limit).passed);
        assert!(!Quantity::floats("x", &[1.0], &[1.0, 1.0], limit).passed);
        assert!(!Quantity::ids("x", &[1], &[1, 2]).passed);
        assert!(!Quantity::ids("x", &[1, 3], &[1, 2]).passed);
        assert!(Quantity::ids("x", &[1, 2], &[1, 2]).passed);
    }
}
