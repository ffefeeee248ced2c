//! The worth of a difference in compute: how much more of it the baseline would need.
//!
//! The baseline is trained with several budgets `C`, as factors of its own, and its mean loss is fitted:
//!
//! ```text
//! loss(C) = a + b C^-c          b, c > 0
//! ```
//!
//! An arm with the loss `L` is worth the `C` at which the baseline reaches `L` (efficiency leverage, arXiv
//! 2507.17702; compute multipliers, arXiv 2502.05172). Outside of the budgets that were tried nothing is said.
//! The interval is a percentile bootstrap over the seeds, all of whose runs are drawn together.

use super::student::Interval;
use super::summary::mean;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The resamples of the bootstrap.
const RESAMPLES: usize = 1000;

/// The share of the resamples that must have an answer, for there to be an interval.
const ANSWERED: f64 = 0.9;

/// The exponents that are tried: 0.02 to 3.0.
const EXPONENTS: std::ops::RangeInclusive<u32> = 1..=150;
const STEP: f64 = 0.02;

/// A fitted loss of the baseline over its compute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// The loss that no compute goes below.
    pub a: f64,
    /// The loss above it at the baseline's own compute.
    pub b: f64,
    /// The exponent.
    pub c: f64,
}

/// The compute that an arm is worth, in units of the baseline's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Multiplier {
    /// The baseline's compute at the arm's mean loss.
    pub factor: f64,
    /// Its 95 % interval; `None` where too many resamples lie outside of the budgets that were tried.
    pub interval: Option<Interval>,
}

impl PowerLaw {
    /// The least-squares fit to losses at budgets; `None` for fewer than three budgets, or where the loss does not
    /// fall with compute.
    ///
    /// # Panics
    ///
    /// Panics with other numbers of budgets than losses, or with a budget that is not positive.
    pub fn fit(budgets: &[f64], losses: &[f64]) -> Option<Self> {
        assert_eq!(budgets.len(), losses.len(), "a loss for each budget");
        assert!(budgets.iter().all(|c| *c > 0.0), "budgets are positive");
        if budgets.len() < 3 {
            return None;
        }
        let fits = EXPONENTS.filter_map(|i| linear(budgets, losses, f64::from(i) * STEP));
        let best = fits.min_by(|(_, x), (_, y)| x.total_cmp(y));
        best.map(|(law, _)| law).filter(|law| law.b > 0.0)
    }

    /// The budget at which the loss is reached; `None` below the floor.
    pub fn budget_at(&self, loss: f64) -> Option<f64> {
        let above = loss - self.a;
        (above > 0.0).then(|| (self.b / above).powf(1.0 / self.c))
    }
}

/// The fit of `a` and `b` with an exponent, and its sum of squares.
fn linear(budgets: &[f64], losses: &[f64], c: f64) -> Option<(PowerLaw, f64)> {
    let x: Vec<f64> = budgets.iter().map(|budget| budget.powf(-c)).collect();
    let (mx, my) = (mean(&x), mean(losses));
    let sxx: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    let sxy: f64 = x.iter().zip(losses).map(|(x, y)| (x - mx) * (y - my)).sum();
    let b = sxy / sxx;
    let law = PowerLaw {
        a: my - b * mx,
        b,
        c,
    };
    let residuals = x.iter().zip(losses).map(|(x, y)| y - law.a - b * x);
    let squares: f64 = residuals.map(|r| r * r).sum();
    (squares.is_finite() && b > 0.0).then_some((law, squares))
}

