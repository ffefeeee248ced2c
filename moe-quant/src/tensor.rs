//! Tensors of Burn whose memory are blocks.

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};

use crate::tile::BLOCK;
use crate::{Format, Matrix, Product, Q4Tile, Q8Tile, QuantizeError, Rows, Tile, pack, run_all};

/// Rounds weights to blocks.
///
/// # Shapes
///
/// - w: `[.., d_in, d_out]`
/// - output: `[.., d_in, d_out]`, of the type [`Format::dtype`], for products of this crate alone
///
/// # Errors
///
/// Returns an error if `d_in` is no multiple of 32, or if the weights are not in f32 on the device `flex`.
pub fn quantize<const D: usize>(w: Tensor<D>, format: Format) -> Result<Tensor<D>, QuantizeError> {
    let shape = w.dims();
    let [.., d_in, d_out] = shape[..] else {
        return Err(QuantizeError::Width(shape.to_vec()));
    };
    if shape.contains(&0) || !d_in.is_multiple_of(BLOCK) {
        return Err(QuantizeError::Width(shape.to_vec()));
    }
    let w = f32_tensor(w).ok_or(QuantizeError::Tensor)?;
    let (w, size) = (w.storage::<f32>(), d_in * d_out);
    let bytes = match format {
        Format::Q8 => packed::<Q8Tile>(w, size, d_out),
        Format::Q4 => packed::<Q4Tile>(w, size, d_out),
    };
    let layout = Layout::contiguous(Shape::from(shape));
    let tensor = FlexTensor::new(bytes, layout, format.dtype());
    Ok(Tensor::from_primitive::<Flex>(tensor))
}

/// The weights of blocks in f32.
///
/// # Shapes
///
/// - w: `[.., d_in, d_out]` in blocks
/// - output: `[.., d_in, d_out]`
///
/// # Panics
///
/// Panics if `w` is not in blocks.
pub fn dequantize<const D: usize>(w: Tensor<D>) -> Tensor<D> {
    let (format, w) = blocks(w);
    let shape = w.layout().shape().clone();
    let d_out = shape[D - 1];
    let n_matrices = shape[..D - 2].iter().product();
    let weights = match format {
        Format::Q8 => unpacked::<Q8Tile>(&w, n_matrices, d_out),
        Format::Q4 => unpacked::<Q4Tile>(&w, n_matrices, d_out),
    };
    tensor(weights, shape)
}

/// `x w`, its rows rounded to 8 bits a block. The bits of a row do not depend on the rows beside it.
///
/// # Shapes
///
/// - x: `[N, d_in]`, f32 on the device `flex`
/// - w: `[d_in, d_out]` in blocks
/// - output: `[N, d_out]`
///
/// # Panics
///
/// Panics if a shape or a type disagrees, or if `x` is differentiated.
pub fn matmul(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let [n_rows, d_in] = x.dims();
    assert_eq!(d_in, w.dims()[0], "matmul: rows and matrix disagree");
    let (format, w) = blocks(w);
    let x = f32_tensor(x)
        .expect("matmul: rows beside weights in blocks are in f32 on `flex`, and have no gradient");
    let shape = Shape::new([n_rows, w.layout().shape()[1]]);
    let rows = Rows::new(x.storage(), d_in);
    let product = match format {
        Format::Q8 => product::<Q8Tile>(&rows, &w, shape[1]),
        Format::Q4 => product::<Q4Tile>(&rows, &w, shape[1]),
    };
    tensor(product, shape)
}

/// The tiles of a tensor in blocks, one matrix after another.
///
/// # Panics
///
/// Panics if the memory is not that of tiles of this kind.
pub fn tiles<T: Tile>(w: &FlexTensor) -> &[T] {
    bytemuck::cast_slice(w.bytes())
}

fn product<T: Tile>(rows: &Rows, w: &FlexTensor, d_out: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows.n_rows() * d_out];
    run_all(vec![Product {
        rows,
        range: 0..rows.n_rows(),
        matrix: Matrix::new(tiles::<T>(w), d_out),
        out: &mut out,
    }]);
    out
}

fn packed<T: Tile>(w: &[f32], size: usize, d_out: usize) -> Bytes {
    let matrices = w.chunks_exact(size);
    Bytes::from_elems(matrices.flat_map(|w| pack::<T>(w, d_out)).collect())
}

