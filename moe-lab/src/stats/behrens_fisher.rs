//! The level of Welch's test at the worst ratio of the spreads: the Behrens-Fisher problem.
//!
//! Welch's t is approximate. Where it says 5 %, samples of 4 and 8 normal values reject in up to 5.9 % of studies, by the
//! ratio of their variances, which nobody knows. The p-value here is the largest over all ratios (Casella and Berger,
//! "Statistical inference" (2002), theorem 8.3.27), so it holds at each. For a given ratio the level is an integral over
//! one number, the share `v` of a sample in the sum of squares (Lee and Gurland, "Size and power of tests for equality of
//! means of two normal populations with unequal variances" (1975)):
//!
//! ```text
//! v ~ Beta(n / 2, m / 2)                  n, m: degrees of freedom of the samples
//! c = theta v / n, d = (1 - theta)(1 - v) / m      theta: share of the baseline in the true squared error
//! level(q, theta) = E[ P(|t_(n+m)| > t_(f, 1 - q/2) sqrt((n + m)(c + d))) ]      f: Satterthwaite's, by c / (c + d)
//! ```
//!
//! In logits, `c / (c + d)` is `v` moved by `theta`: one grid serves all of them.

use super::welch::{distribution, freedom};
use statrs::distribution::ContinuousCDF;

/// Logits of `theta` are looked at up to this. Beyond, one sample has all the spread, and Welch's t is exact.
const FARTHEST: f64 = 10.0;

/// The largest distance of nodes: half the distance of the logits that are looked at first.
const WIDEST: f64 = 0.5;

/// Nodes that weigh less than this share of the heaviest are left out.
const LIGHTEST: f64 = 1e-5;

/// Steps that find a level by the secant method.
const STEPS: usize = 8;

/// Welch's test of two samples of given sizes, two-sided.
pub(super) struct WorstCase {
    sizes: [usize; 2],
    /// Distance of the nodes.
    step: f64,
    /// The logits of `v` in steps, and what each weighs.
    nodes: Vec<(i32, f64)>,
}

impl WorstCase {
    /// The test of samples of these sizes, each of two values or more.
    pub(super) fn new(sizes: [usize; 2]) -> Self {
        let [n, m] = freedoms(sizes);
        // a fraction of the spread of the logit of v: the sum converges exponentially
        let step = (0.75 * (2.0 / n + 2.0 / m).sqrt()).min(WIDEST);
        let log_density = |i: i32| {
            let x = f64::from(i) * step;
            // v^(n/2) (1 - v)^(m/2), without the overflow of e^x
            let log_v = x.min(0.0) - (-x.abs()).exp().ln_1p();
            0.5 * (n * log_v + m * (log_v - x))
        };
        let center = ((n / m).ln() / step).round() as i32;
        let weight = |i: i32| (log_density(i) - log_density(center)).exp();
        let is_heavy = |i: &i32| weight(*i) > LIGHTEST;
        let left = (1..).map(|i| center - i).take_while(is_heavy);
        let all = left.chain((center..).take_while(is_heavy));
        let mut nodes: Vec<(i32, f64)> = all.map(|i| (i, weight(i))).collect();
        nodes.sort_by_key(|(i, _)| *i);
        let sum: f64 = nodes.iter().map(|(_, weight)| weight).sum();
        nodes.iter_mut().for_each(|(_, weight)| *weight /= sum);
        Self { sizes, step, nodes }
    }

    /// The largest share, over all ratios of the variances, of studies without a difference in which the p-value of Welch's t
    /// is at most `q`. It is at least `q`.
    pub(super) fn p(&self, q: f64) -> f64 {
        if q <= 0.0 || q >= 1.0 {
            return q.clamp(0.0, 1.0);
        }
        let stride = (WIDEST / self.step).round() as i32;
        let most = (FARTHEST / self.step) as i32;
        let levels = self.levels(q, most + stride);
        let (best, height) = (-most..=most)
            .step_by(2 * stride as usize)
            .map(|shift| (shift, levels(shift)))
            .fold((0, q), |best, at| if at.1 > best.1 { at } else { best });
        // the top of the parabola through the highest and its neighbours
        let [left, right] = [levels(best - stride), levels(best + stride)];
        let bend = 2.0 * height - left - right;
        let top = if bend > 0.0 {
            height + (right - left).powi(2) / (8.0 * bend)
        } else {
            height
        };
        top.max(left).max(right).min(1.0)
    }

