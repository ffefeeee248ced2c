//! Page's test of a monotone order of arms over seeds.
//!
//! Page, "Ordered hypotheses for multiple treatments" (1963). The arms are in their claimed order, `j = 1..k`;
//! in each seed they are ranked by their values, ties by the mean of their ranks:
//!
//! ```text
//! L = sum over seeds and j of  j * rank(j)
//! p = share of all k!^n orders, one a seed, whose L is at least as large
//! ```
//!
//! If the arms do not matter, all orders within a seed are equally likely, so p is exact: the distribution of
//! one seed is counted over its `k!` orders, and those of the seeds are folded together.

use super::power::{smallest, studies};
use super::ranks::doubled_ranks;
use super::summary::mean;
use std::collections::BTreeMap;

/// The fewest and the most arms of a trend.
pub const TREND_ARMS: std::ops::RangeInclusive<usize> = 3..=8;

/// A monotone order over arms, tested in both directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The least-squares slope of the values over the place of the arm, of each seed; a unit is one arm.
    pub slopes: Vec<f64>,
    /// One-sided p-value that the values rise.
    pub p_rising: f64,
    /// One-sided p-value that they fall.
    pub p_falling: f64,
    /// Standard deviation of the values about the common slope and the mean of their seed.
    pub noise: f64,
}

/// Tests a monotone order; `values[seed][arm]` in the claimed order of the arms.
///
/// # Panics
///
/// Panics without seeds, with a number of arms outside [`TREND_ARMS`] or not the same in all seeds, or with a
/// value that is not finite.
pub fn trend(values: &[Vec<f64>]) -> Trend {
    let k = values.first().map_or(0, Vec::len);
    assert!(
        TREND_ARMS.contains(&k) && values.iter().all(|seed| seed.len() == k),
        "a trend needs 3 to 8 arms in each seed, got {k}"
    );
    assert!(
        values.iter().flatten().all(|x| x.is_finite()),
        "a trend needs finite values"
    );
    let ranks: Vec<Vec<u64>> = values.iter().map(|seed| doubled_ranks(seed)).collect();
    let observed: u64 = ranks.iter().map(|seed| page(seed)).sum();
    let mut all = Orders::from([(0, 1.0)]);
    let mut known: BTreeMap<Vec<u64>, Orders> = BTreeMap::new();
    for seed in ranks {
        let mut sorted = seed;
        sorted.sort_unstable();
        let of_seed = known
            .entry(sorted)
            .or_insert_with_key(|ranks| orders(ranks));
        all = folded(&all, of_seed);
    }
    let share = |holds: &dyn Fn(u64) -> bool| -> f64 {
        let held = all.iter().filter(|(l, _)| holds(**l));
        held.map(|(_, share)| share).sum::<f64>().min(1.0)
    };
    let slopes: Vec<f64> = values.iter().map(|seed| slope(seed)).collect();
    Trend {
        noise: noise(values, mean(&slopes)),
        slopes,
        p_rising: share(&|l| l >= observed),
        p_falling: share(&|l| l <= observed),
    }
}

/// The shares of orders by their sum L, ranks doubled.
type Orders = BTreeMap<u64, f64>;

fn page(ranks: &[u64]) -> u64 {
    (1..).zip(ranks).map(|(j, rank)| j * rank).sum()
}

fn orders(ranks: &[u64]) -> Orders {
    let mut counts = BTreeMap::new();
    permute(&mut ranks.to_vec(), 0, &mut |order| {
        *counts.entry(page(order)).or_insert(0u64) += 1;
    });
    let all: u64 = counts.values().sum();
    let share = |(l, count): (u64, u64)| (l, count as f64 / all as f64);
    counts.into_iter().map(share).collect()
}

/// Visits all orders of the elements from `first` on.
fn permute(order: &mut Vec<u64>, first: usize, visit: &mut impl FnMut(&[u64])) {
    if first + 1 >= order.len() {
        visit(order);
        return;
    }
    for i in first..order.len() {
        order.swap(first, i);
        permute(order, first + 1, visit);
        order.swap(first, i);
    }
}

fn folded(a: &Orders, b: &Orders) -> Orders {
    let mut sums = Orders::new();
    for (l, p) in a {
        for (m, q) in b {
            *sums.entry(l + m).or_insert(0.0) += p * q;
        }
    }
    sums
}

/// The places of the arms about their middle.
fn places(k: usize) -> impl Iterator<Item = f64> {
    (0..k).map(move |j| j as f64 - (k - 1) as f64 / 2.0)
}

fn slope(values: &[f64]) -> f64 {
    let products: f64 = places(values.len()).zip(values).map(|(j, x)| j * x).sum();
    products / places(values.len()).map(|j| j * j).sum::<f64>()
}

fn noise(values: &[Vec<f64>], slope: f64) -> f64 {
    let k = values[0].len();
    let squares = values.iter().flat_map(|seed| {
        let center = mean(seed);
        places(k)
            .zip(seed)
            .map(move |(j, x)| (x - center - slope * j).powi(2))
    });
    let freedom = values.len() * (k - 1) - 1;
    (squares.sum::<f64>() / freedom as f64).sqrt()
}

