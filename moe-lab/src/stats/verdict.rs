//! A verdict in words from the numbers of a comparison, paired or not.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::student::Interval;
use moe_train::task::Goal;

/// Numbers that a verdict is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Mean of arm minus baseline over the seeds.
    pub mean_difference: f64,
    /// Student's t interval of that mean, or Welch's of two means; `None` with one seed.
    pub interval: Option<Interval>,
    /// The p-value after the correction for the number of arms; `None` with one seed.
    pub adjusted_p: Option<f64>,
    /// The smallest value that `adjusted_p` can take with these seeds and arms.
    pub smallest_p: f64,
    /// The fewest seeds with which a test could reach `alpha`, for the number of arms; `None` above 20.
    pub seeds_needed: Option<usize>,
    /// The margin of equality with the p-value of the tests against it, if one was fixed.
    pub equal: Option<(f64, f64)>,
    /// The smallest difference that 80 % of such studies would find.
    pub visible: Option<f64>,
    /// The largest p-value that counts, such as 0.05.
    pub alpha: f64,
}

/// Verdict of a comparison about an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// The arm is better than the baseline.
    Better,
    /// The arm is worse than the baseline.
    Worse,
    /// The difference is shown to lie within a margin that was fixed before the runs.
    Equal {
        /// The margin.
        margin: f64,
    },
    /// The test could have found a difference and did not. This is not evidence of equality.
    NoDifference {
        /// The smallest true difference that 80 % of such studies would find.
        visible: Option<f64>,
    },
    /// No outcome of the test could have been significant.
    Undecided {
        /// The fewest seeds with which one could, for this number of arms; `None` above 20.
        seeds: Option<usize>,
    },
    /// The arms did not have the same budget.
    NotComparable {
        /// Quantity that differs, with both numbers.
        reason: String,
    },
}

impl Verdict {
    /// Draws the verdict. The first rule that holds decides:
    ///
    /// 1. the tests against a margin have `p <= alpha`: [`Equal`](Verdict::Equal), whatever the test of a difference
    ///    says, since a difference within the margin does not matter;
    /// 2. `smallest_p > alpha`, or one seed: [`Undecided`](Verdict::Undecided), whatever the numbers look like;
    /// 3. `adjusted_p <= alpha`, and the interval does not contain 0:
    ///    [`Better`](Verdict::Better) or [`Worse`](Verdict::Worse) by the sign of the difference;
    /// 4. otherwise [`NoDifference`](Verdict::NoDifference).
    pub fn draw(evidence: &Evidence, goal: Goal) -> Self {
        let Evidence { alpha, .. } = *evidence;
        let reaches = evidence.adjusted_p.is_some_and(|p| p <= alpha);
        let excludes_0 = evidence.interval.is_some_and(|i| !i.contains(0.0));
        let lower = evidence.mean_difference < 0.0;

        match evidence.equal {
            Some((margin, p)) if p <= alpha => return Self::Equal { margin },
            _ => (),
        }
        if evidence.adjusted_p.is_none() || evidence.smallest_p > alpha {
            Self::Undecided {
                seeds: evidence.seeds_needed,
            }
        } else if !(reaches && excludes_0) {
            Self::NoDifference {
                visible: evidence.visible,
            }
        } else if lower == (goal == Goal::Lower) {
            Self::Better
        } else {
            Self::Worse
        }
    }

    /// Its first words, without numbers and reasons.
    pub fn in_short(&self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equal { .. } => "equal",
            Self::NoDifference { .. } => "no difference found",
            Self::Undecided { .. } => "undecided",
            Self::NotComparable { .. } => "not comparable",
        }
    }

    /// The verdict in words, its numbers written by `number`: in the unit and with the digits of a table.
    pub fn words(&self, number: impl Fn(f64) -> String) -> String {
        let short = self.in_short();
        match self {
            Self::Equal { margin } => format!("{short} within {}", number(*margin)),
            Self::NoDifference { visible: Some(d) } => {
                format!("{short} (would have seen {})", number(*d))
            }
            Self::Undecided { seeds: Some(n) } => format!("{short} (needs {n} seeds)"),
            Self::Undecided { seeds: None } => format!("{short} (needs more than 20 seeds)"),
            Self::NotComparable { reason } => format!("{short}: {reason}"),
            Self::Better | Self::Worse | Self::NoDifference { visible: None } => short.to_owned(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(|x| rounded(x).to_string()))
    }
}

