//! A verdict in words from the numbers of a paired comparison.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bootstrap::Interval;
use moe_train::task::Goal;

/// Numbers that a verdict is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Number of paired seeds.
    pub n_seeds: usize,
    /// Mean of arm minus baseline over the seeds.
    pub mean_difference: f64,
    /// Bootstrap interval of that mean.
    pub interval: Interval,
    /// The p-value after the correction for the number of arms.
    pub adjusted_p: f64,
    /// The smallest value that `adjusted_p` can take with these seeds and arms.
    pub smallest_p: f64,
    /// The largest p-value that counts, such as 0.05.
    pub alpha: f64,
}

/// Verdict of a paired comparison about an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// The arm is better than the baseline.
    Better,
    /// The arm is worse than the baseline.
    Worse,
    /// The test could have found a difference and did not. This is not evidence of equality.
    NoDifference,
    /// No outcome of the test could have been significant.
    TooFewSeeds {
        /// The smallest reachable p-value, corrected for the number of arms.
        smallest_p: f64,
    },
    /// One seed has no pairs to compare.
    OneSeed,
    /// The arms did not have the same budget.
    NotComparable {
        /// Quantity that differs, with both numbers.
        reason: String,
    },
}

impl Verdict {
    /// Draws the verdict. The first rule that holds decides:
    ///
    /// 1. one seed: [`OneSeed`](Verdict::OneSeed);
    /// 2. `smallest_p > alpha`: [`TooFewSeeds`](Verdict::TooFewSeeds), whatever the numbers look
    ///    like;
    /// 3. `adjusted_p <= alpha`, and the interval does not contain 0:
    ///    [`Better`](Verdict::Better) or [`Worse`](Verdict::Worse) by the sign of the difference;
    /// 4. otherwise [`NoDifference`](Verdict::NoDifference).
    pub fn draw(evidence: &Evidence, goal: Goal) -> Self {
        let significant = evidence.adjusted_p <= evidence.alpha && !evidence.interval.contains(0.0);
        let lower = evidence.mean_difference < 0.0;

        if evidence.n_seeds < 2 {
            Self::OneSeed
        } else if evidence.smallest_p > evidence.alpha {
            Self::TooFewSeeds {
                smallest_p: evidence.smallest_p,
            }
        } else if !significant {
            Self::NoDifference
        } else if lower == (goal == Goal::Lower) {
            Self::Better
        } else {
            Self::Worse
        }
    }
}

impl Verdict {
    /// Its first words, without numbers and reasons.
    pub fn in_short(&self) -> String {
        match self {
            Self::TooFewSeeds { .. } => "too few seeds to tell".to_owned(),
            Self::NotComparable { .. } => "not comparable".to_owned(),
            Self::Better | Self::Worse | Self::NoDifference | Self::OneSeed => self.to_string(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better => f.write_str("better"),
            Self::Worse => f.write_str("worse"),
            Self::NoDifference => f.write_str("no difference found"),
            Self::TooFewSeeds { smallest_p } => write!(
                f,
                "too few seeds to tell (smallest reachable p is {})",
                rounded(*smallest_p)
            ),
            Self::OneSeed => f.write_str("one seed: no test possible"),
            Self::NotComparable { reason } => write!(f, "not comparable: {reason}"),
        }
    }
}

/// At most four decimals, without trailing zeros.
fn rounded(p: f64) -> f64 {
    (p * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Six seeds, difference -0.1 in [-0.2, -0.05], p = 2/64.
    fn evidence() -> Evidence {
        Evidence {
            n_seeds: 6,
            mean_difference: -0.1,
            interval: Interval {
                low: -0.2,
                high: -0.05,
            },
            adjusted_p: 0.03125,
            smallest_p: 0.03125,
            alpha: 0.05,
        }
    }

    #[test]
    fn sign_and_goal_decide() {
        let lower = evidence();
        let higher = Evidence {
            mean_difference: 0.1,
            interval: Interval {
                low: 0.05,
                high: 0.2,
            },
            ..lower
        };

        assert_eq!(Verdict::draw(&lower, Goal::Lower), Verdict::Better);
        assert_eq!(Verdict::draw(&lower, Goal::Higher), Verdict::Worse);
        assert_eq!(Verdict::draw(&higher, Goal::Lower), Verdict::Worse);
        assert_eq!(Verdict::draw(&higher, Goal::Higher), Verdict::Better);
    }

    #[test]
    fn p_and_interval_must_agree() {
        let large_p = Evidence {
            adjusted_p: 0.0625,
            ..evidence()
        };
        let zero_inside = Evidence {
            interval: Interval {
                low: -0.2,
                high: 0.0,
            },
            ..evidence()
        };

        assert_eq!(Verdict::draw(&large_p, Goal::Lower), Verdict::NoDifference);
        assert_eq!(
            Verdict::draw(&zero_inside, Goal::Lower),
            Verdict::NoDifference
        );
    }

    #[test]
    fn p_equal_to_alpha_counts() {
        let edge = Evidence {
            adjusted_p: 0.05,
            smallest_p: 0.05,
            ..evidence()
        };
        assert_eq!(Verdict::draw(&edge, Goal::Lower), Verdict::Better);
    }

    #[test]
    fn few_seeds_never_decide() {
        let few = Evidence {
            n_seeds: 3,
            adjusted_p: 0.25,
            smallest_p: 0.25,
            ..evidence()
        };
        assert_eq!(
            Verdict::draw(&few, Goal::Lower),
            Verdict::TooFewSeeds { smallest_p: 0.25 }
        );

        let one = Evidence { n_seeds: 1, ..few };
        assert_eq!(Verdict::draw(&one, Goal::Lower), Verdict::OneSeed);
    }

    #[test]
    fn words() {
        let rows = [
            (Verdict::Better, "better"),
            (Verdict::Worse, "worse"),
            (Verdict::NoDifference, "no difference found"),
            (
                Verdict::TooFewSeeds { smallest_p: 0.25 },
                "too few seeds to tell (smallest reachable p is 0.25)",
            ),
            (Verdict::OneSeed, "one seed: no test possible"),
            (
                Verdict::NotComparable {
                    reason: "steps differ: 100 against 200".into(),
                },
                "not comparable: steps differ: 100 against 200",
            ),
        ];
        for (verdict, words) in rows {
            assert_eq!(verdict.to_string(), words);
        }
    }

    #[test]
    fn json() {
        let verdict = Verdict::TooFewSeeds { smallest_p: 0.25 };
        let text = serde_json::to_string(&verdict).unwrap();

        assert_eq!(text, r#"{"kind":"too_few_seeds","smallest_p":0.25}"#);
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
