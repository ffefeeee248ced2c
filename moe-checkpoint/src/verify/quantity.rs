//! Quantities that both implementations computed, and how far ours may be off.

use crate::{HostTensor, HostValues};
use serde::Serialize;

/// Two steps of bf16 at the largest of some numbers, as a part of it.
const TWO_STEPS: f64 = 1.0 / 64.0;

/// The largest share of numbers that may follow a number rounded the other way.
pub(super) const MOST_OFF: f64 = 1.0 / 20.0;

/// The room between ours and the reference's.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// The largest difference of any element, over the largest size of any of the reference's where that
    /// is above 1: absolute for small numbers, relative for large ones, whose sums round as they do.
    Scaled(f64),
    /// The largest difference of any element over the largest size of any of the reference's.
    Relative(f64),
    /// `Scaled` for 19 of 20 elements, while the others may be off by a 64th of the reference's largest:
    /// for what follows numbers that were rounded to bf16, of which one in the middle of two may
    /// become either.
    Rounded(f64),
    /// The number of elements that differ is 0.
    Exact,
}

impl Tolerance {
    /// The same, `factor` times as wide.
    pub(super) fn times(self, factor: f64) -> Self {
        match self {
            Self::Scaled(limit) => Self::Scaled(limit * factor),
            Self::Relative(limit) => Self::Relative(limit * factor),
            Self::Rounded(limit) => Self::Rounded(limit * factor),
            Self::Exact => Self::Exact,
        }
    }
}

/// A quantity that both implementations computed.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct Quantity {
    /// Its name.
    pub name: String,
    /// The largest error, in the terms of the tolerance; none if the two cannot be compared.
    pub error: Option<f64>,
    /// The reason why the two cannot be compared, if they cannot.
    pub problem: Option<String>,
    /// Of [`Tolerance::Rounded`], the share of elements beyond its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_off: Option<f64>,
    /// The tolerance.
    pub tolerance: Tolerance,
    /// True if the error is within it.
    pub passed: bool,
}

impl Quantity {
    /// Compares two tensors: their types, their shapes, then their values. Whole numbers must be equal.
    pub(super) fn new(
        name: &str,
        ours: &HostTensor,
        theirs: &HostTensor,
        tolerance: Tolerance,
    ) -> Self {
        let tolerance = match ours.values {
            HostValues::Floats(_) => tolerance,
            HostValues::Ints(_) => Tolerance::Exact,
        };
        let error = if ours.shape != theirs.shape {
            Err(format!("{:?}, not {:?}", theirs.shape, ours.shape))
        } else if ours.shape.contains(&0) {
            Err("there is nothing to compare".to_owned())
        } else {
            error_of(&ours.values, &theirs.values, tolerance)
        };
        Self {
            share_off: share_off(&ours.values, &theirs.values, tolerance),
            ..Self::of_error(name, error, tolerance)
        }
    }

    /// A quantity of which the error is known, or why there is none.
    pub(super) fn of_error(name: &str, error: Result<f64, String>, tolerance: Tolerance) -> Self {
        let limit = match tolerance {
            Tolerance::Scaled(limit) | Tolerance::Relative(limit) => limit,
            Tolerance::Rounded(_) => TWO_STEPS,
            Tolerance::Exact => 0.0,
        };
        Self {
            name: name.to_owned(),
            passed: error.as_ref().is_ok_and(|error| *error <= limit),
            error: error.as_ref().ok().copied(),
            problem: error.err(),
            share_off: None,
            tolerance,
        }
    }
}

