//! `softplus(z) = ln(1 + e^z)`, computed by all threads.
//!
//! Devices on the CPU apply functions one element after the other on one thread, which for a matrix of
//! scores takes longer than the product that made them.

use super::exp;
use crate::to_vec;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

/// Elements of a thread's piece of work.
const BLOCK: usize = 4096;

/// `ln(1 + e^z)` in f32, positive everywhere. Its gradient is the sigmoid; it has no second one.
pub fn softplus(z_te: Tensor<2>) -> Tensor<2> {
    let (shape, device) = (z_te.dims(), z_te.device());
    let tensor = |values| Tensor::from_data(TensorData::new(values, shape), &device);
    if !z_te.is_tracked() {
        return tensor(by_blocks(to_vec(z_te), to_softplus));
    }
    let fixed_te = z_te.clone().detach();
    let values = by_blocks(to_vec(fixed_te.clone()), to_softplus);
    // sigmoid(z) = 1 - e^-softplus(z), which keeps its digits where it is small
    let slopes_te = tensor(by_blocks(values.clone(), to_slope));
    // what is added is zero, and carries the gradient
    tensor(values) + (z_te - fixed_te) * slopes_te
}

for_every_cpu!(to_softplus, softplus_body, (block: &mut [f32]));

/// Replaces each `z` by its softplus.
#[inline(always)]
fn softplus_body(block: &mut [f32]) {
    for z in block {
        // not `max`, which hides a value that is not a number
        *z = (if *z < 0.0 { 0.0 } else { *z }) + log_1p_exp(-z.abs());
    }
}

/// Replaces each value of the softplus by its slope there.
fn to_slope(block: &mut [f32]) {
    block
        .iter_mut()
        .for_each(|value| *value = -(-*value).exp_m1());
}

/// `ln(1 + e^x)` of an `x` that is not positive, in arithmetic that compilers vectorise; its relative error
/// is below 4e-7 down to where `e^x` ceases to be a normal number.
#[inline(always)]
fn log_1p_exp(x: f32) -> f32 {
    // ln(1 + t) = 2 artanh(s) with s = t / (2 + t), a third at most; artanh(s) = s + s^3 / 3 + s^5 / 5 + ...
    let t = exp(x);
    let s = t / (2.0 + t);
    let odd = [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0].map(|n: f32| n.recip());
    2.0 * s * odd.into_iter().fold(0.0, |sum, c| sum * s * s + c)
}

/// Applies a function to the values in blocks, on all threads.
fn by_blocks(mut values: Vec<f32>, function: fn(&mut [f32])) -> Vec<f32> {
    values.par_chunks_mut(BLOCK).for_each(function);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn values_are_those_of_the_logarithm() {
        for i in 0..=8600 {
            let x = -0.01 * i as f32;
            let expected = f64::from(x).exp().ln_1p();
            let error = (f64::from(log_1p_exp(x)) / expected - 1.0).abs();
            assert!(error < 4e-7, "{error} at {x}");
        }
        let z = Tensor::<2>::from_floats([[f32::NAN, f32::NEG_INFINITY]], &Device::flex());
        let y = to_vec(softplus(z));
        assert!(y[0].is_nan() && y[1] >= 0.0 && y[1] < 1e-37, "{y:?}");
    }

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
