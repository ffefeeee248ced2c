//! The whole number of a key with which a count comes nearest to another, such as the width of an expert with which two
//! models have equally many active parameters.
//!
//! Counts grow or shrink with the key, so the search halves. Some numbers are no valid value, such as widths that the
//! heads do not divide: the next that is valid stands for them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The most values in a row that are tried for a valid one.
const MOST_INVALID: u64 = 1024;

/// The most values that are all tried, where the count both grows and shrinks.
const MOST_TRIED: u64 = 4096;

/// A value of the key with its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The value.
    pub value: u64,
    /// The count with it.
    pub count: u64,
}

/// The answer of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The value whose count is nearest; of two the smaller count.
    pub nearest: Counted,
    /// The valid values on either side of it.
    pub neighbours: Vec<Counted>,
}

/// Reasons why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// No valid value.
    #[error("no value from {low} to {high} that was tried is valid")]
    NothingValid {
        /// The smallest value that was tried.
        low: u64,
        /// The largest value that was tried.
        high: u64,
    },
    /// The key does not matter.
    #[error("the count is {count} whatever the value")]
    Constant {
        /// The count.
        count: u64,
    },
    /// The count both grows and shrinks.
    #[error("the count both grows and shrinks; give a range of at most {MOST_TRIED} values")]
    NotMonotone,
}

/// Finds the value in a range whose count is nearest to a target; `count` returns nothing for a value that is not valid.
///
/// # Errors
///
/// [`MatchError`] if no value is valid, if the count is the same for all values, or if it both grows and shrinks over a
/// range that is too large to try all of it.
pub fn nearest(
    range: RangeInclusive<u64>,
    target: u64,
    count: impl FnMut(u64) -> Option<u64>,
) -> Result<Nearest, MatchError> {
    let mut search = Search {
        count,
        seen: BTreeMap::new(),
        range,
    };
    let first = search.first()?;
    let bracket = search.bracket(first, target);
    search.halve(bracket, target);
    let found = search.answer(target);
    if search.is_monotone() {
        return search.varied(found);
    }
    if search.range.end() - search.range.start() >= MOST_TRIED {
        return Err(MatchError::NotMonotone);
    }
    for value in search.range.clone() {
        search.at(value);
    }
    let found = search.answer(target);
    search.varied(found)
}

struct Search<F> {
    count: F,
    seen: BTreeMap<u64, Option<u64>>,
    range: RangeInclusive<u64>,
}

/// A valid value before the target is passed, and a larger number from which on it is passed or nothing is valid.
struct Bracket {
    before: u64,
    passed: u64,
}

impl<F: FnMut(u64) -> Option<u64>> Search<F> {
    fn at(&mut self, value: u64) -> Option<Counted> {
        let count = &mut self.count;
        let count = *self.seen.entry(value).or_insert_with(|| count(value));
        count.map(|count| Counted { value, count })
    }

    /// The first valid value from `value` on.
    fn up(&mut self, value: u64) -> Option<Counted> {
        let end = (*self.range.end()).min(value.saturating_add(MOST_INVALID));
        (value..=end).find_map(|value| self.at(value))
    }

    /// The last valid value up to `value`.
    fn down(&mut self, value: u64) -> Option<Counted> {
        let end = (*self.range.start()).max(value.saturating_sub(MOST_INVALID));
        (end..=value).rev().find_map(|value| self.at(value))
    }

    fn first(&mut self) -> Result<Counted, MatchError> {
        let low = *self.range.start();
        let high = (*self.range.end()).min(low.saturating_add(MOST_INVALID));
        self.up(low).ok_or(MatchError::NothingValid { low, high })
    }

    /// Tells whether the counts have changed so far and come to the target or beyond it.
    fn has_passed(&self, first: Counted, now: Counted, target: u64) -> bool {
        if now.count >= first.count {
            now.count > first.count && now.count >= target
        } else {
            now.count <= target
        }
    }

    /// Steps away from the first value, each step twice the last.
    fn bracket(&mut self, first: Counted, target: u64) -> Option<Bracket> {
        let (mut before, mut step) = (first.value, 1);
        let end = *self.range.end();
        while before < end {
            let value = first.value.saturating_add(step).min(end);
            let passed = match self.up(value) {
                None => true,
                Some(now) => self.has_passed(first, now, target),
            };
            if passed {
                return Some(Bracket {
                    before,
                    passed: value,
                });
            }
            before = self.up(value).map_or(value, |now| now.value);
            step = (before - first.value).saturating_mul(2);
        }
        None
    }

    /// Narrows a bracket until nothing lies between its ends.
    fn halve(&mut self, bracket: Option<Bracket>, target: u64) {
        let (Some(mut bracket), Ok(first)) = (bracket, self.first()) else {
            return;
        };
        while bracket.passed - bracket.before > 1 {
            let middle = bracket.before + (bracket.passed - bracket.before) / 2;
            match self.up(middle) {
                Some(now) if now.value < bracket.passed && !self.has_passed(first, now, target) => {
                    bracket.before = now.value;
                }
                _ => bracket.passed = middle,
            }
        }
    }