fn error_of(ours: &HostValues, theirs: &HostValues, tolerance: Tolerance) -> Result<f64, String> {
    match (ours, theirs, tolerance) {
        (HostValues::Ints(ours), HostValues::Ints(theirs), _) => {
            Ok(count(ours, theirs, |a, b| a != b))
        }
        (HostValues::Floats(ours), HostValues::Floats(theirs), Tolerance::Exact) => {
            Ok(count(ours, theirs, |a, b| differ(*a, *b)))
        }
        (HostValues::Floats(ours), HostValues::Floats(theirs), Tolerance::Scaled(_)) => {
            Ok(largest_difference(ours, theirs)? / largest_size(theirs).max(1.0))
        }
        (HostValues::Floats(ours), HostValues::Floats(theirs), Tolerance::Relative(_)) => {
            relative_difference(ours, theirs)
        }
        (HostValues::Floats(ours), HostValues::Floats(theirs), Tolerance::Rounded(limit)) => {
            let (n_off, n) = (n_off(ours, theirs, limit), ours.len());
            if n_off > MOST_OFF * n as f64 {
                let most = limit * largest_size(theirs).max(1.0);
                return Err(format!(
                    "{n_off} of {n} numbers are off by more than {most:.0e}"
                ));
            }
            relative_difference(ours, theirs)
        }
        (HostValues::Floats(_), HostValues::Ints(_), _) => {
            Err("whole numbers in place of numbers".to_owned())
        }
        (HostValues::Ints(_), HostValues::Floats(_), _) => {
            Err("numbers in place of whole numbers".to_owned())
        }
    }
}

/// The share of elements beyond the limit of a tolerance for rounded numbers.
fn share_off(ours: &HostValues, theirs: &HostValues, tolerance: Tolerance) -> Option<f64> {
    match (ours, theirs, tolerance) {
        (HostValues::Floats(ours), HostValues::Floats(theirs), Tolerance::Rounded(limit)) => {
            Some(n_off(ours, theirs, limit) / ours.len() as f64)
        }
        _ => None,
    }
}

/// The number of elements that are off by more than `limit`, absolute for small numbers and relative for large.
fn n_off(ours: &[f32], theirs: &[f32], limit: f64) -> f64 {
    let most = limit * largest_size(theirs).max(1.0);
    count(ours, theirs, |a, b| {
        (f64::from(*a) - f64::from(*b)).abs() > most
    })
}

/// The largest difference over the largest size of any of theirs.
fn relative_difference(ours: &[f32], theirs: &[f32]) -> Result<f64, String> {
    let difference = largest_difference(ours, theirs)?;
    if difference == 0.0 {
        return Ok(0.0);
    }
    Ok(difference / largest_size(theirs))
}

/// The largest size of any number that is finite.
fn largest_size(numbers: &[f32]) -> f64 {
    let sizes = numbers.iter().map(|x| f64::from(x.abs()));
    sizes.filter(|x| x.is_finite()).fold(0.0, f64::max)
}

fn count<T>(ours: &[T], theirs: &[T], differ: impl Fn(&T, &T) -> bool) -> f64 {
    let pairs = ours.iter().zip(theirs);
    pairs.filter(|(a, b)| differ(a, b)).count() as f64
}

/// The largest difference of numbers that are finite or equal; none may be not a number.
fn largest_difference(ours: &[f32], theirs: &[f32]) -> Result<f64, String> {
    let mut largest = 0.0;
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        if a == b {
            continue; // infinities too
        }
        if !(a.is_finite() && b.is_finite()) {
            return Err(format!("element {i} is {b}, ours {a}"));
        }
        largest = f64::max(largest, (f64::from(*a) - f64::from(*b)).abs());
    }
    Ok(largest)
}

