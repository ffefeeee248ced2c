//! Linear axes with round ticks.

/// Where an axis begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// At zero.
    Zero,
    /// A little below the smallest value.
    Data,
}

/// A linear axis: values from `low` to `high` lie from `start` to `end` on the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The value at `start`.
    pub low: f64,
    /// The value at `end`.
    pub high: f64,
    /// Where the axis begins on the page.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
}

impl Scale {
    /// An axis with room for all values, which need not be there.
    pub fn around(values: &[f64], origin: Origin, start: f64, end: f64) -> Self {
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let (low, high) = match origin {
            _ if values.is_empty() => (0.0, 1.0),
            Origin::Zero => (0.0, if largest > 0.0 { largest } else { 1.0 }),
            Origin::Data if smallest == largest => (smallest - 0.5, largest + 0.5),
            Origin::Data => (smallest, largest),
        };
        let room = 0.05 * (high - low);
        let low = if origin == Origin::Zero {
            0.0
        } else {
            low - room
        };
        Self {
            low,
            high: high + room,
            start,
            end,
        }
    }

    /// Where a value lies on the page.
    pub fn at(&self, x: f64) -> f64 {
        self.start + (x - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    /// Two to six round values.
    pub fn ticks(&self) -> Vec<f64> {
        let raw = (self.high - self.low) / 5.0;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|&step| step >= raw)
            .unwrap_or(raw);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// A tick's value without digits that only rounding made.
pub fn label(x: f64) -> String {
    let rounded = (x * 1e6).round() / 1e6;
    if rounded == 0.0 && x != 0.0 {
        return format!("{x:e}");
    }
    format!("{}", rounded + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::around(&[2.13, 2.57], Origin::Data, 0.0, 100.0);
        let labels: Vec<String> = scale.ticks().into_iter().map(label).collect();
        assert_eq!(labels, ["2.2", "2.3", "2.4", "2.5"]);
        let scale = Scale::around(&[0.0, 7.0], Origin::Zero, 0.0, 100.0);
        let labels: Vec<String> = scale.ticks().into_iter().map(label).collect();
        assert_eq!(labels, ["0", "2", "4", "6"]);
        assert_eq!(label(1e-9), "1e-9");
    }

    #[test]
    fn values_lie_in_proportion() {
        let scale = Scale::around(&[0.0, 10.0], Origin::Zero, 100.0, 205.0);
        assert!((scale.at(5.0) - 150.0).abs() < 1e-9); // 10.5 units over 105
        let empty = Scale::around(&[], Origin::Data, 0.0, 1.0);
        assert!((empty.at(0.5) - 0.5).abs() < 1e-12); // of -0.05 to 1.05
        assert_eq!(Scale::around(&[3.0], Origin::Data, 0.0, 1.0).at(3.0), 0.5);
    }
}