    /// The share of studies whose p-value of Welch's t is at most `q`, by the logit of `theta` in steps, up to `most`.
    fn levels(&self, q: f64, most: i32) -> impl Fn(i32) -> f64 {
        let [n, m] = freedoms(self.sizes);
        // c / (c + d) has the logit of v plus that of theta minus this
        let offset = ((n / m).ln() / self.step).round() as i32;
        let exact = (n / m).ln() - f64::from(offset) * self.step;
        let (first, last) = (self.nodes[0].0, self.nodes[self.nodes.len() - 1].0);
        // farther out the degrees of freedom are those of one sample
        let ends = [first - most - offset, last + most - offset];
        let farthest = (FARTHEST / self.step) as i32;
        let [lowest, highest] = ends.map(|end| end.clamp(-farthest, farthest));
        let quantile = |i: i32| {
            let share = logistic(f64::from(i) * self.step);
            let freedom = freedom([share, 1.0 - share], self.sizes);
            -distribution(freedom).inverse_cdf(q / 2.0)
        };
        let quantiles: Vec<f64> = (lowest..=highest).map(quantile).collect();
        let sum = distribution(n + m);
        move |shift| {
            let x = f64::from(shift) * self.step + exact;
            let (theta, rest) = (logistic(x), logistic(-x));
            let at = |&(i, weight): &(i32, f64)| {
                let v = logistic(f64::from(i) * self.step);
                let error = ((n + m) * (theta * v / n + rest * (1.0 - v) / m)).sqrt();
                let t = quantiles[((i + shift - offset).clamp(lowest, highest) - lowest) as usize];
                weight * 2.0 * sum.cdf(-t * error)
            };
            self.nodes.iter().map(at).sum()
        }
    }

    /// The p-value of Welch's t that is worth `level`: the inverse of [`p`](Self::p).
    pub(super) fn inverse(&self, level: f64) -> f64 {
        // ln p is nearly a line in ln q
        let excess = |x: f64| (self.p(x.exp()) / level).ln();
        let mut before = level.ln();
        let mut there = excess(before);
        let mut x = before - there;
        for _ in 0..STEPS {
            let here = excess(x);
            if here.abs() < 1e-6 || here == there {
                break;
            }
            let next = x - here * (x - before) / (here - there);
            (before, there, x) = (x, here, next);
        }
        x.exp()
    }
}

fn freedoms(sizes: [usize; 2]) -> [f64; 2] {
    sizes.map(|size| (size - 1) as f64)
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    #[test]
    fn levels_of_another_integration() {
        // scipy 1.16: the same integral over a grid of 0.25, the largest of logits of theta 0.125 apart
        for (sizes, q, level) in [
            ([2, 2], 0.05, 0.064_44),
            ([2, 5], 0.05, 0.105_40),
            ([3, 3], 0.01, 0.017_02),
            ([4, 4], 0.05, 0.055_40),
            ([4, 8], 0.05, 0.059_29),
            ([5, 5], 0.05, 0.053_52),
            ([10, 10], 0.01, 0.010_78),
            ([20, 3], 0.05, 0.075_25),
        ] {
            assert_relative_eq!(WorstCase::new(sizes).p(q), level, max_relative = 1e-3);
        }
    }

    #[test]
    fn many_values_are_worth_what_is_said() {
        assert_relative_eq!(
            WorstCase::new([300, 200]).p(0.05),
            0.05,
            max_relative = 1e-3
        );
        assert_relative_eq!(
            WorstCase::new([1000, 1000]).inverse(0.05),
            0.05,
            max_relative = 1e-3
        );
    }

    #[test]
    fn the_ends() {
        let test = WorstCase::new([4, 5]);
        assert_eq!((test.p(0.0), test.p(1.0)), (0.0, 1.0));
        assert!(test.p(1e-30) >= 1e-30);
    }

    proptest! {
        #[test]
        fn rises_and_has_an_inverse(
            n in 2..12usize,
            m in 2..12usize,
            level in 0.001..0.5f64,
        ) {
            let test = WorstCase::new([n, m]);
            let q = test.inverse(level);
            prop_assert!(0.0 < q && q <= level);
            assert_relative_eq!(test.p(q), level, max_relative = 1e-6);
            prop_assert!(test.p(q * 1.1) > level);
            assert_relative_eq!(WorstCase::new([m, n]).p(level), test.p(level), max_relative = 1e-3);
        }
    }
}
