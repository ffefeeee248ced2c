//! Loads: assignments counted for each expert.

use serde::{Deserialize, Serialize};

/// Assignments that each expert received, summed over any number of routings.
///
/// Loads are additive: the load of a training step is the sum over its micro-batches.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct Load {
    /// Assignments that each expert computes, `[E]`. For a soft plan: the combine mass of its slots.
    pub kept: Vec<f64>,
    /// Assignments that each expert was asked for, dropped ones included, `[E]`.
    pub asked: Vec<f64>,
    /// Tokens that were routed.
    pub n_tokens: f64,
    /// Counts by which the router advances its state besides its assignments, in a layout of its own. They
    /// are the counts of the routing's [`Tally`](crate::Tally), and empty for most routers.
    pub statistic: Vec<f64>,
}

impl Load {
    /// The sum of two loads of the same layer.
    ///
    /// # Panics
    ///
    /// Panics if the two have different numbers of experts, or statistics of different lengths.
    pub fn merge(mut self, other: &Load) -> Load {
        // the default load, from which sums start, knows no number of experts
        if self.kept.is_empty() {
            return other.clone();
        }
        assert_eq!(
            self.kept.len(),
            other.kept.len(),
            "loads of different numbers of experts cannot be added"
        );
        for (sum, x) in self.kept.iter_mut().zip(&other.kept) {
            *sum += x;
        }
        for (sum, x) in self.asked.iter_mut().zip(&other.asked) {
            *sum += x;
        }
        self.n_tokens += other.n_tokens;
        self.statistic = add(self.statistic, &other.statistic);
        self
    }

    /// The share of all assignments that each expert was asked for, `[E]`, summing to 1. Dropped ones
    /// count: experts that are all full keep alike, however unlike the demand for them is.
    pub fn share(&self) -> Vec<f64> {
        let total: f64 = self.asked.iter().sum();
        self.asked.iter().map(|x| x / total.max(1e-12)).collect()
    }
}

/// The sum of two statistics; an empty one counts nothing.
fn add(mut sum: Vec<f64>, other: &[f64]) -> Vec<f64> {
    if sum.is_empty() {
        return other.to_vec();
    }
    assert!(
        other.is_empty() || other.len() == sum.len(),
        "statistics of different routers cannot be added"
    );
    sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_adds_counts_and_tokens() {
        let load = |kept: [f64; 2]| Load {
            kept: kept.to_vec(),
            asked: kept.to_vec(),
            n_tokens: kept.iter().sum(),
            statistic: vec![kept[0]],
        };
        let sum = Load::default()
            .merge(&load([1.0, 3.0]))
            .merge(&load([2.0, 2.0]));

        assert_eq!(sum.kept, [3.0, 5.0]);
        assert_eq!(sum.n_tokens, 8.0);
        assert_eq!(sum.statistic, [3.0]);
        assert_eq!(sum.share(), [0.375, 0.625]); // 3/8, 5/8
    }

    #[test]
    #[should_panic(expected = "different numbers of experts")]
    fn merging_loads_of_different_layers_panics() {
        let load = |n| Load {
            kept: vec![1.0; n],
            asked: vec![1.0; n],
            n_tokens: 1.0,
            statistic: Vec::new(),
        };
        let _ = load(2).merge(&load(3));
    }
}
