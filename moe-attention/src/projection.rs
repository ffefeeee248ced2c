//! Projections of few tokens, as in generation token by token: bound by reading the weights.

use burn::backend::Dispatch;
use burn::nn::Linear;
#[cfg(feature = "flex")]
use burn::tensor::DType;
use burn::tensor::Tensor;

use crate::backend::AttentionBackend;

/// Up to this many rows a projection costs what reading its matrix costs.
const FEW_ROWS: usize = 4;

/// The forward pass of a linear layer on tokens, read by all threads however few the tokens are. The
/// weight may be held in bf16, or in blocks of few bits (`moe_quant::quantize`).
///
/// # Shapes
///
/// - x: `[N, d_input]`
/// - output: `[N, d_output]`
pub(crate) fn project(linear: &Linear, x: Tensor<2>) -> Tensor<2> {
    let [rows, _] = x.dims();
    #[cfg(feature = "flex")]
    if let DType::QFloat(_) = linear.weight.val().dtype() {
        return biased(moe_quant::matmul(x, linear.weight.val()), linear);
    }
    if !(1..=FEW_ROWS).contains(&rows) {
        return widened(linear, &x).forward(x);
    }
    biased(few_rows_product(x, linear.weight.val()), linear)
}

fn biased(product: Tensor<2>, linear: &Linear) -> Tensor<2> {
    match &linear.bias {
        Some(bias) => product + bias.val().unsqueeze(),
        None => product,
    }
}

/// The layer with its weight in the type of `x`.
fn widened(linear: &Linear, x: &Tensor<2>) -> Linear {
    let mut linear = linear.clone();
    if linear.weight.val().dtype() != x.dtype() {
        linear.weight = linear.weight.map(|weight| weight.cast(x.dtype()));
    }
    linear
}

fn few_rows_product(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let (x, w) = (x.into_dispatch(), w.into_dispatch());
    Tensor::from_dispatch(<Dispatch as AttentionBackend>::few_rows_product(x, w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, values};
    use burn::module::Param;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;
    use moe_quant::{Format, dequantize, quantize};

    /// A layer of more rows than one task reads, wider than one line of the caches.
    fn linear(bias: bool, device: &Device) -> Linear {
        let mut linear = LinearConfig::new(300, 37).with_bias(bias).init(device);
        linear.weight = Param::from_tensor(values([300, 37], 1, device));
        linear
    }

    #[test]
    fn few_rows_are_what_many_are() {
        let device = Device::flex();
        for bias in [false, true] {
            let linear = linear(bias, &device);
            for rows in [0, 1, FEW_ROWS, FEW_ROWS + 1] {
                let x = values([rows, 300], 2, &device);
                assert_close(project(&linear, x.clone()), linear.forward(x), 1e-5);
            }
        }
    }

    #[test]
    fn a_transposed_matrix_is_read_as_it_lies() {
        let device = Device::flex();
        let mut linear = linear(false, &device);
        let turned = values([37, 300], 3, &device).transpose();
        linear.weight = Param::from_tensor(turned.clone());
        let x = values([2, 300], 2, &device);
        assert_close(project(&linear, x.clone()), x.matmul(turned), 1e-5);
    }

    #[test]
    fn a_matrix_in_bf16_is_read_as_its_numbers() {
        let device = Device::flex();
        let mut halves = linear(true, &device);
        halves.weight = halves.weight.map(|weight| weight.cast(DType::BF16));
        let mut wide = halves.clone();
        wide.weight = wide.weight.map(|weight| weight.cast(DType::F32));
        for rows in [1, FEW_ROWS, FEW_ROWS + 1] {
            let x = values([rows, 300], 2, &device);
            assert_close(project(&halves, x.clone()), wide.forward(x), 1e-5);
        }
    }

    #[test]
    fn a_matrix_in_blocks_is_read_as_its_numbers() {
        let device = Device::flex();
        let mut wide = LinearConfig::new(320, 37).init(&device);
        wide.weight = Param::from_tensor(values([320, 37], 1, &device));
        for format in [Format::Q8, Format::Q4] {
            let mut held = wide.clone();
            let weight = quantize(held.weight.val(), format).expect("whole blocks");
            held.weight = Param::from_tensor(weight.clone());
            wide.weight = Param::from_tensor(dequantize(weight));
            for rows in [0, 1, FEW_ROWS, FEW_ROWS + 1] {
                let x = values([rows, 320], 2, &device);
                // numbers within 1, rounded by at most 1/254 each: sums of 320 of them by far less than 0.2
                assert_close(project(&held, x.clone()), wide.forward(x), 0.2);
            }
        }
    }

    #[test]
    fn few_rows_have_gradients() {
        let device = Device::flex().autodiff();
        let linear = linear(true, &device);
        let x = values([1, 300], 2, &device).require_grad();
        let grads = project(&linear, x.clone()).sum().backward();
        let grad = x.grad(&grads).expect("a gradient");
        let rows = linear.weight.val().inner().sum_dim(1).transpose();
        assert_close(grad, rows, 1e-5);
        let grad = linear.weight.val().grad(&grads).expect("a gradient");
        assert_close(grad, x.inner().transpose().repeat_dim(1, 37), 1e-5);
    }
}
