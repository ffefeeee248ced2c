//! Weights in blocks of 8 and 4 bits.

use burn_flex::FlexTensor;
use moe_quant::{Matrix, Product, Q4Tile, Q8Tile, Rows, Tile, run_all};

use super::few_rows::FewRows;
use super::weight::Weight;
use crate::plan::block;

macro_rules! weights_in_blocks {
    ($($tile:ident),*) => {$(
        impl Weight for $tile {
            fn of(tensor: &FlexTensor) -> &[Self] {
                moe_quant::tiles(tensor)
            }

            fn product(dst: &mut [f32], x: &[f32], w: &[Self], d_out: usize) {
                product(dst, x, Matrix::new(w, d_out));
            }

            fn few<const N: usize>(rows: &FewRows<'_>, stacks: [&[Self]; N], outs: [&mut [f32]; N]) {
                few(rows, stacks, outs);
            }
        }
    )*};
}
weights_in_blocks!(Q8Tile, Q4Tile);

fn product<T: Tile>(out: &mut [f32], x: &[f32], matrix: Matrix<'_, T>) {
    let rows = Rows::new(x, matrix.d_in());
    run_all(vec![Product {
        rows: &rows,
        range: 0..rows.n_rows(),
        matrix,
        out,
    }]);
}

/// One product for every matrix that has rows, all at once.
fn few<const N: usize, T: Tile>(few: &FewRows<'_>, stacks: [&[T]; N], outs: [&mut [f32]; N]) {
    let rows = Rows::new(few.x, few.d_in);
    let mut products = Vec::new();
    for (stack, mut out) in stacks.into_iter().zip(outs) {
        let matrices = stack.chunks_exact(stack.len() / few.ends.len());
        for (expert, tiles) in matrices.enumerate() {
            let range = block(few.ends, expert);
            if range.is_empty() {
                continue;
            }
            products.push(Product {
                rows: &rows,
                range: range.clone(),
                matrix: Matrix::new(tiles, few.d_out),
                out: out
                    .split_off_mut(..range.len() * few.d_out)
                    .expect("a place for every row"),
            });
        }
    }
    run_all(products);
}
