//! Built routers with their type erased, and access to their parameters.

use crate::{Causality, Load, Router, RouterInput, Routing, to_vec};
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

/// A built router with its type erased, and what the laws do to it.
pub trait Specimen {
    /// Routes tokens.
    fn route(&self, input: RouterInput) -> Routing;

    /// Causality that the router declares.
    fn causality(&self) -> Causality;

    /// Advances a copy.
    fn advance(&self, load: &Load) -> Box<dyn Specimen>;

    /// All that it holds, comparable: parameters bit by bit, other fields as `Debug` prints them.
    fn state(&self) -> (Vec<u32>, String);

    /// The number of its parameters, trained or not.
    fn n_params(&self) -> usize;

    /// Returns `true` if its routings can be differentiated here.
    fn has_gradients(&self) -> bool {
        true
    }

    /// A copy with edited parameters: shape and values of each, in a fixed order.
    fn edited(&self, edit: &mut dyn FnMut(&[usize], &mut [f32])) -> Box<dyn Specimen>;

    /// The gradient of each parameter in the order of [`edited`](Self::edited).
    fn gradients(&self, gradients: &Gradients) -> Vec<ParamGradient>;
}

/// A parameter's gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamGradient {
    /// `true` if gradients train the parameter.
    pub trained: bool,
    /// The gradient's values, zeros if none reached the parameter.
    pub values: Vec<f32>,
}

impl<R: Router + 'static> Specimen for R {
    fn route(&self, input: RouterInput) -> Routing {
        Router::route(self, input)
    }

    fn causality(&self) -> Causality {
        Router::causality(self)
    }

    fn advance(&self, load: &Load) -> Box<dyn Specimen> {
        Box::new(Router::advance(self.clone(), load))
    }

    fn state(&self) -> (Vec<u32>, String) {
        let mut bits = Vec::new();
        self.edited(&mut |_, values| bits.extend(values.iter().map(|x| x.to_bits())));
        (bits, format!("{self:?}"))
    }

    fn n_params(&self) -> usize {
        burn::module::Module::num_params(self)
    }

    fn edited(&self, edit: &mut dyn FnMut(&[usize], &mut [f32])) -> Box<dyn Specimen> {
        Box::new(self.clone().map(&mut Editor { edit }))
    }

    fn gradients(&self, gradients: &Gradients) -> Vec<ParamGradient> {
        let mut reader = GradientReader {
            gradients,
            found: Vec::new(),
        };
        self.visit(&mut reader);
        reader.found
    }
}

struct Editor<'a> {
    edit: &'a mut dyn FnMut(&[usize], &mut [f32]),
}

impl ModuleMapper for Editor<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (shape, device) = (tensor.dims(), tensor.device());
        let trained = tensor.is_require_grad();
        let mut values = to_vec(tensor.detach());
        (self.edit)(&shape, &mut values);
        let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
        Param::from_mapped_value(id, tensor.set_require_grad(trained), mapper)
    }
}

struct GradientReader<'a> {
    gradients: &'a Gradients,
    found: Vec<ParamGradient>,
}

impl ModuleVisitor for GradientReader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let n = tensor.shape().num_elements();
        self.found.push(ParamGradient {
            trained: tensor.is_require_grad(),
            values: tensor
                .grad(self.gradients)
                .map_or_else(|| vec![0.0; n], to_vec),
        });
    }
}
