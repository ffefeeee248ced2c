//! Gradient clipping by the global norm (Pascanu et al. 2012, arXiv 1211.5063, algorithm 1). Burn's
//! own clipping is of each tensor by itself.

use crate::parallel::is_shared_out;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use moe_parallel::{Communicator, One, gather_values};
use moe_router::to_vec;

/// Scales all gradients so that the norm of all of them together is at most `max_norm` (0: any), and
/// returns the norm that they had.
pub fn clip_by_global_norm<M: Module>(
    module: &M,
    grads: &mut GradientsParams,
    max_norm: f64,
) -> f64 {
    clip_shared(module, grads, max_norm, &One)
}

/// The same where the ranks of `group` hold the experts between them. Each expert counts once, in the order of the
/// model, so the norm has the same bits on all ranks and for any number of them.
pub(super) fn clip_shared<M: Module>(
    module: &M,
    grads: &mut GradientsParams,
    max_norm: f64,
    group: &dyn Communicator,
) -> f64 {
    let mut squares = Squares {
        grads,
        path: Vec::new(),
        sums: Vec::new(),
    };
    module.visit(&mut squares);
    let norm = total(squares.sums, group).sqrt();
    // false for a norm that is not a number: it is returned, and the gradients stay as they are
    if max_norm > 0.0 && norm > max_norm {
        module.visit(&mut Scale {
            grads,
            factor: max_norm / norm,
        });
    }
    norm
}

/// Sums of squares of a parameter's gradient.
struct Square {
    /// One value, or of experts that are shared out one for each.
    sums: Tensor<1>,
    is_shared_out: bool,
}

/// Sums squares on the device, so that numbers are read back once and not for each parameter.
struct Squares<'a> {
    grads: &'a GradientsParams,
    path: Vec<String>,
    sums: Vec<Square>,
}

impl ModuleVisitor for Squares<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(grad) = self.grads.get::<D>(param.id) else {
            return;
        };
        let is_shared_out = is_shared_out(&self.path);
        let sums = if is_shared_out {
            let n_experts = grad.dims()[0];
            let rows = grad.square().reshape([n_experts as isize, -1]);
            rows.sum_dim(1).reshape([n_experts])
        } else {
            grad.square().sum()
        };
        self.sums.push(Square {
            sums,
            is_shared_out,
        });
    }
}

/// The sum of all squares, parameter by parameter and expert by expert.
fn total(squares: Vec<Square>, group: &dyn Communicator) -> f64 {
    let counts: Vec<(usize, bool)> = squares
        .iter()
        .map(|square| (square.sums.dims()[0], square.is_shared_out))
        .collect();
    let sums: Vec<Tensor<1>> = squares.into_iter().map(|square| square.sums).collect();
    if sums.is_empty() {
        return 0.0;
    }
    let mine = to_vec(Tensor::cat(sums, 0));
    let all = gather_values(group, &mine);
    let mut total = 0.0;
    let mut at = 0;
    for (n, is_shared_out) in counts {
        // what every rank holds is counted once
        let ranks = if is_shared_out {
            all.as_slice()
        } else {
            std::slice::from_ref(&mine)
        };
        let values = ranks.iter().flat_map(|of_rank| &of_rank[at..at + n]);
        total = values.fold(total, |total, &x| total + f64::from(x));
        at += n;
    }
    total
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, TensorData, Tolerance};

    fn grads(device: &Device) -> (Linear, GradientsParams) {
        let mut linear = LinearConfig::new(1, 1).init(device);
        linear.weight = Param::from_tensor(Tensor::from_floats([[1.0]], device));
        let x = Tensor::<2>::from_floats([[3.0]], device);
        let loss = linear.forward(x).sum() * 3.0;
        let grads = GradientsParams::from_grads(loss.backward(), &linear);
        (linear, grads)
    }

    #[test]
    fn clips_the_norm_of_all_gradients_together() {
        // gradients 9 and 3: norm sqrt(90); clipped to 1: 9 / sqrt(90) and 3 / sqrt(90)
        let (linear, mut grads) = grads(&Device::flex().autodiff());
        let norm = clip_by_global_norm(&linear, &mut grads, 1.0);
        assert!((norm - 90f64.sqrt()).abs() < 1e-5);
        let weight = grads.get::<2>(linear.weight.id).expect("a gradient");
        let expected = TensorData::from([[9.0 / 90f32.sqrt()]]);
        weight
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn leaves_small_gradients_and_zero_means_any() {
        for max_norm in [100.0, 0.0] {
            let (linear, mut grads) = grads(&Device::flex().autodiff());
            clip_by_global_norm(&linear, &mut grads, max_norm);
            let weight = grads.get::<2>(linear.weight.id).expect("a gradient");
            weight
                .into_data()
                .assert_eq(&TensorData::from([[9.0f32]]), true);
        }
    }
}
