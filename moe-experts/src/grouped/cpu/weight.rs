//! The types that weights are held in.

use burn::tensor::bf16;
use burn_flex::FlexTensor;

use super::few_rows::FewRows;
use super::kernel::{Mat, Write, gemm, product_bf16};

/// A weight that a product reads; sums are in f32 whatever it is.
pub(super) trait Weight: Copy + Sync {
    /// The memory of a tensor of this type.
    fn of(tensor: &FlexTensor) -> &[Self];

    /// `dst [R, d_out] = x [R, d_in] w [d_in, d_out]`.
    fn product(dst: &mut [f32], x: &[f32], w: &[Self], d_out: usize);

    /// See [`FewRows::products`].
    fn few<const N: usize>(rows: &FewRows<'_>, stacks: [&[Self]; N], outs: [&mut [f32]; N]);
}

/// A weight that stands for itself.
pub(super) trait Number: Weight {
    /// The same number.
    fn widen(self) -> f32;
}

impl Weight for f32 {
    fn of(tensor: &FlexTensor) -> &[f32] {
        tensor.storage()
    }

    fn product(dst: &mut [f32], x: &[f32], w: &[f32], d_out: usize) {
        let d_in = w.len() / d_out;
        gemm(dst, Mat::new(x, d_in), Mat::new(w, d_out), Write::Set);
    }

    fn few<const N: usize>(rows: &FewRows<'_>, stacks: [&[f32]; N], outs: [&mut [f32]; N]) {
        rows.streamed(stacks, outs);
    }
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Weight for bf16 {
    fn of(tensor: &FlexTensor) -> &[bf16] {
        tensor.storage()
    }

    fn product(dst: &mut [f32], x: &[f32], w: &[bf16], d_out: usize) {
        product_bf16(dst, x, w, d_out);
    }

    fn few<const N: usize>(rows: &FewRows<'_>, stacks: [&[bf16]; N], outs: [&mut [f32]; N]) {
        rows.streamed(stacks, outs);
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        // bf16 is the upper half of an f32, so this is exact
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}
