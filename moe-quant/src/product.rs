//! Products of rows with matrices, by all threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernel;
use crate::rows::Block;
use crate::{Matrix, Rows, Tile};

/// A task reads about this many bytes of a matrix: enough to stream, few enough to keep all threads busy.
const PART_BYTES: usize = 1 << 17;

/// A task of a product of more rows than this has this many of them and the whole matrix.
const PART_ROWS: usize = 32;

/// Some rows, the matrix that they meet, and where their product goes.
#[derive(Debug)]
pub struct Product<'a, T> {
    /// All rows.
    pub rows: &'a Rows,
    /// Those of them that meet the matrix.
    pub range: Range<usize>,
    /// The matrix, `[d_in, d_out]`.
    pub matrix: Matrix<'a, T>,
    /// `[n_rows, d_out]`, overwritten.
    pub out: &'a mut [f32],
}

/// Some columns of a product of few rows.
struct Part<'a, T> {
    rows: &'a [Block],
    matrix: Matrix<'a, T>,
    /// `[n_rows, d_out]` of these columns.
    sums: Vec<f32>,
}

impl<'a, T: Tile> Product<'a, T> {
    fn parts(&self) -> Vec<Part<'a, T>> {
        let rows = self.rows.blocks(self.range.clone());
        let part = |matrix| Part {
            rows,
            matrix,
            sums: Vec::new(),
        };
        self.matrix.split(PART_BYTES).map(part).collect()
    }

    fn check(&self) {
        assert!(
            self.rows.d_in() == self.matrix.d_in()
                && self.range.start <= self.range.end
                && self.range.end <= self.rows.n_rows()
                && self.out.len() == self.range.len() * self.matrix.d_out(),
            "rows {:?} of {} x {} times {} x {} into {} numbers",
            self.range,
            self.rows.n_rows(),
            self.rows.d_in(),
            self.matrix.d_in(),
            self.matrix.d_out(),
            self.out.len()
        );
    }
}

impl<T: Tile> Part<'_, T> {
    fn run(&mut self) {
        let width = self.matrix.d_out();
        self.sums
            .resize(self.rows.len() / self.matrix.n_blocks() * width, 0.0);
        let columns = self.matrix.columns();
        kernel::product(&mut self.sums, width, width, self.rows, columns);
    }
}

/// Computes the products. Each sum has one order, so the bits depend neither on the number of threads nor on
/// the rows beside one.
///
/// # Panics
///
/// Panics if the sizes of a product disagree.
pub fn run_all<T: Tile>(products: Vec<Product<'_, T>>) {
    products.iter().for_each(Product::check);
    let is_tall = |product: &Product<'_, T>| product.range.len() > PART_ROWS;
    let (tall, mut flat): (Vec<_>, Vec<_>) = products.into_iter().partition(is_tall);
    tall.into_iter().for_each(by_rows);
    by_columns(&mut flat);
}

/// `out [R, d_out] = x W` on the calling thread.
///
/// # Panics
///
/// Panics if the sizes disagree.
pub fn run_here<T: Tile>(product: Product<'_, T>) {
    product.check();
    let (d_out, rows) = (product.matrix.d_out(), product.rows.blocks(product.range));
    kernel::product(product.out, d_out, d_out, rows, product.matrix.columns());
}

fn by_rows<T: Tile>(product: Product<'_, T>) {
    let Product {
        rows,
        range,
        matrix,
        out,
    } = product;
    let parts = out.par_chunks_mut(PART_ROWS * matrix.d_out()).enumerate();
    parts.with_max_len(1).for_each(|(i, out)| {
        let start = range.start + i * PART_ROWS;
        let range = start..range.end.min(start + PART_ROWS);
        run_here(Product {
            rows,
            range,
            matrix,
            out,
        });
    });
}

