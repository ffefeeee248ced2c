//! The one way from a model's scores to a choice: [`Scores`] are finite, so no choice is made by others.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use thiserror::Error;

/// Numbers of a model by which nothing can be chosen or judged.
#[derive(Serialize, Deserialize, Error, Debug, Clone, PartialEq)]
#[error(
    "{place}: {n_bad} of {n} {of} are no finite numbers, the first is {first}. Either the weights hold NaN or infinity (training diverged, or a file is damaged), or a sum was too large for its type"
)]
pub struct NotFinite {
    /// Place in the text or the data.
    pub place: String,
    /// The kind of numbers.
    pub of: Cow<'static, str>,
    /// The number of them that are not finite.
    pub n_bad: usize,
    /// The number of them.
    pub n: usize,
    /// The first that is not finite.
    pub first: f32,
}

impl NotFinite {
    /// Checks losses, all of which must be finite; `place` says which they are.
    ///
    /// # Errors
    ///
    /// Returns the place, and how many are not finite.
    pub fn check_losses(losses: &[f32], place: impl FnOnce() -> String) -> Result<(), Self> {
        match first_bad(losses, |x| !x.is_finite()) {
            Some(found) => Err(found.of("losses", place())),
            None => Ok(()),
        }
    }
}

/// The scores of a choice: at least one is finite, and none is NaN or positive infinity. Those that are
/// negative infinity are never chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores(Vec<f32>);

impl Scores {
    /// Takes scores; `place` says where in the text they are.
    ///
    /// # Errors
    ///
    /// Returns the place, and how many are not finite, if nothing can be chosen by them.
    pub fn new(scores: Vec<f32>, place: impl FnOnce() -> String) -> Result<Self, NotFinite> {
        let bad = first_bad(&scores, |x| x.is_nan() || x == f32::INFINITY);
        let bad = match bad {
            None if !scores.iter().any(|x| x.is_finite()) => first_bad(&scores, |x| !x.is_finite()),
            bad => bad,
        };
        match bad {
            Some(found) => Err(found.of("scores", place())),
            None => Ok(Self(scores)),
        }
    }

    /// The scores.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The number of scores.
    #[allow(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes tokens impossible.
    ///
    /// # Errors
    ///
    /// Returns `place` if no token is left that has a finite score.
    pub fn without(
        mut self,
        tokens: &[u32],
        place: impl FnOnce() -> String,
    ) -> Result<Self, NotFinite> {
        for &token in tokens {
            self.0[token as usize] = f32::NEG_INFINITY;
        }
        Self::new(self.0, place)
    }

    /// Changes a score; what overflows stays finite.
    pub(super) fn change(&mut self, token: usize, change: impl FnOnce(f64) -> f64) {
        let score = &mut self.0[token];
        if score.is_finite() {
            let changed = change(f64::from(*score));
            *score = changed.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        }
    }

    /// The token of largest score; of equal ones the lowest.
    pub fn most_likely(&self) -> u32 {
        let better = |best: usize, id: usize| if self.0[id] > self.0[best] { id } else { best };
        (0..self.0.len()).fold(0, better) as u32
    }
}

/// The place of a text's next token, after `n` new ones.
pub(crate) fn next_token(n: usize) -> String {
    format!("token {} after the prompt", n + 1)
}

struct Bad {
    n_bad: usize,
    n: usize,
    first: f32,
}

impl Bad {
    fn of(self, of: &'static str, place: String) -> NotFinite {
        let Self { n_bad, n, first } = self;
        NotFinite {
            place,
            of: of.into(),
            n_bad,
            n,
            first,
        }
    }
}

fn first_bad(numbers: &[f32], is_bad: impl Fn(f32) -> bool) -> Option<Bad> {
    let mut bad = numbers.iter().copied().filter(|x| is_bad(*x));
    let first = bad.next()?;
    Some(Bad {
        first,
        n_bad: 1 + bad.count(),
        n: numbers.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: f32 = f32::NEG_INFINITY;

    fn place() -> String {
        next_token(2)
    }

    #[test]
    fn nothing_is_chosen_by_numbers_that_are_not_finite() {
        for scores in [
            vec![1.0, f32::NAN],
            vec![f32::NAN, 1.0],
            vec![1.0, f32::INFINITY],
            vec![NO, NO],
        ] {
            let n = scores.len();
            match Scores::new(scores, place) {
                Err(error) => assert_eq!(
                    (error.n, error.place.as_str()),
                    (n, "token 3 after the prompt")
                ),
                Ok(scores) => panic!("{scores:?}"),
            }
        }
        let scores = Scores::new(vec![NO, 1.0, 2.0, 2.0], place).expect("two of them are equal");
        assert_eq!(scores.most_likely(), 2);
        let scores = scores.without(&[2, 3], place).expect("one is left");
        assert_eq!(scores.most_likely(), 1);
        scores.without(&[1], place).expect_err("none is left");
    }

    #[test]
    fn the_error_says_where_and_how_many() {
        let error = NotFinite::check_losses(&[1.0, f32::INFINITY, NO], || "batch 4".to_owned());
        let text = error.expect_err("infinite").to_string();
        assert!(
            text.starts_with("batch 4: 2 of 3 losses are no finite numbers, the first is inf."),
            "{text}"
        );
        NotFinite::check_losses(&[0.0], String::new).expect("finite");
    }
}