    /// The nearest of all values that were tried, with its neighbours.
    fn answer(&mut self, target: u64) -> Nearest {
        let distance = |counted: &Counted| (counted.count.abs_diff(target), counted.count);
        let nearest = self.valid().min_by_key(distance);
        let nearest = nearest.expect("the first value is valid");
        let below = nearest
            .value
            .checked_sub(1)
            .and_then(|value| self.down(value));
        let above = self.up(nearest.value + 1);
        Nearest {
            nearest,
            neighbours: below.into_iter().chain(above).collect(),
        }
    }

    /// The valid values that were tried, in order.
    fn valid(&self) -> impl Iterator<Item = Counted> {
        let counted = |(&value, &count): (&u64, &Option<u64>)| {
            Some(Counted {
                value,
                count: count?,
            })
        };
        self.seen.iter().filter_map(counted)
    }

    fn is_monotone(&self) -> bool {
        let counts: Vec<u64> = self.valid().map(|counted| counted.count).collect();
        counts.is_sorted() || counts.iter().rev().is_sorted()
    }

    /// Refuses an answer where all counts are the same.
    fn varied(&self, found: Nearest) -> Result<Nearest, MatchError> {
        let count = found.nearest.count;
        let mut others = self
            .valid()
            .filter(|other| other.value != found.nearest.value)
            .peekable();
        if others.peek().is_some() && others.all(|other| other.count == count) {
            return Err(MatchError::Constant { count });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(value: u64, count: u64) -> Counted {
        Counted { value, count }
    }

    #[test]
    fn the_nearest_of_a_line_is_found_with_its_neighbours() {
        // 10 + 3 v is nearest to 101 at v = 30, with 100
        let found = nearest(1..=1 << 20, 101, |v| Some(10 + 3 * v)).unwrap();
        assert_eq!(found.nearest, at(30, 100));
        assert_eq!(found.neighbours, [at(29, 97), at(31, 103)]);
        // as far from 98 as from 100: the smaller
        let found = nearest(1..=1 << 20, 99, |v| Some(2 * v)).unwrap();
        assert_eq!(found.nearest, at(49, 98));
    }

    #[test]
    fn few_values_are_tried() {
        let mut tried = 0;
        let found = nearest(1..=1 << 20, 123_456, |v| {
            tried += 1;
            Some(v)
        });
        assert_eq!(found.unwrap().nearest.value, 123_456);
        assert!(tried < 60, "{tried}");
    }

    #[test]
    fn every_target_on_sparse_values_is_as_by_trying_all() {
        let sparse = |v: u64| (v.is_multiple_of(12) && v <= 600).then_some(v * v);
        for target in [0, 1, 144, 359, 361, 90_000, 359_999, 360_001, u64::MAX] {
            let all = (1..=600).filter_map(|value| Some(at(value, sparse(value)?)));
            let expected = all
                .min_by_key(|c| (c.count.abs_diff(target), c.count))
                .unwrap();
            let found = nearest(1..=1 << 20, target, sparse).unwrap();
            assert_eq!(found.nearest, expected, "{target}");
        }
    }

    #[test]
    fn counts_that_fall_are_searched_too() {
        let found = nearest(1..=1 << 20, 40, |v| Some(1000 / v)).unwrap();
        assert_eq!(found.nearest, at(25, 40));
    }

    #[test]
    fn the_ends_of_a_range_hold() {
        let line = |v: u64| Some(v);
        assert_eq!(nearest(10..=20, 5, line).unwrap().nearest.value, 10);
        let end = nearest(10..=20, 50, line).unwrap();
        assert_eq!((end.nearest.value, end.neighbours), (20, vec![at(19, 19)]));
        assert_eq!(nearest(7..=7, 50, line).unwrap().nearest, at(7, 7));
    }

    #[test]
    fn what_goes_up_and_down_is_tried_whole_or_refused() {
        let hill = |v: u64| Some(100 - v.abs_diff(50).min(100));
        assert_eq!(nearest(1..=90, 100, hill).unwrap().nearest, at(50, 100));
        let far = nearest(1..=1 << 20, 40, |v| Some(v % 64));
        assert_eq!(far, Err(MatchError::NotMonotone));
    }

    #[test]
    fn what_has_no_answer_says_why() {
        let none = nearest(1..=9, 5, |_| None);
        assert_eq!(none, Err(MatchError::NothingValid { low: 1, high: 9 }));
        let same = nearest(1..=1 << 20, 5, |_| Some(7));
        assert_eq!(same, Err(MatchError::Constant { count: 7 }));
    }
}
