//! Histograms that a router counts to advance its state.

use std::sync::Arc;

/// A histogram of one quantity for each expert: what a router counts besides its assignments so that its
/// state can be advanced from the load (see [`Load::statistic`](crate::Load)).
///
/// Histograms of counts add exactly, so the sum over the micro-batches of a step does not depend on how
/// the step was split. What is read from one is exact to the width of a bin, the range divided by
/// [`Tally::N_BINS`].
#[derive(Debug, Clone)]
pub struct Tally {
    values_ne: Arc<[f32]>,
    n_experts: usize,
    bins: Bins,
}

/// The range of a histogram; what lies outside counts in the first or the last bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bins {
    /// The lower edge of the first bin.
    pub low: f32,
    /// The upper edge of the last bin, above `low`.
    pub high: f32,
    /// Unit of the edges. With one, edges are in `asinh(value / unit)`: bins are about equally wide up to
    /// the unit, and beyond it as wide as a fraction of the value.
    pub unit: Option<f32>,
}

impl Tally {
    /// The number of bins of an expert's histogram.
    pub const N_BINS: usize = 1000;

    /// Values to be counted when the load is taken, a row for each token that is not padding.
    ///
    /// # Shapes
    ///
    /// - values: `[N, E]`, row by row
    ///
    /// # Panics
    ///
    /// Panics if the rows are not whole, or if the range is empty.
    pub fn new(values: Vec<f32>, n_experts: usize, bins: Bins) -> Self {
        assert!(
            values.len().is_multiple_of(n_experts),
            "{} values are not {n_experts} a token",
            values.len()
        );
        assert!(bins.low < bins.high, "the range of a histogram is empty");
        Self {
            values_ne: values.into(),
            n_experts,
            bins,
        }
    }

    /// Values of each expert in each bin, `[E, N_BINS]` row by row.
    pub fn counts(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.n_experts * Self::N_BINS];
        for row_e in self.values_ne.chunks(self.n_experts) {
            for (histogram, &value) in counts.chunks_mut(Self::N_BINS).zip(row_e) {
                histogram[self.bins.bin(value)] += 1.0;
            }
        }
        counts
    }
}

impl Bins {
    /// The bin of a value.
    fn bin(&self, value: f32) -> usize {
        let place = self.unit.map_or(value, |unit| (value / unit).asinh());
        let scale = Tally::N_BINS as f32 / (self.high - self.low);
        // the cast saturates, and takes what is not a number to the first bin
        (((place - self.low) * scale) as usize).min(Tally::N_BINS - 1)
    }

    /// The value that a `share` of an expert's values do not exceed, interpolated within its bin.
    ///
    /// # Shapes
    ///
    /// - histogram: `[N_BINS]`
    ///
    /// # Panics
    ///
    /// Panics if the histogram has another number of bins.
    pub fn quantile(&self, histogram: &[f64], share: f64) -> f64 {
        assert_eq!(histogram.len(), Tally::N_BINS, "bins of a histogram");
        let wanted = share * histogram.iter().sum::<f64>();
        let width = f64::from(self.high - self.low) / Tally::N_BINS as f64;
        let mut below = 0.0;
        for (bin, &count) in histogram.iter().enumerate() {
            // nothing can be interpolated in an empty bin
            if count > 0.0 && below + count >= wanted {
                let within = (wanted - below) / count;
                return self.value(f64::from(self.low) + width * (bin as f64 + within));
            }
            below += count;
        }
        self.value(f64::from(self.high))
    }

    /// The value at a place between the edges.
    fn value(&self, place: f64) -> f64 {
        match self.unit {
            Some(unit) => f64::from(unit) * place.sinh(),
            None => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    const BINS: Bins = Bins {
        low: -1.0,
        high: 1.0,
        unit: None,
    };

    #[test]
    fn quantiles_are_those_of_each_expert() {
        // expert 0: -0.5, 0.0, 0.25, 0.75; expert 1: 0.5 four times
        let values = vec![-0.5, 0.5, 0.0, 0.5, 0.25, 0.5, 0.75, 0.5];
        let counts = Tally::new(values, 2, BINS).counts();
        let (first, second) = counts.split_at(Tally::N_BINS);
        // bins are 0.002 wide, and a quarter of the values ends with the bin of the smallest
        assert_abs_diff_eq!(BINS.quantile(first, 0.25), -0.498, epsilon = 1e-6);
        assert_abs_diff_eq!(BINS.quantile(first, 0.5), 0.002, epsilon = 1e-6);
        assert_abs_diff_eq!(BINS.quantile(second, 0.5), 0.501, epsilon = 1e-6);
    }

    #[test]
    fn values_outside_the_range_count_at_its_ends() {
        let counts = Tally::new(vec![-9.0, 9.0, f32::NAN], 1, BINS).counts();
        assert_eq!(counts[0], 2.0);
        assert_eq!(counts[Tally::N_BINS - 1], 1.0);
    }

    #[test]
    fn a_unit_spaces_bins_by_the_size_of_values() {
        let high = 1000f32.asinh(); // of 1 in units of 0.001
        let bins = Bins {
            low: -high,
            high,
            unit: Some(0.001),
        };
        // 7.6 / 500 = 0.0152 of a value's size is a bin's width
        for value in [0.9, 0.03, -0.03] {
            let counts = Tally::new(vec![value], 1, bins).counts();
            let found = bins.quantile(&counts, 1.0);
            assert!(
                (found / f64::from(value) - 1.0).abs() < 0.016,
                "{found} of {value}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "3 values are not 2 a token")]
    fn a_row_that_is_not_whole_panics() {
        let _ = Tally::new(vec![0.0; 3], 2, BINS);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_bin_of_the_exact_one(
            mut values in prop::collection::vec(-1.0f32..1.0, 1..60),
            share in 0.01f64..1.0,
        ) {
            let counts = Tally::new(values.clone(), 1, BINS).counts();
            values.sort_by(f32::total_cmp);
            let rank = (share * values.len() as f64).ceil() as usize;
            let exact = f64::from(values[rank.clamp(1, values.len()) - 1]);
            prop_assert!((BINS.quantile(&counts, share) - exact).abs() <= 0.0021);
        }
    }
}
