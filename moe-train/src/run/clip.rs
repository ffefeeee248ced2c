//! Gradient clipping by the global norm (Pascanu et al. 2012, arXiv 1211.5063, algorithm 1). Burn's
//! own clipping is of each tensor by itself.

use crate::parallel::shared_out;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use moe_parallel::{Communicator, gather_values};
use moe_router::to_vec;

/// Scales all gradients so that the norm of all of them together is at most `max_norm` (0: any), and
/// returns the norm that they had.
pub fn clip_by_global_norm<M: Module>(
    module: &M,
    grads: &mut GradientsParams,
    max_norm: f64,
) -> f64 {
    let mut sum = Sum { grads, sum: None };
    module.visit(&mut sum);
    let norm = sum
        .sum
        .map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>()))
        .sqrt();
    clip(module, grads, max_norm, norm)
}

/// The same for steps that several processes may make, where the ranks of `group` hold the experts between them. Each
/// expert counts once, in the order of the model, so the norm has the same bits on all ranks and for any number of
/// them.
pub(super) fn clip_shared<M: Module>(
    module: &M,
    grads: &mut GradientsParams,
    max_norm: f64,
    group: &dyn Communicator,
) -> f64 {
    let mut squares = Squares {
        grads,
        shared_out: shared_out(module),
        sums: Vec::new(),
    };
    module.visit(&mut squares);
    let norm = total(squares.sums, group).sqrt();
    clip(module, grads, max_norm, norm)
}

fn clip<M: Module>(module: &M, grads: &mut GradientsParams, max_norm: f64, norm: f64) -> f64 {
    // false for a norm that is not a number: it is returned, and the gradients stay as they are
    if max_norm > 0.0 && norm > max_norm {
        module.visit(&mut Scale {
            grads,
            factor: max_norm / norm,
        });
    }
    norm
}

/// Sums squares on the device, so that one number is read back and not one for each parameter.
struct Sum<'a> {
    grads: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Sum<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let square = grad.square().sum();
            // in the order of the parameters, so that a run that is continued clips by the same bits
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
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
    shared_out: Vec<ParamId>,
    sums: Vec<Square>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(grad) = self.grads.get::<D>(param.id) else {
            return;
        };
        let is_shared_out = self.shared_out.contains(&param.id);
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
    let all = gather_values(group, to_vec(Tensor::cat(sums, 0)));
    let mut total = 0.0;
    let mut at = 0;
    for (n, is_shared_out) in counts {
        // what every rank holds is counted once
        let ranks = if is_shared_out { &all[..] } else { &all[..1] };
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
    use moe_parallel::Threads;

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

    /// A bank of experts, as a model has one.
    #[derive(Module, Debug)]
    struct Bank {
        experts: Stack,
    }

    #[derive(Module, Debug)]
    struct Stack {
        up: Param<Tensor<3>>,
    }

    /// Four experts with the gradients 2, 4, 6, 8: squares 4 + 16 + 36 + 64 = 120. Ranks that average the norms of
    /// their own experts find (sqrt(20) + sqrt(100)) / 2 = 7.236 instead.
    #[test]
    fn each_expert_counts_once_whoever_holds_it() {
        let norms = Threads::run(2, |world| {
            let device = Device::flex();
            let part = |values: [f32; 2]| {
                Tensor::<3>::from_data(TensorData::new(values.to_vec(), [2, 1, 1]), &device)
            };
            let own = [[2.0, 4.0], [6.0, 8.0]][world.rank()];
            let up = Param::from_tensor(part([1.0, 1.0]));
            let mut grads = GradientsParams::new();
            grads.register(up.id, part(own));
            let experts = Stack { up };
            clip_shared(&Bank { experts }, &mut grads, 0.0, &*world)
        });
        assert_eq!(norms, [120f64.sqrt(); 2]);
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
