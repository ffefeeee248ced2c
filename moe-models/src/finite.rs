//! Looking for parameters that are no numbers.

use crate::path::ParameterPath;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// The path of the first parameter that holds NaN or an infinity; none if all numbers are finite.
pub fn not_finite<M: Module>(model: &M) -> Option<String> {
    let mut search = Search::default();
    model.visit(&mut search);
    search.found
}

#[derive(Default)]
struct Search {
    path: ParameterPath,
    found: Option<String>,
}

impl ModuleVisitor for Search {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.is_none() {
            let finite = param.val().detach().is_finite().all();
            let is_finite = finite.into_data().iter::<bool>().all(|finite| finite);
            self.found = (!is_finite).then(|| self.path.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::{DType, Device};

    #[test]
    fn the_first_parameter_with_such_a_number_is_named() {
        let device = Device::flex();
        for dtype in [DType::F32, DType::BF16] {
            let mut layer = LinearConfig::new(2, 2).init(&device);
            let weight = |x: f32| {
                let values = Tensor::<2>::from_floats([[1.0, 2.0], [x, 0.0]], &device);
                Param::from_tensor(values.cast(dtype))
            };
            layer.weight = weight(3.0);
            assert_eq!(not_finite(&layer), None);
            for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                layer.weight = weight(x);
                assert_eq!(not_finite(&layer).as_deref(), Some("weight"));
            }
        }
    }
}
