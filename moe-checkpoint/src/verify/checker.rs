//! Comparing quantities with their goldens.

use super::goldens::Goldens;
use super::quantity::{Quantity, Tolerance};
use crate::{HostTensor, HostValues};
use burn::tensor::Tensor;
use moe_router::to_vec;
use std::collections::BTreeSet;

/// Compares what the goldens have of what we compute, and remembers what was compared.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    pub(super) goldens: &'a Goldens,
    pub(super) quantities: Vec<Quantity>,
    known: BTreeSet<String>,
    missing: Vec<String>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(goldens: &'a Goldens) -> Self {
        Self {
            goldens,
            quantities: Vec::new(),
            known: BTreeSet::new(),
            missing: Vec::new(),
        }
    }

    /// Marks a tensor as one that is read to compute another.
    pub(super) fn input(&mut self, name: &str) {
        self.known.insert(name.to_owned());
    }

    /// Notes something that the goldens should have and have not.
    pub(super) fn missing(&mut self, what: String) {
        self.missing.push(what);
    }

    /// Compares numbers, if the goldens have them.
    pub(super) fn floats(
        &mut self,
        name: &str,
        shape: &[usize],
        ours: &[f32],
        tolerance: Tolerance,
    ) {
        if self.goldens.get(name).is_some() {
            let values = HostValues::Floats(ours.to_vec());
            self.compare(name, shape, values, tolerance);
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
            let shape = ours.dims();
            let values = HostValues::Floats(to_vec(ours));
            self.compare(name, &shape, values, tolerance);
        }
    }

    /// Compares whole numbers, if the goldens have them.
    pub(super) fn ids(&mut self, name: &str, shape: &[usize], ours: &[i64]) {
        if self.goldens.get(name).is_some() {
            self.compare(
                name,
                shape,
                HostValues::Ints(ours.to_vec()),
                Tolerance::Exact,
            );
        }
    }

    /// Compares the rows of a tensor `[B, L, V]` that are marked `[B * L]`.
    pub(super) fn rows(
        &mut self,
        name: &str,
        ours: Tensor<3>,
        marked: &[bool],
        tolerance: Tolerance,
    ) {
        let shape = ours.dims();
        let Some(theirs) = self.goldens.get(name) else {
            return;
        };
        match &theirs.values {
            HostValues::Floats(theirs_all) if theirs.shape == shape => {
                self.known.insert(name.to_owned());
                let ours = marked_rows(&to_vec(ours), marked, shape[2]);
                let theirs = marked_rows(theirs_all, marked, shape[2]);
                let quantity = Quantity::new(name, &ours, &theirs, tolerance);
                self.quantities.push(quantity);
            }
            // fails, and says why
            _ => self.tensor(name, ours, tolerance),
        }
    }

    fn compare(&mut self, name: &str, shape: &[usize], values: HostValues, tolerance: Tolerance) {
        let shape = shape.to_vec();
        if let Some(theirs) = self.goldens.get(name) {
            self.known.insert(name.to_owned());
            let quantity = Quantity::new(name, &HostTensor { shape, values }, theirs, tolerance);
            self.quantities.push(quantity);
        }
    }

    /// The tensors of the goldens that nothing was compared with, and what the goldens should have
    /// besides.
    pub(super) fn unchecked(&self) -> Vec<String> {
        let names = self.goldens.names();
        let unknown = names.filter(|name| !self.known.contains(*name));
        let unknown = unknown.map(str::to_owned);
        unknown.chain(self.missing.iter().cloned()).collect()
    }
}

fn marked_rows(values: &[f32], marked: &[bool], width: usize) -> HostTensor {
    let rows = values.chunks(width).zip(marked);
    let kept = rows.filter(|(_, marked)| **marked);
    HostTensor {
        shape: vec![marked.iter().filter(|marked| **marked).count(), width],
        values: HostValues::Floats(kept.flat_map(|(row, _)| row.iter().copied()).collect()),
    }
}

/// A tensor of one element.
pub(super) fn scalar(tensor: Tensor<1>) -> f32 {
    to_vec(tensor)[0]
}
