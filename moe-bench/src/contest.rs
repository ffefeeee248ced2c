//! Timing several things against each other: their samples alternate, so that noise hits all alike.

use crate::timing::Timing;
use moe_lab::stats::median;
use serde::Serialize;
use std::time::Instant;

/// One thing that is timed: each call of `sample` does its work once and returns the seconds.
pub struct Contestant<'a, E> {
    sample: Box<dyn FnMut() -> Result<f64, E> + 'a>,
}

impl<E> std::fmt::Debug for Contestant<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contestant")
    }
}

/// Numbers of rounds, before the clock starts and on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Contest {
    /// Rounds before the clock starts.
    pub warmup: usize,
    /// Rounds that are timed; each times everything once.
    pub rounds: usize,
}

/// The times of one contestant, one a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    seconds: Vec<f64>,
}

/// Time of one entry as a multiple of another's, round by round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl<'a, E> Contestant<'a, E> {
    /// Something that knows its own time.
    pub fn new(sample: impl FnMut() -> Result<f64, E> + 'a) -> Self {
        Self {
            sample: Box::new(sample),
        }
    }

    /// Work that is timed from outside.
    pub fn of(mut work: impl FnMut() + 'a) -> Self {
        Self::new(move || {
            let start = Instant::now();
            work();
            Ok(start.elapsed().as_secs_f64())
        })
    }
}

impl Default for Contest {
    fn default() -> Self {
        Self {
            warmup: 2,
            rounds: 9,
        }
    }
}

impl Contest {
    /// Times everybody, every second round in reverse; one [`Samples`] each.
    ///
    /// # Errors
    ///
    /// The first error of a contestant.
    ///
    /// # Panics
    ///
    /// Panics if there are no rounds.
    pub fn run<E>(&self, contestants: &mut [Contestant<'_, E>]) -> Result<Vec<Samples>, E> {
        assert!(self.rounds > 0, "at least one round must be timed");
        let mut seconds = vec![Vec::with_capacity(self.rounds); contestants.len()];
        for round in 0..self.warmup + self.rounds {
            let mut order: Vec<usize> = (0..contestants.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for i in order {
                let sample = (contestants[i].sample)()?;
                if round >= self.warmup {
                    seconds[i].push(sample);
                }
            }
        }
        Ok(seconds
            .into_iter()
            .map(|seconds| Samples { seconds })
            .collect())
    }
}

impl Samples {
    /// Summary of the times.
    pub fn timing(&self) -> Timing {
        Timing::of(&self.seconds)
    }

    /// Time of this as a multiple of `other`'s, round by round.
    ///
    /// # Panics
    ///
    /// Panics if the two are of different numbers of rounds.
    pub fn ratio_to(&self, other: &Self) -> Ratio {
        assert_eq!(
            self.seconds.len(),
            other.seconds.len(),
            "ratios are of the samples of one contest"
        );
        let pairs = self.seconds.iter().zip(&other.seconds);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        let spread = Timing::of(&ratios);
        Ratio {
            median: median(&ratios),
            min: spread.min_s,
            max: spread.max_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::convert::Infallible;

    #[test]
    fn everybody_is_timed_in_every_round_and_the_order_turns() {
        let order = RefCell::new(String::new());
        let mut contestants: Vec<Contestant<'_, Infallible>> = ["a", "b"]
            .map(|name| {
                let order = &order;
                Contestant::of(move || order.borrow_mut().push_str(name))
            })
            .into();
        let contest = Contest {
            warmup: 1,
            rounds: 2,
        };
        let Ok(samples) = contest.run(&mut contestants);
        assert_eq!(*order.borrow(), "abbaab");
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[0].timing().repetitions, 2);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // rounds 4/2, 9/3, 1/1: 2, 3 and 1
        let slow = Samples {
            seconds: vec![4.0, 9.0, 1.0],
        };
        let fast = Samples {
            seconds: vec![2.0, 3.0, 1.0],
        };
        let ratio = slow.ratio_to(&fast);
        assert_eq!((ratio.median, ratio.min, ratio.max), (2.0, 1.0, 3.0));
    }

    #[test]
    fn an_error_ends_the_contest() {
        let mut contestants = [Contestant::new(|| Err::<f64, _>("gone"))];
        assert_eq!(Contest::default().run(&mut contestants), Err("gone"));
    }
}