fn unpacked<T: Tile>(w: &FlexTensor, n_matrices: usize, d_out: usize) -> Vec<f32> {
    let tiles = tiles::<T>(w);
    let matrices = tiles.chunks_exact(tiles.len() / n_matrices);
    let weights = |tiles| Matrix::new(tiles, d_out).weights();
    matrices.flat_map(weights).collect()
}

fn blocks<const D: usize>(w: Tensor<D>) -> (Format, FlexTensor) {
    let dtype = w.dtype();
    let format = Format::of(dtype);
    let w = w.try_into_primitive::<Flex>().ok();
    (format.zip(w)).unwrap_or_else(|| panic!("weights in blocks were expected, not in {dtype:?}"))
}

/// The plain row-major memory of a tensor in f32 on this backend that is not differentiated.
fn f32_tensor<const D: usize>(x: Tensor<D>) -> Option<FlexTensor> {
    let x = x.try_into_primitive::<Flex>().ok()?;
    (x.dtype() == DType::F32).then(|| x.to_contiguous())
}

fn tensor<const D: usize>(values: Vec<f32>, shape: Shape) -> Tensor<D> {
    let layout = Layout::contiguous(shape);
    Tensor::from_primitive::<Flex>(FlexTensor::new(
        Bytes::from_elems(values),
        layout,
        DType::F32,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn rms(x: Tensor<2>) -> f32 {
        (x.clone() * x).mean().sqrt().into_scalar()
    }

    #[test]
    fn products_are_near_those_of_the_weights_in_f32() {
        let (x, w) = (random([7, 128]), random([128, 50]));
        for (format, band) in [(Format::Q8, 0.01), (Format::Q4, 0.1)] {
            let held = quantize(w.clone(), format).expect("whole blocks");
            assert_eq!((held.dims(), held.dtype()), ([128, 50], format.dtype()));
            let y = matmul(x.clone(), held.clone());
            let wide = x.clone().matmul(dequantize(held));
            let exact = x.clone().matmul(w.clone());
            // rows of 8 bits: about half a step of 3 / 127 of a number
            assert!(rms(y.clone() - wide.clone()) < 0.01 * rms(wide));
            assert!(rms(y - exact.clone()) < band * rms(exact));
        }
    }

    #[test]
    fn stacks_are_matrices_one_after_another() {
        let w = random([3, 64, 20]);
        let held = dequantize(quantize(w.clone(), Format::Q8).expect("whole blocks"));
        for e in 0..3 {
            let one = w.clone().narrow(0, e, 1).squeeze_dim::<2>(0);
            let one = dequantize(quantize(one, Format::Q8).expect("whole blocks"));
            let of_stack = held.clone().narrow(0, e, 1).squeeze_dim::<2>(0);
            of_stack.into_data().assert_eq(&one.into_data(), true);
        }
    }

    #[test]
    fn a_transposed_matrix_is_read_as_its_numbers() {
        let w = random([20, 64]);
        let turned = quantize(w.clone().transpose(), Format::Q4).expect("whole blocks");
        let copied = Tensor::<2>::from_data(w.transpose().into_data(), &Device::flex());
        let copied = quantize(copied, Format::Q4).expect("whole blocks");
        dequantize(turned)
            .into_data()
            .assert_eq(&dequantize(copied).into_data(), true);
    }

    #[test]
    fn what_cannot_be_held_is_said() {
        let error = quantize(random([33, 20]), Format::Q8).expect_err("no whole blocks");
        assert_eq!(
            error.to_string(),
            "[33, 20]: the last axis but one is no multiple of 32"
        );
        let error = quantize(random([64]), Format::Q8).expect_err("no matrix");
        assert_eq!(error, QuantizeError::Width(vec![64]));
        let error = quantize(random([0, 4]), Format::Q8).expect_err("nothing");
        assert_eq!(error, QuantizeError::Width(vec![0, 4]));
        for w in [
            random([32, 4]).autodiff(),
            random([32, 4]).cast(DType::BF16),
        ] {
            let error = quantize(w, Format::Q4).expect_err("not plain f32");
            assert_eq!(error, QuantizeError::Tensor);
        }
    }

    #[test]
    #[should_panic(expected = "have no gradient")]
    fn there_is_no_gradient() {
        let w = quantize(random([32, 4]), Format::Q8).expect("whole blocks");
        matmul(random([1, 32]).autodiff(), w);
    }

    #[test]
    #[should_panic]
    fn no_other_operation_reads_one() {
        let _ = quantize(random([32, 4]), Format::Q8).expect("whole blocks") + 1.0;
    }
}
