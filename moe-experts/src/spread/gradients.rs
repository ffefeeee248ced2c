//! Gradients of a rank's experts, kept by the micro-batch that they come from.

use burn::module::ParamId;
use burn::tensor::Tensor;
use moe_parallel::{Add, TreeSum};
use std::collections::BTreeMap;

/// The sums of each sender's micro-batches, by parameter. A sender's micro-batches are neighbours, so its sum is a
/// branch of the tree over all.
#[derive(Debug)]
pub(super) struct Gradients {
    senders: usize,
    micro_batches: usize,
    of: BTreeMap<ParamId, Vec<TreeSum<Flat>>>,
}

#[derive(Debug, Clone)]
struct Flat(Tensor<1>);

impl Add for Flat {
    fn add(self, later: Self) -> Self {
        Self(self.0 + later.0)
    }
}

impl Gradients {
    pub fn new(senders: usize, micro_batches: usize) -> Self {
        Self {
            senders,
            micro_batches,
            of: BTreeMap::new(),
        }
    }

    /// Adds what a sender's next micro-batch gives a parameter; nothing if it had no row here.
    pub fn push(&mut self, id: ParamId, sender: usize, gradient: Option<Tensor<1>>) {
        let empty = || TreeSum::new(self.micro_batches);
        let sums = self.of.entry(id);
        let sums = sums.or_insert_with(|| (0..self.senders).map(|_| empty()).collect());
        sums[sender].push(gradient.map(Flat));
    }

    /// Removes the sum over all senders.
    pub fn take(&mut self, id: ParamId) -> Option<Tensor<1>> {
        let mut all = TreeSum::new(self.senders);
        for sum in self.of.remove(&id)? {
            all.push(sum.finish());
        }
        all.finish().map(|Flat(sum)| sum)
    }
}