/// All parts of all products at once: a thread that is done takes the next.
fn by_columns<T: Tile>(products: &mut [Product<'_, T>]) {
    let mut parts: Vec<Part<'_, T>> = products.iter().flat_map(Product::parts).collect();
    match parts.as_mut_slice() {
        // handing it over costs more than a small one takes
        [part] => part.run(),
        parts => parts
            .par_iter_mut()
            .with_max_len(1)
            .for_each(|part| part.run()),
    }
    let mut parts = parts.iter();
    for product in products {
        let d_out = product.matrix.d_out();
        let mut first = 0;
        while first < d_out
            && let Some(part) = parts.next()
        {
            let width = part.matrix.d_out();
            let rows = product.out.chunks_exact_mut(d_out);
            for (out, sums) in rows.zip(part.sums.chunks_exact(width)) {
                out[first..first + width].copy_from_slice(sums);
            }
            first += width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Q4Tile, Q8Tile, pack};

    fn numbers(n: usize, step: usize) -> Vec<f32> {
        (0..n)
            .map(|i| (i * step % 101) as f32 / 50.0 - 1.0)
            .collect()
    }

    /// Each row by itself, on this thread.
    fn one_by_one<T: Tile>(rows: &Rows, matrix: Matrix<'_, T>) -> Vec<f32> {
        let mut y = vec![f32::NAN; rows.n_rows() * matrix.d_out()];
        for (r, out) in y.chunks_mut(matrix.d_out()).enumerate() {
            run_here(Product {
                rows,
                range: r..r + 1,
                matrix,
                out,
            });
        }
        y
    }

    #[test]
    fn few_rows_many_rows_and_none_are_rows_one_by_one() {
        // 1024 x 901 of 8 bits is several parts, the last of them ragged
        let (d_in, d_out) = (1024, 901);
        let tiles: Vec<Q8Tile> = pack(&numbers(d_in * d_out, 37), d_out);
        let matrix = Matrix::new(&tiles, d_out);
        assert!(matrix.split(PART_BYTES).count() > 2);
        for n_rows in [0, 1, 3, PART_ROWS, PART_ROWS + 1, 3 * PART_ROWS - 5] {
            let rows = Rows::new(&numbers(n_rows * d_in, 53), d_in);
            let mut y = vec![f32::NAN; n_rows * d_out];
            run_all(vec![Product {
                rows: &rows,
                range: 0..n_rows,
                matrix,
                out: &mut y,
            }]);
            assert_eq!(y, one_by_one(&rows, matrix), "{n_rows} rows");
        }
    }

    #[test]
    fn products_of_different_widths_at_once() {
        let rows = Rows::new(&numbers(5 * 64, 29), 64);
        let stacks = [(7, 0..2), (33, 2..5), (16, 5..5)];
        let tiles = stacks
            .clone()
            .map(|(d_out, _)| pack(&numbers(64 * d_out, 31), d_out));
        let mut outs = stacks
            .clone()
            .map(|(d_out, range)| vec![f32::NAN; range.len() * d_out]);
        let tasks = stacks.iter().zip(&tiles).zip(&mut outs);
        let products = tasks.map(|(((d_out, range), tiles), out)| Product {
            rows: &rows,
            range: range.clone(),
            matrix: Matrix::<Q4Tile>::new(tiles, *d_out),
            out,
        });
        run_all(products.collect());
        for (((d_out, range), tiles), out) in stacks.into_iter().zip(&tiles).zip(outs) {
            let all = one_by_one(&rows, Matrix::<Q4Tile>::new(tiles, d_out));
            assert_eq!(out, all[range.start * d_out..range.end * d_out]);
        }
    }

    #[test]
    #[should_panic(expected = "rows 0..1 of 1 x 32 times 64 x 3 into 3 numbers")]
    fn sizes_agree() {
        let tiles: Vec<Q8Tile> = pack(&[0.0; 64 * 3], 3);
        run_here(Product {
            rows: &Rows::new(&[0.0; 32], 32),
            range: 0..1,
            matrix: Matrix::new(&tiles, 3),
            out: &mut [0.0; 3],
        });
    }
}
