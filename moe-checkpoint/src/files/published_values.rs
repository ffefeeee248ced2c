//! Our parameters, or their gradients, as the published tensors that they are made of.

use super::entry::Entry;
use super::layout::ByParameter;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use moe_models::ParameterPath;
use moe_router::to_vec;

/// A published tensor with our values.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedTensor<'a> {
    /// Its name and place.
    pub entry: &'a Entry,
    /// Its values in the published order, row by row.
    pub values: Vec<f32>,
}

/// Calls `each` with every published tensor of a model.
pub fn each_parameter<M: Module>(
    model: &M,
    entries: &ByParameter,
    each: impl FnMut(PublishedTensor<'_>),
) {
    model.visit(&mut Publisher {
        entries,
        gradients: None,
        path: ParameterPath::default(),
        each,
    });
}

/// Calls `each` with the gradient of every published tensor of a model that has one.
pub fn each_gradient<M: Module>(
    model: &M,
    gradients: &Gradients,
    entries: &ByParameter,
    each: impl FnMut(PublishedTensor<'_>),
) {
    model.visit(&mut Publisher {
        entries,
        gradients: Some(gradients),
        path: ParameterPath::default(),
        each,
    });
}

struct Publisher<'a, F> {
    entries: &'a ByParameter,
    gradients: Option<&'a Gradients>,
    path: ParameterPath,
    each: F,
}

impl<F: FnMut(PublishedTensor<'_>)> ModuleVisitor for Publisher<'_, F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let entries = self.entries.get(&self.path.join());
        let tensor = match self.gradients {
            Some(gradients) => param.val().grad(gradients),
            None => Some(param.val().detach()),
        };
        let (Some(entries), Some(tensor)) = (entries, tensor) else {
            return;
        };
        for entry in entries {
            let values = to_vec(published(tensor.clone(), entry));
            (self.each)(PublishedTensor { entry, values });
        }
    }
}

/// The part of our parameter that an entry is, in the published order.
pub(super) fn published<const D: usize>(tensor: Tensor<D>, entry: &Entry) -> Tensor<D> {
    let tensor = match entry.slot {
        Some(slot) => tensor.narrow(0, slot, 1),
        None => tensor,
    };
    if entry.transposed {
        tensor.swap_dims(D - 2, D - 1)
    } else {
        tensor
    }
}
