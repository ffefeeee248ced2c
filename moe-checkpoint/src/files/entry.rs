//! Entries of the list of published tensors: a name, a shape, and a place in the model.

/// One published tensor and its place in our model: what loading, writing and the names of gradients
/// read alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The published name.
    pub name: String,
    /// The published shape.
    pub shape: Vec<usize>,
    /// The path of our parameter.
    pub parameter: String,
    /// Its row, where our parameter stacks the tensors of all experts.
    pub slot: Option<usize>,
    /// True if ours is transposed: a linear layer is `[out, in]` published and `[in, out]` here.
    pub transposed: bool,
    /// The shape of ours, where it folds or adds axes.
    pub reshaped: Option<Vec<usize>>,
    /// Place of the tensor in the layout that fuses experts.
    pub fused: Option<Fused>,
}

/// A range of a larger tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fused {
    /// The name of the larger tensor.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The first element of the range.
    pub start: usize,
}

impl Entry {
    /// A vector, or a table that both sides keep alike.
    pub(super) fn plain(name: String, shape: &[usize], parameter: String) -> Self {
        Self {
            name,
            shape: shape.to_vec(),
            parameter,
            slot: None,
            transposed: false,
            reshaped: None,
            fused: None,
        }
    }

    /// The weight of a linear layer, published `[out, in]`.
    pub(super) fn linear(name: String, shape: [usize; 2], parameter: String) -> Self {
        Self {
            transposed: true,
            ..Self::plain(name, &shape, parameter)
        }
    }

    /// Sets the shape of ours, of as many elements in the same order.
    pub(super) fn reshaped(mut self, shape: &[usize]) -> Self {
        debug_assert_eq!(
            shape.iter().product::<usize>(),
            self.n_elements(),
            "{}",
            self.name
        );
        self.reshaped = Some(shape.to_vec());
        self
    }

    /// Sets the row of a stack.
    pub(super) fn slot(mut self, slot: usize) -> Self {
        self.slot = Some(slot);
        self
    }

    /// Sets where the tensor is in the layout that fuses experts.
    pub(super) fn fused(mut self, name: String, shape: &[usize], start: usize) -> Self {
        self.fused = Some(Fused {
            name,
            shape: shape.to_vec(),
            start,
        });
        self
    }

    /// Tells whether it is the bias of a router's choice: a sum of steps of 0.001, which 16 bits round away.
    pub(super) fn is_choice_bias(&self) -> bool {
        self.name.ends_with(".e_score_correction_bias")
    }

    /// The number of elements.
    pub fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The shape in our parameter, without the axis of experts.
    pub fn our_shape(&self) -> Vec<usize> {
        let mut shape = self.reshaped.as_ref().unwrap_or(&self.shape).clone();
        if self.transposed {
            shape.reverse();
        }
        shape
    }
}