/// Tells whether two stored numbers differ in a bit; what is not a number has many forms.
fn differ(a: f32, b: f32) -> bool {
    a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Tolerance = Tolerance::Scaled(f64::INFINITY);

    fn numbers(shape: &[usize], values: &[f32]) -> HostTensor {
        HostTensor {
            shape: shape.to_vec(),
            values: HostValues::Floats(values.to_vec()),
        }
    }

    fn whole(values: &[i64]) -> HostTensor {
        HostTensor {
            shape: vec![values.len()],
            values: HostValues::Ints(values.to_vec()),
        }
    }

    fn compare(ours: &[f32], theirs: &[f32], tolerance: Tolerance) -> Quantity {
        let (ours, theirs) = (
            numbers(&[ours.len()], ours),
            numbers(&[theirs.len()], theirs),
        );
        Quantity::new("x", &ours, &theirs, tolerance)
    }

    #[test]
    fn the_largest_error_decides() {
        let compare = |tolerance| compare(&[1.0, -4.5], &[1.25, -4.0], tolerance);
        assert_eq!(compare(Tolerance::Scaled(1.0)).error, Some(0.125)); // 0.5 / 4
        assert!(compare(Tolerance::Scaled(0.125)).passed);
        assert!(!compare(Tolerance::Scaled(0.12)).passed);
        assert_eq!(compare(Tolerance::Relative(1.0)).error, Some(0.125)); // 0.5 / 4
        assert_eq!(compare(Tolerance::Exact).error, Some(2.0));
    }

    #[test]
    fn small_numbers_are_held_to_an_absolute_error_and_large_ones_to_a_relative() {
        let error = |ours, theirs| compare(&[ours], &[theirs], Tolerance::Scaled(1.0)).error;
        assert_eq!(error(0.25, 0.0), Some(0.25));
        assert_eq!(error(0.25, 0.5), Some(0.25));
        assert_eq!(error(0.75, 1.0), Some(0.25));
        assert_eq!(error(28.0, 32.0), Some(0.125));
        // as another order of sums rounds numbers of that size
        assert!(compare(&[28.0007], &[28.0], Tolerance::Scaled(5e-5)).passed);
        assert!(!compare(&[0.0007], &[0.0], Tolerance::Scaled(5e-5)).passed);
    }

    #[test]
    fn what_is_no_number_fails_unless_bits_are_compared() {
        let nan = [f32::NAN, 1.0];
        for tolerance in [ANY, Tolerance::Relative(f64::INFINITY)] {
            assert!(!compare(&nan, &nan, tolerance).passed);
            assert!(!compare(&nan, &[1.0, 1.0], tolerance).passed);
            assert!(!compare(&[1.0, 1.0], &nan, tolerance).passed);
        }
        assert!(compare(&nan, &nan, Tolerance::Exact).passed);
        assert!(!compare(&[1.0, 1.0], &nan, Tolerance::Exact).passed);
    }

    #[test]
    fn infinities_are_equal_or_fail_and_hide_nothing() {
        let infinity = f32::INFINITY;
        assert!(compare(&[infinity], &[infinity], Tolerance::Scaled(0.0)).passed);
        assert!(!compare(&[infinity], &[-infinity], ANY).passed);
        assert!(!compare(&[1.0], &[infinity], ANY).passed);
        let relative = Tolerance::Relative(1e-3);
        assert!(!compare(&[infinity, 5.0], &[infinity, 1.0], relative).passed);
    }

    #[test]
    fn one_number_of_twenty_may_be_rounded_the_other_way() {
        let theirs = [1.0; 200];
        let with = |n: usize, off: f32| {
            let mut ours = theirs;
            ours[..n].iter_mut().for_each(|x| *x += off);
            compare(&ours, &theirs, Tolerance::Rounded(1e-4))
        };
        assert!(with(200, 0.5e-4).passed);
        assert!(with(10, 0.008).passed);
        assert_eq!(with(10, 0.008).share_off, Some(0.05));
        assert!(!with(2, 0.017).passed); // more than 1 / 64
        let failed = with(11, 0.008);
        assert!(!failed.passed);
        let problem = failed.problem.expect("too many");
        assert_eq!(problem, "11 of 200 numbers are off by more than 1e-4");
    }

    #[test]
    fn another_shape_or_type_or_nothing_at_all_fails() {
        let values = [1.0, 2.0];
        let (row, column) = (numbers(&[1, 2], &values), numbers(&[2, 1], &values));
        assert!(Quantity::new("x", &row, &row, ANY).passed);
        let quantity = Quantity::new("x", &row, &column, ANY);
        assert!(!quantity.passed);
        assert_eq!(quantity.problem.as_deref(), Some("[2, 1], not [1, 2]"));
        assert!(!compare(&[1.0], &[1.0, 1.0], ANY).passed);
        assert!(!compare(&[], &[], ANY).passed);
        assert!(!Quantity::new("x", &numbers(&[1], &[1.0]), &whole(&[1]), ANY).passed);
        assert!(!Quantity::new("x", &whole(&[1]), &numbers(&[1], &[1.0]), ANY).passed);
        assert!(!Quantity::new("x", &whole(&[1, 3]), &whole(&[1, 2]), ANY).passed);
        assert!(Quantity::new("x", &whole(&[1, 2]), &whole(&[1, 2]), ANY).passed);
    }
}
