//! The worth of a difference in compute: how much more of it the baseline would need.
//!
//! The baseline is trained with several budgets `C`, as factors of its own. Between two neighbours its mean loss is
//! taken to be linear in `log C`, and an arm with the loss `L` is worth the `C` at which the baseline reaches `L`
//! (efficiency leverage, arXiv 2507.17702; compute multipliers, arXiv 2502.05172). Both sources fit
//! `a + b C^-c`. Here it is not: with four budgets the fit misses its own points, so that the baseline is not worth
//! 1 of itself. Outside of the budgets that were tried nothing is said.
//!
//! The interval is Student's t of the differences to the baseline at the nearest budget, seed against same seed, read
//! off on the same curve.

use super::student::{Interval, t_interval};
use super::summary::mean;
use serde::{Deserialize, Serialize};

/// The level of the interval.
const LEVEL: f64 = 0.95;

/// The compute that an arm is worth, in units of the baseline's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Multiplier {
    /// The baseline's compute at the arm's mean loss.
    pub factor: f64,
    /// Its 95 % interval; `None` with one seed, or where an end lies outside of the budgets that were tried.
    pub interval: Option<Interval>,
}

/// The compute that an arm is worth. `baseline[budget][seed]` are the baseline's losses at rising budgets, as factors of
/// its own, and `arm[seed]` the arm's with the same seeds. `None` where the arm's mean loss is not reached within the
/// budgets, or where the baseline's does not fall with them.
///
/// # Panics
///
/// Panics without seeds, with other numbers of seeds, or with budgets that do not rise above 0.
pub fn multiplier(budgets: &[f64], baseline: &[Vec<f64>], arm: &[f64]) -> Option<Multiplier> {
    assert!(
        !arm.is_empty() && baseline.iter().all(|losses| losses.len() == arm.len()),
        "a multiplier needs the same seeds everywhere"
    );
    assert!(
        budgets.len() == baseline.len() && budgets[0] > 0.0 && budgets.is_sorted(),
        "a multiplier needs rising budgets, each with its losses"
    );
    let means: Vec<f64> = baseline.iter().map(|losses| mean(losses)).collect();
    let factor = budget_at(budgets, &means, mean(arm))?;
    let off = |i: usize| (budgets[i] / factor).ln().abs();
    let nearest = (1..budgets.len()).fold(0, |best, i| if off(i) < off(best) { i } else { best });
    let differences: Vec<f64> = arm
        .iter()
        .zip(&baseline[nearest])
        .map(|(a, b)| a - b)
        .collect();
    let interval = || {
        let by_loss = t_interval(&differences, LEVEL);
        let at = |difference: f64| budget_at(budgets, &means, means[nearest] + difference);
        // a lower loss takes more compute
        Some(Interval {
            low: at(by_loss.high)?,
            high: at(by_loss.low)?,
        })
    };
    Some(Multiplier {
        factor,
        interval: (arm.len() > 1).then(interval).flatten(),
    })
}

/// The budget at which falling losses reach `loss`.
fn budget_at(budgets: &[f64], losses: &[f64], loss: f64) -> Option<f64> {
    if !losses.windows(2).all(|pair| pair[1] < pair[0]) {
        return None;
    }
    let right = losses.iter().position(|&other| other <= loss)?;
    if losses[right] == loss {
        return Some(budgets[right]);
    }
    let left = right.checked_sub(1)?;
    let share = (losses[left] - loss) / (losses[left] - losses[right]);
    let [from, to] = [budgets[left], budgets[right]].map(f64::ln);
    Some((from + share * (to - from)).exp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use approx::assert_relative_eq;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    const BUDGETS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

    fn loss(budget: f64) -> f64 {
        1.5 + 0.8 * budget.powf(-0.4)
    }

    fn exact() -> Vec<Vec<f64>> {
        BUDGETS.map(|budget| vec![loss(budget); 3]).to_vec()
    }

    #[test]
    fn halfway_between_two_budgets_by_hand() {
        // losses 4, 3, 2 at 1, 2, 4: 2.5 lies halfway between 2 and 4, at sqrt 8
        let found = multiplier(&[1.0, 2.0, 4.0], &[vec![4.0], vec![3.0], vec![2.0]], &[2.5]);
        assert_relative_eq!(found.unwrap().factor, 8f64.sqrt(), epsilon = 1e-12);
        assert_eq!(found.unwrap().interval, None);
    }

    #[test]
    fn the_baseline_is_worth_itself() {
        for (i, budget) in BUDGETS.into_iter().enumerate() {
            let found = multiplier(&BUDGETS, &exact(), &exact()[i]).unwrap();
            assert_eq!(found.factor, budget);
            assert_eq!(found.interval.unwrap().low, budget);
        }
    }

    #[test]
    fn an_arm_is_worth_what_it_was_given() {
        // 400 studies of five seeds with a common part and noise of their own
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let [common, own] = [0.02, 0.004].map(|std| Normal::new(0.0, std).unwrap());
        for worth in [1.0, 2.0] {
            let mut covered = 0;
            for _ in 0..400 {
                let seeds: Vec<f64> = (0..5).map(|_| common.sample(&mut rng)).collect();
                let mut runs = |budget: f64| -> Vec<f64> {
                    let run = |seed: &f64| loss(budget) + seed + own.sample(&mut rng);
                    seeds.iter().map(run).collect()
                };
                let baseline = BUDGETS.map(&mut runs).to_vec();
                let found = multiplier(&BUDGETS, &baseline, &runs(worth)).unwrap();
                covered += usize::from(found.interval.unwrap().contains(worth));
            }
            let share = f64::from(covered as u32) / 400.0;
            assert!((0.92..=1.0).contains(&share), "{worth}: {share}");
        }
    }

    #[test]
    fn outside_of_the_budgets_nothing_is_said() {
        assert_eq!(multiplier(&BUDGETS, &exact(), &[loss(5.0); 3]), None);
        assert_eq!(multiplier(&BUDGETS, &exact(), &[loss(0.4); 3]), None);
        let rising: Vec<Vec<f64>> = exact().into_iter().rev().collect();
        assert_eq!(multiplier(&BUDGETS, &rising, &[loss(1.0); 3]), None);
    }

    #[test]
    #[should_panic(expected = "the same seeds everywhere")]
    fn unpaired() {
        multiplier(&BUDGETS, &exact(), &[2.0]);
    }
}
