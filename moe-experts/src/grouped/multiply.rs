//! Products of blocks of rows with a stack of matrices.

use burn::backend::{Backend, Slice, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{IndexingUpdateOp, Shape};

use super::blocks::{Blocks, Group};
use super::rows::{index, rows_of, select_or_zero, zeros};

/// Rows `[N, D]` at their places, `[P, D]`.
pub(super) fn to_places<B: Backend>(x_nd: FloatTensor<B>, blocks: &Blocks) -> FloatTensor<B> {
    if blocks.are_rows() {
        return x_nd;
    }
    picked::<B>(x_nd, blocks.row_of_place())
}

/// Rows `[N, D]` from their places `[P, D]`.
pub(super) fn to_rows<B: Backend>(x_pd: FloatTensor<B>, blocks: &Blocks) -> FloatTensor<B> {
    if blocks.are_rows() {
        return x_pd;
    }
    picked::<B>(x_pd, blocks.place_of_row())
}

/// The listed rows of `x [N, D]`; row N is one of zeros.
fn picked<B: Backend>(x: FloatTensor<B>, rows: &[u32]) -> FloatTensor<B> {
    let [n_rows, width] = [x.shape()[0], x.shape()[1]];
    if rows.is_empty() {
        return zeros::<B>([0, width], &x);
    }
    let list = index::<B>(rows, &x);
    let has_zeros = rows.contains(&(n_rows as u32));
    select_or_zero::<B>(x, list, rows.len(), has_zeros)
}

/// The stack with rows and columns exchanged.
pub(super) fn transposed<B: Backend>(w: FloatTensor<B>) -> FloatTensor<B> {
    B::float_swap_dims(w, 1, 2)
}

/// `[P, F]`: the rows at the places of an expert, `[P, D]`, times its matrix of the stack `[E, D, F]`.
pub(super) fn multiply<B: Backend>(
    x_pd: FloatTensor<B>,
    w: FloatTensor<B>,
    blocks: &Blocks,
) -> FloatTensor<B> {
    let width = w.shape()[2];
    let used = blocks.groups().iter().filter(|group| group.height > 0);
    let of_group = |group: &Group| {
        let x = block_rows::<B>(&x_pd, group);
        let y = B::float_matmul(x, matrices::<B>(&w, group));
        B::float_reshape(y, Shape::from(vec![group.places.len(), width]))
    };
    let parts: Vec<_> = used.map(of_group).collect();
    joined::<B>(parts).unwrap_or_else(|| zeros::<B>(vec![0, width], &x_pd))
}

/// `[E, D, F]`: for each expert the sum of `x^T y` over the rows at its places, `[P, D]` and `[P, F]`.
pub(super) fn outer<B: Backend>(
    x_pd: FloatTensor<B>,
    y_pf: FloatTensor<B>,
    blocks: &Blocks,
) -> FloatTensor<B> {
    let [d, f] = [x_pd.shape()[1], y_pf.shape()[1]];
    let none = |n_experts: usize| zeros::<B>(vec![n_experts, d, f], &x_pd);
    let of_group = |group: &Group| {
        let shape = Shape::from(vec![group.experts.len(), d, f]);
        let x = block_rows::<B>(&x_pd, group);
        let rank = x.shape().num_dims();
        let x = B::float_swap_dims(x, rank - 2, rank - 1);
        let y = block_rows::<B>(&y_pf, group);
        B::float_reshape(B::float_matmul(x, y), shape)
    };
    let n_experts = blocks.n_experts();
    match blocks.groups() {
        [all, more @ ..] if all.experts.len() == n_experts => {
            let base = if all.height == 0 {
                none(n_experts)
            } else {
                of_group(all)
            };
            more.iter().fold(base, |sum, group| {
                let experts = index::<B>(&group.experts, &x_pd);
                let part = of_group(group);
                B::float_select_assign(sum, 0, experts, part, IndexingUpdateOp::Add)
            })
        }
        groups => {
            // an expert without rows has its place in the stack of gradients
            let mut groups = groups.iter().peekable();
            let of_expert = |expert| {
                let own = groups.next_if(|group| group.experts[0] as usize == expert);
                own.map_or_else(|| none(1), of_group)
            };
            let parts = (0..n_experts).map(of_expert).collect();
            joined::<B>(parts).unwrap_or_else(|| none(0))
        }
    }
}

/// The rows of a group as `[experts, height, D]`, or as `[height, D]` of one expert.
fn block_rows<B: Backend>(x_pd: &FloatTensor<B>, group: &Group) -> FloatTensor<B> {
    let width = x_pd.shape()[1];
    let rows = rows_of::<B>(x_pd, group.places.clone());
    match group.experts.len() {
        1 => rows,
        n => B::float_reshape(rows, Shape::from(vec![n, group.height, width])),
    }
}

/// The matrices of a group as `[experts, D, F]`, or as `[D, F]` of one expert.
fn matrices<B: Backend>(w: &FloatTensor<B>, group: &Group) -> FloatTensor<B> {
    let [n_experts, d, f] = [w.shape()[0], w.shape()[1], w.shape()[2]];
    match group.experts[..] {
        [one] => {
            let one = one as usize;
            let at = [one..one + 1, 0..d, 0..f].map(Slice::from);
            let matrix = B::float_slice(w.clone(), &at);
            B::float_reshape(matrix, Shape::from(vec![d, f]))
        }
        ref all if all.len() == n_experts => w.clone(),
        ref some => B::float_select(w.clone(), 0, index::<B>(some, w)),
    }
}

fn joined<B: Backend>(mut parts: Vec<FloatTensor<B>>) -> Option<FloatTensor<B>> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(B::float_cat(parts, 0)),
    }
}
