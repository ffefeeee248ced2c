//! Instruction sets beside one another, and beside dequantised numbers.

use super::*;
use crate::rows::Rows;
use crate::tile::weight;
use crate::{Matrix, Q4Tile, Q8Tile, pack as pack_matrix};
use proptest::prelude::*;

/// The product by each set of instructions that the processor has.
fn all<T: Tile>(x: &[f32], w: &[f32], d_out: usize) -> Vec<(Instructions, Vec<Sums<1>>)> {
    let tiles: Vec<T> = pack_matrix(w, d_out);
    let matrix = Matrix::new(&tiles, d_out);
    let rows = Rows::new(x, matrix.d_in());
    let of_set = |set: Instructions| {
        let of_row = |r: usize| {
            let columns = matrix.columns();
            let row = rows.blocks(r..r + 1);
            columns.map(move |tiles| set.sums::<1, T>([row], tiles))
        };
        (set, (0..rows.n_rows()).flat_map(of_row).collect())
    };
    Instructions::all().map(of_set).collect()
}

/// All sets give the bits of plain Rust, which are those of dequantised numbers but for rounding.
fn check<T: Tile>(x: &[f32], w: &[f32], d_out: usize) -> Result<(), TestCaseError> {
    let found = all::<T>(x, w, d_out);
    let (_, plain) = found.last().expect("plain Rust");
    for (set, sums) in &found {
        prop_assert_eq!(sums, plain, "{:?}", set);
    }
    let tiles: Vec<T> = pack_matrix(w, d_out);
    let matrix = Matrix::new(&tiles, d_out);
    let (d_in, weights) = (matrix.d_in(), matrix.weights());
    let wide = d_out.div_ceil(LANES);
    for (r, x) in x.chunks(d_in).enumerate() {
        let rows = Rows::new(x, d_in);
        for column in 0..d_out {
            let (mut exact, mut bound) = (0f64, 0f64);
            for (i, x) in x.iter().enumerate() {
                let w = f64::from(weights[i * d_out + column]);
                exact += f64::from(*x) * w;
                let half_a_step = f64::from(rows.blocks(0..1)[i / BLOCK].scale) / 2.0;
                // rounding of a number of the row, and the sums in f32
                bound += w.abs() * (half_a_step * 1.0001 + 1e-5 * f64::from(x.abs()));
            }
            let sum = f64::from(plain[r * wide + column / LANES][0][column % LANES]);
            prop_assert!((sum - exact).abs() <= bound, "{sum}, {exact} +- {bound}");
        }
    }
    Ok(())
}

fn numbers(n: usize) -> impl Strategy<Value = Vec<f32>> {
    let number = prop_oneof![8 => -3f32..3.0, 1 => Just(0.0), 1 => -1e4f32..1e4];
    prop::collection::vec(number, n)
}

fn problem() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, usize)> {
    (1..4usize, 1..4usize, 1..40usize).prop_flat_map(|(n_rows, n_blocks, d_out)| {
        let d_in = n_blocks * BLOCK;
        (numbers(n_rows * d_in), numbers(d_in * d_out), Just(d_out))
    })
}

proptest! {
    #[test]
    fn all_instructions_give_the_same_bits((x, w, d_out) in problem()) {
        check::<Q8Tile>(&x, &w, d_out)?;
        check::<Q4Tile>(&x, &w, d_out)?;
    }

    #[test]
    fn rounding_by_vectors_is_rounding(x in numbers(3 * BLOCK)) {
        let (blocks, _) = x.as_chunks();
        prop_assert_eq!(round(blocks), blocks.iter().map(Block::round).collect::<Vec<_>>());
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    // every weight and every number at its limit: 32 * 127 * 127, with each sign
    for sign in [1.0, -1.0] {
        let found = all::<Q8Tile>(&[127.0 * sign; BLOCK], &[127.0; BLOCK * 16], 16);
        for (set, sums) in found {
            assert_eq!(sums[0][0], [sign * 516_128.0; LANES], "{set:?}");
        }
        // -8 is the largest of four bits: 32 * 127 * 8
        let found = all::<Q4Tile>(&[127.0 * sign; BLOCK], &[-8.0; BLOCK * 16], 16);
        for (set, sums) in found {
            assert_eq!(sums[0][0], [sign * -32_512.0; LANES], "{set:?}");
        }
    }
}

#[test]
fn rows_in_passes_are_rows_one_by_one() {
    let x: Vec<f32> = (0..19 * 64)
        .map(|i| ((i * 37) % 101) as f32 - 50.0)
        .collect();
    let w: Vec<f32> = (0..64 * 21)
        .map(|i| ((i * 53) % 97) as f32 - 48.0)
        .collect();
    let tiles: Vec<Q4Tile> = pack_matrix(&w, 21);
    let matrix = Matrix::new(&tiles, 21);
    for n_rows in 1..19 {
        let rows = Rows::new(&x[..n_rows * 64], 64);
        let mut many = vec![f32::NAN; n_rows * 21];
        product(&mut many, 21, 21, rows.blocks(0..n_rows), matrix.columns());
        for (r, many) in many.chunks(21).enumerate() {
            let mut one = [f32::NAN; 21];
            product(&mut one, 21, 21, rows.blocks(r..r + 1), matrix.columns());
            assert_eq!(many, one);
        }
    }
}

#[test]
fn a_product_by_hand() {
    // 4 bits, the weights are column - 8 throughout: -8 holds itself, others are the largest of their block
    let w: Vec<f32> = (0..BLOCK * 16).map(|i| (i % 16) as f32 - 8.0).collect();
    let tiles: Vec<Q4Tile> = pack_matrix(&w, 16);
    assert_eq!(weight(&tiles[0], 3, 9), -5.0);
    // x = 127, then zeros: its scale is one, so the sum is 127 (column - 8)
    let mut x = [0f32; BLOCK];
    x[0] = 127.0;
    let mut y = [0f32; 16];
    let rows = Rows::new(&x, BLOCK);
    product(
        &mut y,
        16,
        16,
        rows.blocks(0..1),
        Matrix::new(&tiles, 16).columns(),
    );
    for (column, y) in y.into_iter().enumerate() {
        assert_eq!(y, 127.0 * (column as f32 - 8.0));
    }
}
