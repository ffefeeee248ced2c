//! Outcomes of executors and their comparison.

/// Output and gradients of an executor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub parts: Vec<Part>,
}

/// One tensor of an outcome, on the host.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Outcome {
    /// Drops the gradients of the stacks.
    pub fn without_stacks(mut self) -> Self {
        self.parts.retain(|part| !part.is_stack());
        self
    }

    /// Describes a difference from the expected outcome of more than a part of the largest number.
    pub fn difference(&self, expected: &Outcome, tolerance: f64) -> Option<String> {
        let pairs = self.parts.iter().zip(&expected.parts);
        let mut differences =
            pairs.filter_map(|(found, expected)| found.difference(expected, tolerance));
        differences.next()
    }
}

impl Part {
    /// Returns `true` for the gradient of a weight stack, one block an expert.
    pub fn is_stack(&self) -> bool {
        self.name.ends_with("stack")
    }

    /// Row `i` of the first axis.
    pub fn row(&self, i: usize) -> &[f64] {
        let width = self.values.len() / self.shape[0].max(1);
        &self.values[i * width..(i + 1) * width]
    }

    fn difference(&self, expected: &Part, tolerance: f64) -> Option<String> {
        let name = self.name;
        if self.shape != expected.shape {
            return Some(format!(
                "{name} is of shape {:?}, not {:?}",
                self.shape, expected.shape
            ));
        }
        // below this, a sum that cancels would be held to more digits than it has
        let largest = expected
            .values
            .iter()
            .fold(0.1, |max: f64, e| max.max(e.abs()));
        let mut pairs = self.values.iter().zip(&expected.values).enumerate();
        // a NaN is not close
        let is_close = |a: f64, e: f64| (a - e).abs() <= tolerance * largest;
        let (i, (a, e)) = pairs.find(|(_, (a, e))| !is_close(**a, **e))?;
        Some(format!("{name} at {:?} is {a}, not {e}", self.place(i)))
    }

    /// The indices of an element.
    fn place(&self, mut i: usize) -> Vec<usize> {
        let mut place: Vec<usize> = Vec::with_capacity(self.shape.len());
        for size in self.shape.iter().rev() {
            place.push(i % size);
            i /= size;
        }
        place.reverse();
        place
    }
}