/// The compute that an arm is worth. `baseline[budget][seed]` are the baseline's losses at rising budgets, as factors of
/// its own, and `arm[seed]` the arm's with the same seeds. `None` where the arm's mean loss is not reached within the
/// budgets.
///
/// # Panics
///
/// Panics without seeds, or with other numbers of seeds.
pub fn multiplier(budgets: &[f64], baseline: &[Vec<f64>], arm: &[f64]) -> Option<Multiplier> {
    assert!(
        !arm.is_empty() && baseline.iter().all(|losses| losses.len() == arm.len()),
        "a multiplier needs the same seeds everywhere"
    );
    let of = |seeds: &[usize]| {
        let drawn = |losses: &[f64]| -> f64 {
            let losses: Vec<f64> = seeds.iter().map(|&i| losses[i]).collect();
            mean(&losses)
        };
        let means: Vec<f64> = baseline.iter().map(|losses| drawn(losses)).collect();
        let found = PowerLaw::fit(budgets, &means)?.budget_at(drawn(arm))?;
        Some(found).filter(|budget| (budgets[0]..=budgets[budgets.len() - 1]).contains(budget))
    };
    let all: Vec<usize> = (0..arm.len()).collect();
    let factor = of(&all)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut draws: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let seeds: Vec<usize> = all.iter().map(|_| rng.random_range(0..arm.len())).collect();
            of(&seeds)
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let enough = arm.len() > 1 && draws.len() as f64 >= ANSWERED * RESAMPLES as f64;
    let outside = (0.025 * draws.len() as f64).floor() as usize;
    Some(Multiplier {
        factor,
        interval: enough.then(|| Interval {
            low: draws[outside],
            high: draws[draws.len() - 1 - outside],
        }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use approx::assert_relative_eq;
    use rand_distr::{Distribution, Normal};

    const BUDGETS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

    fn loss(budget: f64) -> f64 {
        1.5 + 0.8 * budget.powf(-0.4)
    }

    #[test]
    fn a_law_is_found_again() {
        let law = PowerLaw::fit(&BUDGETS, &BUDGETS.map(loss)).unwrap();
        assert_relative_eq!(law.a, 1.5, epsilon = 1e-6);
        assert_relative_eq!(law.b, 0.8, epsilon = 1e-6);
        assert_relative_eq!(law.c, 0.4, epsilon = 1e-6);
        assert_relative_eq!(law.budget_at(loss(1.7)).unwrap(), 1.7, epsilon = 1e-6);
        assert_eq!(law.budget_at(1.4), None);
    }

    #[test]
    fn what_does_not_fall_has_no_law() {
        assert_eq!(PowerLaw::fit(&BUDGETS, &[1.0, 1.1, 1.2, 1.3]), None);
        assert_eq!(PowerLaw::fit(&BUDGETS[..2], &[2.0, 1.0]), None);
    }

    #[test]
    fn an_arm_is_worth_what_it_was_given() {
        // eight seeds with a common part and noise of their own
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let [common, own] = [0.02, 0.004].map(|std| Normal::new(0.0, std).unwrap());
        let seeds: Vec<f64> = (0..8).map(|_| common.sample(&mut rng)).collect();
        let mut runs = |budget: f64| -> Vec<f64> {
            let run = |seed: &f64| loss(budget) + seed + own.sample(&mut rng);
            seeds.iter().map(run).collect()
        };
        let baseline = BUDGETS.map(&mut runs).to_vec();
        for worth in [1.0, 2.0] {
            let found = multiplier(&BUDGETS, &baseline, &runs(worth)).unwrap();
            let interval = found.interval.unwrap();
            assert!(interval.contains(worth), "{worth}: {found:?}");
            assert!(interval.high - interval.low < 0.3 * worth, "{found:?}");
        }
    }

    #[test]
    fn the_baseline_against_itself_is_one() {
        let exact = BUDGETS.map(|budget| vec![loss(budget); 3]).to_vec();
        let found = multiplier(&BUDGETS, &exact, &exact[1]).unwrap();
        assert_relative_eq!(found.factor, 1.0, epsilon = 1e-6);
    }

    #[test]
    fn outside_of_the_budgets_nothing_is_said() {
        let exact = BUDGETS.map(|budget| vec![loss(budget); 3]).to_vec();
        assert_eq!(multiplier(&BUDGETS, &exact, &[loss(5.0); 3]), None);
        assert_eq!(multiplier(&BUDGETS, &exact, &[loss(0.4); 3]), None);
    }
}