/// At most four decimals, without trailing zeros.
fn rounded(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Six seeds, difference -0.1 in [-0.2, -0.05], p = 2/64.
    fn evidence() -> Evidence {
        Evidence {
            mean_difference: -0.1,
            interval: Some(Interval {
                low: -0.2,
                high: -0.05,
            }),
            adjusted_p: Some(0.03125),
            smallest_p: 0.03125,
            seeds_needed: Some(6),
            equal: None,
            visible: Some(0.08),
            alpha: 0.05,
        }
    }

    #[test]
    fn sign_and_goal_decide() {
        let lower = evidence();
        let higher = Evidence {
            mean_difference: 0.1,
            interval: Some(Interval {
                low: 0.05,
                high: 0.2,
            }),
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
            adjusted_p: Some(0.0625),
            ..evidence()
        };
        let zero_inside = Evidence {
            interval: Some(Interval {
                low: -0.2,
                high: 0.0,
            }),
            ..evidence()
        };
        let none = Verdict::NoDifference {
            visible: Some(0.08),
        };

        assert_eq!(Verdict::draw(&large_p, Goal::Lower), none);
        assert_eq!(Verdict::draw(&zero_inside, Goal::Lower), none);
    }

    #[test]
    fn p_equal_to_alpha_counts() {
        let edge = Evidence {
            adjusted_p: Some(0.05),
            smallest_p: 0.05,
            ..evidence()
        };
        assert_eq!(Verdict::draw(&edge, Goal::Lower), Verdict::Better);
    }

    #[test]
    fn few_seeds_never_decide_a_difference() {
        let few = Evidence {
            adjusted_p: Some(0.25),
            smallest_p: 0.25,
            ..evidence()
        };
        let undecided = Verdict::Undecided { seeds: Some(6) };
        assert_eq!(Verdict::draw(&few, Goal::Lower), undecided);

        let one = Evidence {
            adjusted_p: None,
            interval: None,
            seeds_needed: Some(9),
            ..few
        };
        let undecided = Verdict::Undecided { seeds: Some(9) };
        assert_eq!(Verdict::draw(&one, Goal::Lower), undecided);
    }

    #[test]
    fn what_lies_within_the_margin_is_equal_even_if_it_is_there() {
        let equal = Evidence {
            equal: Some((0.3, 0.01)),
            ..evidence()
        };
        assert_eq!(
            Verdict::draw(&equal, Goal::Lower),
            Verdict::Equal { margin: 0.3 }
        );
        let not_shown = Evidence {
            equal: Some((0.15, 0.2)),
            ..evidence()
        };
        assert_eq!(Verdict::draw(&not_shown, Goal::Lower), Verdict::Better);
    }

    #[test]
    fn words() {
        let rows = [
            (Verdict::Better, "better"),
            (Verdict::Worse, "worse"),
            (Verdict::Equal { margin: 0.01 }, "equal within 0.01"),
            (
                Verdict::NoDifference { visible: None },
                "no difference found",
            ),
            (
                Verdict::NoDifference {
                    visible: Some(0.04),
                },
                "no difference found (would have seen 0.04)",
            ),
            (
                Verdict::Undecided { seeds: Some(6) },
                "undecided (needs 6 seeds)",
            ),
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
        let verdict = Verdict::Undecided { seeds: Some(6) };
        let text = serde_json::to_string(&verdict).unwrap();

        assert_eq!(text, r#"{"kind":"undecided","seeds":6}"#);
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
