//! Repeated timing of one piece of work.

use moe_lab::stats::median;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The time of one repetition, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The median.
    pub median_s: f64,
    /// The fastest.
    pub min_s: f64,
    /// The slowest.
    pub max_s: f64,
    /// The number of repetitions.
    pub repetitions: usize,
}

impl Timing {
    /// Times `repetitions` calls after `warmup` calls that are not counted.
    ///
    /// # Panics
    ///
    /// Panics if nothing is repeated.
    pub fn measure(warmup: usize, repetitions: usize, mut work: impl FnMut()) -> Self {
        (0..warmup).for_each(|_| work());
        let seconds: Vec<f64> = (0..repetitions)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64()
            })
            .collect();
        Self::of(&seconds)
    }

    /// The summary of measured seconds.
    ///
    /// # Panics
    ///
    /// Panics if there are none.
    pub fn of(seconds: &[f64]) -> Self {
        assert!(!seconds.is_empty(), "nothing was timed");
        Self {
            median_s: median(seconds),
            min_s: seconds.iter().copied().fold(f64::INFINITY, f64::min),
            max_s: seconds.iter().copied().fold(0.0, f64::max),
            repetitions: seconds.len(),
        }
    }
}

/// Work that has been done once, untimed: a layer draws its weights when they are first asked for.
pub fn warmed<W: FnMut()>(mut work: W) -> W {
    work();
    work
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarises_and_does_not_count_the_warm_up() {
        let mut calls = 0;
        let timing = Timing::measure(2, 3, || calls += 1);
        assert_eq!((calls, timing.repetitions), (5, 3));
        let timing = Timing::of(&[3.0, 1.0, 2.0]);
        assert_eq!(
            (timing.median_s, timing.min_s, timing.max_s),
            (2.0, 1.0, 3.0)
        );
    }
}
