//! Power of the verdict on arms of other seeds.
//!
//! Scores are taken to be normal with the standard deviations that were seen. With few seeds the power is that of 1,000
//! simulated studies, since the permutation test has no formula. With more it is as powerful as Welch's t, whose power is
//! a mean over the sample variances, each chi-square over its degrees of freedom:
//!
//! ```text
//! P(interval lies above 0) = E[ Phi((effect - t_f e) / e0) ]     e, f by the sample variances, e0 by the true ones
//! ```

use super::behrens_fisher::WorstCase;
use super::permutation::{permutation_reaches, smallest_permutation_p, splits};
use super::power::smallest;
use super::smallest_holm;
use super::summary::mean;
use super::welch::{Welch, distribution, freedom};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// The simulated studies.
const STUDIES: usize = 1000;

/// The most splits of samples whose studies are simulated.
const SIMULATED: u64 = 1000;

/// Equally likely variances of each sample.
const NODES: usize = 30;

/// The smallest true difference for which 80 % of studies of these sizes and standard deviations have the verdict better or
/// worse: the exact permutation test and Welch's t reach `alpha` after Holm's correction at its strictest. `None` if these
/// sizes never decide.
///
/// # Panics
///
/// Panics if a sample has fewer than two values.
pub(super) fn unpaired_effect(
    sizes: [usize; 2],
    stds: [f64; 2],
    alpha: f64,
    tests: usize,
) -> Option<f64> {
    if smallest_holm(smallest_permutation_p(sizes[0], sizes[1]), tests) > alpha {
        return None;
    }
    let error = error(stds.map(|std| std.powi(2)), sizes);
    if error == 0.0 {
        return Some(0.0);
    }
    // in units of the true error
    let stds = stds.map(|std| std / error);
    let level = alpha / tests.max(1) as f64;
    let effect = match splits(sizes[0], sizes[1]) {
        Some(all) if all <= SIMULATED => by_studies(sizes, stds, level),
        _ => by_formula(sizes, stds, level),
    };
    Some(effect * error)
}

fn error(variances: [f64; 2], sizes: [usize; 2]) -> f64 {
    (variances[0] / sizes[0] as f64 + variances[1] / sizes[1] as f64).sqrt()
}

fn by_studies(sizes: [usize; 2], stds: [f64; 2], level: f64) -> f64 {
    let welch_level = WorstCase::new(sizes).inverse(level);
    let mut rng = ChaCha8Rng::seed_from_u64(sizes[0] as u64);
    let mut sample = |i: usize| -> Vec<f64> {
        let draws = std::iter::repeat_with(|| -> f64 { StandardNormal.sample(&mut rng) });
        draws.take(sizes[i]).map(|z| stds[i] * z).collect()
    };
    // the same draws for every effect, so that power rises with it
    let studies: Vec<[Vec<f64>; 2]> = (0..STUDIES).map(|_| [sample(0), sample(1)]).collect();
    smallest(|effect| {
        let is_found = |[baseline, arm]: &&[Vec<f64>; 2]| {
            let arm: Vec<f64> = arm.iter().map(|x| x + effect).collect();
            let welch = Welch::of(baseline, &arm);
            welch.is_some_and(|welch| welch.uncorrected(0.0) < welch_level / 2.0)
                && permutation_reaches(baseline, &arm, level) == Some(true)
        };
        studies.iter().filter(is_found).count() as f64 / STUDIES as f64
    })
}

fn by_formula(sizes: [usize; 2], stds: [f64; 2], level: f64) -> f64 {
    let variances = |i: usize| -> Vec<f64> {
        let freedom = (sizes[i] - 1) as f64;
        let squares = ChiSquared::new(freedom).expect("the degrees of freedom are positive");
        let node = |j: usize| {
            let square = squares.inverse_cdf((j as f64 + 0.5) / NODES as f64) / freedom;
            stds[i].powi(2) * square
        };
        (0..NODES).map(node).collect()
    };
    let [a, b] = [variances(0), variances(1)];
    let level = WorstCase::new(sizes).inverse(level);
    let half = |a: f64, b: f64| {
        let parts = [a / sizes[0] as f64, b / sizes[1] as f64];
        let t = distribution(freedom(parts, sizes)).inverse_cdf(1.0 - level / 2.0);
        t * error([a, b], sizes)
    };
    let halves: Vec<f64> = a
        .iter()
        .flat_map(|&a| b.iter().map(move |&b| half(a, b)))
        .collect();
    let normal = Normal::standard();
    smallest(|effect| {
        let shares: Vec<f64> = halves
            .iter()
            .map(|half| normal.cdf(effect - half))
            .collect();
        mean(&shares)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stats::permutation;
    use approx::assert_abs_diff_eq;

    /// The share of 1,000 studies of an effect that are found, one arm compared.
    fn found(sizes: [usize; 2], stds: [f64; 2], effect: f64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        let mut sample = |i: usize| -> Vec<f64> {
            let draws = std::iter::repeat_with(|| -> f64 { StandardNormal.sample(&mut rng) });
            let shift = if i == 1 { effect } else { 0.0 };
            draws.take(sizes[i]).map(|z| stds[i] * z + shift).collect()
        };
        let is_found = |_: &i32| {
            let (a, b) = (sample(0), sample(1));
            let welch = Welch::of(&a, &b).unwrap();
            welch.difference > 0.0 && welch.p().max(permutation(&a, &b, 0)) <= 0.05
        };
        (0..1000).filter(is_found).count() as f64 / 1000.0
    }

    #[test]
    fn effects_are_found_as_often_as_is_said() {
        for (sizes, stds) in [
            ([4, 4], [1.0, 1.0]),
            ([6, 5], [0.5, 1.0]),
            ([8, 7], [1.0, 2.0]),
        ] {
            let effect = unpaired_effect(sizes, stds, 0.05, 1).unwrap();
            assert_abs_diff_eq!(found(sizes, stds, effect), 0.8, epsilon = 0.04);
        }
    }

    #[test]
    fn power_of_a_printed_table() {
        // two-sample t test, two-sided 5 %, 17 in each arm: an effect of 1 standard deviation has power 0.80 (Cohen 1988)
        let effect = unpaired_effect([17, 17], [1.0, 1.0], 0.05, 1).unwrap();
        assert_abs_diff_eq!(effect, 0.99, epsilon = 0.02);
    }

    #[test]
    fn few_seeds_find_nothing_and_known_scores_everything() {
        assert_eq!(unpaired_effect([3, 3], [1.0, 1.0], 0.05, 1), None);
        assert_eq!(unpaired_effect([4, 4], [1.0, 1.0], 0.05, 2), None);
        assert_eq!(unpaired_effect([4, 4], [0.0, 0.0], 0.05, 1), Some(0.0));
    }
}
