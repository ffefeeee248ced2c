use super::goldens::Goldens;
use super::quantity::{Quantity, Tolerance};
use burn::tensor::Tensor;
use moe_models::checkpoint::HostValues;
use std::collections::BTreeSet;

/// Compares what the goldens have of what we compute, and remembers what was compared.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    pub(super) goldens: &'a Goldens,
    pub(super) quantities: Vec<Quantity>,
    known: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(goldens: &'a Goldens) -> Self {
        Self {
            goldens,
            quantities: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// Marks a tensor as one that is read and not compared.
    pub(super) fn input(&mut self, name: &str) {
        self.known.insert(name.to_owned());
    }

    /// Compares numbers, if the goldens have them.
    pub(super) fn floats(&mut self, name: &str, ours: &[f32], tolerance: Tolerance) {
        self.known.insert(name.to_owned());
        if let Some(golden) = self.goldens.get(name) {
            self.quantities.push(match &golden.values {
                HostValues::Floats(theirs) => Quantity::floats(name, ours, theirs, tolerance),
                HostValues::Ints(_) => Quantity::new(name, None, tolerance),
            });
        }
    }

    /// Compares numbers with those of the goldens that `select` leaves.
    pub(super) fn selected(
        &mut self,
        name: &str,
        ours: &[f32],
        tolerance: Tolerance,
        select: impl Fn(&[f32]) -> Vec<f32>,
    ) {
        self.known.insert(name.to_owned());
        let golden = self.goldens.get(name).map(|golden| &golden.values);
        if let Some(HostValues::Floats(theirs)) = golden {
            let (ours, theirs) = (select(ours), select(theirs));
            self.quantities
                .push(Quantity::floats(name, &ours, &theirs, tolerance));
        }
    }

    /// Compares a tensor, if the goldens have it.
    pub(super) fn tensor<const D: usize>(
        &mut self,
        name: &str,
        ours: Tensor<D>,
        tolerance: Tolerance,
    ) {
        if self.goldens.get(name).is_some() {
            self.floats(name, &host(ours), tolerance);
        }
    }

    /// Compares whole numbers, if the goldens have them.
    pub(super) fn ids(&mut self, name: &str, ours: &[i64]) {
        self.known.insert(name.to_owned());
        if let Some(golden) = self.goldens.get(name) {
            self.quantities.push(match &golden.values {
                HostValues::Ints(theirs) => Quantity::ids(name, ours, theirs),
                HostValues::Floats(_) => Quantity::new(name, None, Tolerance::Exact),
            });
        }
    }

    /// The tensors of the goldens that nothing was compared with.
    pub(super) fn unknown(&self) -> Vec<String> {
        let names = self.goldens.names();
        let unknown = names.filter(|name| !self.known.contains(*name));
        unknown.map(str::to_owned).collect()
    }
}

/// A tensor's values on the host.
pub(super) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec()
        .expect("the data was just converted to f32")
}

/// A tensor of one element.
pub(super) fn scalar(tensor: Tensor<1>) -> f32 {
    host(tensor)[0]
}
