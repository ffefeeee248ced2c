//! The levels that rules are decided at.

use crate::stats::level_of_looks;
use serde::{Deserialize, Serialize};

/// One-sided levels of a claim's rules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// That of all rules but those below: half of what the interval leaves out.
    pub interval: f64,
    /// That of each of the two tests of an equality, and of a trend.
    pub equal: f64,
}

impl Default for Levels {
    /// Those of one look: of a 95 % interval, and of 5 %.
    fn default() -> Self {
        Self {
            interval: 0.025,
            equal: 0.05,
        }
    }
}

/// A look at a claim before all of its seeds are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The seeds after which it is made.
    pub after: u64,
    /// The seeds of the claim.
    pub of: u64,
    /// True if the claim was decided by it.
    pub ended: bool,
}

impl Levels {
    /// Those of each of two looks, if there is a first one.
    pub(in crate::ablate) fn of(look: Option<Look>) -> Self {
        let once = Self::default();
        look.map_or(once, |look| {
            let share = look.after as f64 / look.of as f64;
            Self {
                interval: level_of_looks(once.interval, share),
                equal: level_of_looks(once.equal, share),
            }
        })
    }
}
