//! `softplus(z) = ln(1 + e^z)`, computed by all threads.
//!
//! Devices on the CPU apply functions one element after the other on one thread, which for a matrix of
//! scores takes longer than the product that made them.

use crate::to_vec;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

/// So many elements are a thread's piece of work.
const BLOCK: usize = 4096;

/// `ln(1 + e^z)` in f32, positive everywhere. Its gradient is the sigmoid; it has no second one.
pub fn softplus(z_te: Tensor<2>) -> Tensor<2> {
    let fixed_te = z_te.clone().detach();
    let values = mapped(to_vec(fixed_te.clone()), |z| {
        z.max(0.0) + (-z.abs()).exp().ln_1p()
    });
    let tensor = |values| Tensor::from_data(TensorData::new(values, z_te.shape()), &z_te.device());
    if !z_te.is_tracked() {
        return tensor(values);
    }
    // sigmoid(z) = 1 - e^-softplus(z), which keeps its digits where it is small
    let slopes_te = tensor(mapped(values.clone(), |value| -(-value).exp_m1()));
    // what is added is zero, and carries the gradient
    tensor(values) + (z_te - fixed_te) * slopes_te
}

/// The values of a function, computed by all threads.
fn mapped(mut values: Vec<f32>, function: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let blocks = values.par_chunks_mut(BLOCK);
    blocks.for_each(|block| block.iter_mut().for_each(|value| *value = function(*value)));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn value_and_gradient() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_floats([[-90.0, -1.0, 0.0, 1.0, 90.0]], &device).require_grad();
        let y = softplus(z.clone());
        // ln(1 + e) = 1.3132617, and 1 less of -1
        let expected = TensorData::from([[
            0.0f32,
            0.313_261_7,
            std::f32::consts::LN_2,
            1.313_261_7,
            90.0,
        ]]);
        let data = y.clone().into_data();
        data.assert_approx_eq::<f32>(&expected, Tolerance::default());

        let grad = z.grad(&y.sum().backward()).expect("a gradient").into_data();
        // 1 / (1 + e) = 0.2689414
        let expected = TensorData::from([[0.0f32, 0.268_941_4, 0.5, 0.731_058_6, 1.0]]);
        grad.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }
}