/// The smallest slope from arm to arm, in units of the noise, that 80 % of the studies of `n` seeds and `k` arms
/// find at the level `alpha`, by 2,000 simulated studies.
///
/// # Panics
///
/// Panics without seeds or with a number of arms outside [`TREND_ARMS`].
pub fn trend_effect(k: usize, n: usize, alpha: f64) -> f64 {
    let of_seed = orders(&(1..=k as u64).map(|rank| 2 * rank).collect::<Vec<_>>());
    let all = (1..n).fold(of_seed.clone(), |all, _| folded(&all, &of_seed));
    let mut tail = 0.0;
    let in_tail = all.iter().rev().take_while(|(_, share)| {
        tail += **share;
        tail <= alpha
    });
    let critical = in_tail.last().map_or(u64::MAX, |(l, _)| *l);
    let studies: Vec<Vec<Vec<f64>>> = studies(n * k)
        .iter()
        .map(|draws| draws.chunks(k).map(<[f64]>::to_vec).collect())
        .collect();
    smallest(|slope| {
        let found = studies.iter().filter(|study| {
            let l = study.iter().map(|seed| {
                let sloped: Vec<f64> = places(k).zip(seed).map(|(j, z)| z + slope * j).collect();
                page(&doubled_ranks(&sloped))
            });
            l.sum::<u64>() >= critical
        });
        found.count() as f64 / studies.len() as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn one_seed_of_three_arms_by_hand() {
        // the six orders of 1, 2, 3 have L = 14, 13, 13, 11, 11, 10; rising has 14
        let rising = trend(&[vec![0.1, 0.5, 0.9]]);
        assert_relative_eq!(rising.p_rising, 1.0 / 6.0, epsilon = 1e-12);
        assert_relative_eq!(rising.p_falling, 1.0, epsilon = 1e-12);
        assert_relative_eq!(rising.slopes[0], 0.4, epsilon = 1e-12);
        // 1, 3, 2 has L = 13: two orders have 13, one 14
        assert_relative_eq!(trend(&[vec![0.1, 0.9, 0.5]]).p_rising, 0.5, epsilon = 1e-12);
    }

    #[test]
    fn seeds_multiply() {
        // both must be the best order: 1 / 36
        let two = trend(&[vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 7.0]]);
        assert_relative_eq!(two.p_rising, 1.0 / 36.0, epsilon = 1e-12);
    }

    #[test]
    fn printed_table_of_page() {
        // for k = 4 and n = 5 the 5 % critical value is L = 137 (Page 1963, table 2)
        // L of 1 2 3 4 is 30, of 1 2 4 3 29, of 1 4 2 3 27, of 4 2 1 3 23, of 4 1 2 3 24
        let with_last = |last: [f64; 4]| {
            let seeds = [
                [1.0, 2.0, 3.0, 4.0],
                [1.0, 2.0, 4.0, 3.0],
                [1.0, 4.0, 2.0, 3.0],
                [1.0, 4.0, 2.0, 3.0],
                last,
            ];
            trend(&seeds.map(|seed| seed.to_vec())).p_rising
        };
        assert!(with_last([4.0, 2.0, 1.0, 3.0]) > 0.05); // L = 136
        assert!(with_last([4.0, 1.0, 2.0, 3.0]) <= 0.05); // L = 137
    }

    #[test]
    fn equal_values_share_their_rank() {
        let all_equal = trend(&vec![vec![1.0; 3]; 4]);
        assert_eq!((all_equal.p_rising, all_equal.p_falling), (1.0, 1.0));
    }

    #[test]
    fn noise_by_hand() {
        // slopes 1 and 1; the second seed lies off the line by 1, -2, 1 about its mean: 6 over 2 * 2 - 1
        let found = trend(&[vec![1.0, 2.0, 3.0], vec![3.0, 1.0, 5.0]]);
        assert_eq!(found.slopes, [1.0, 1.0]);
        assert_relative_eq!(found.noise, 2.0f64.sqrt(), epsilon = 1e-12);
    }

    #[test]
    fn trends_are_found_as_often_as_is_said() {
        let (k, n) = (4, 5);
        let effect = trend_effect(k, n, 0.05);
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut power = |slope: f64| {
            let found = (0..2000).filter(|_| {
                let seed = |rng: &mut ChaCha8Rng| -> Vec<f64> {
                    let noise = || -> f64 { StandardNormal.sample(rng) };
                    places(k)
                        .zip(std::iter::repeat_with(noise))
                        .map(|(j, z)| slope * j + z)
                        .collect()
                };
                let values: Vec<Vec<f64>> = (0..n).map(|_| seed(&mut rng)).collect();
                trend(&values).p_rising <= 0.05
            });
            found.count() as f64 / 2000.0
        };
        assert!((power(effect) - 0.8).abs() < 0.03);
        assert!(power(0.5 * effect) < 0.5 && power(2.0 * effect) > 0.99);
        assert!(power(0.0) <= 0.06);
    }

    #[test]
    fn without_a_trend_five_percent_are_found_at_most() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let found = (0..2000)
            .filter(|_| {
                let values: Vec<Vec<f64>> = (0..5)
                    .map(|_| (0..4).map(|_| rng.random()).collect())
                    .collect();
                trend(&values).p_falling <= 0.05
            })
            .count();
        assert!(found as f64 / 2000.0 <= 0.06, "{found}");
    }

    #[test]
    #[should_panic(expected = "3 to 8 arms")]
    fn two_arms_are_no_trend() {
        trend(&[vec![1.0, 2.0]]);
    }

    proptest! {
        #[test]
        fn turned_around_rising_falls(
            values in prop::collection::vec(prop::collection::vec(0.0..1.0f64, 4), 1..5),
        ) {
            let turned: Vec<Vec<f64>> = values
                .iter()
                .map(|seed| seed.iter().rev().copied().collect())
                .collect();
            let (there, back) = (trend(&values), trend(&turned));
            prop_assert!((there.p_rising - back.p_falling).abs() < 1e-9);
        }
    }
}
