//! The map between tokens, assignments and the places of rows, as lists on a device.

use burn::backend::{
    Backend, TensorMetadata,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::Shape;
use std::sync::Arc;

use super::blocks::Blocks;
use super::rows::{index, select_or_zero, zeros};
use crate::RowPlan;
use crate::device_rows::DeviceShape;

/// Rows to be picked from a tensor of `N` rows: the list, and whether some of them are none of its rows but zeros.
#[derive(Debug, Clone)]
struct Pick<B: Backend> {
    /// `[n]`; none of an empty list.
    list: Option<IntTensor<B>>,
    n: usize,
    has_zeros: bool,
}

/// The places P of rows, T tokens with at most K rows each, A assignments.
#[derive(Debug, Clone)]
pub struct Places<B: Backend> {
    /// The products over the places.
    pub(super) blocks: Arc<Blocks>,
    /// The token of each place.
    tokens_p: Pick<B>,
    /// The assignment of each place.
    assignments_p: Pick<B>,
    /// The places of each token, K each.
    places_tk: Pick<B>,
    /// The place of each assignment.
    places_a: Pick<B>,
    n_tokens: usize,
    k: usize,
}

impl<B: Backend> Pick<B> {
    /// A list of the host of rows of a tensor that has `n_rows`, which itself stands for zeros.
    fn of(list: &[u32], n_rows: usize, like: &FloatTensor<B>) -> Self {
        Self {
            list: (!list.is_empty()).then(|| index::<B>(list, like)),
            n: list.len(),
            has_zeros: list.contains(&(n_rows as u32)),
        }
    }

    fn from(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        match &self.list {
            Some(list) => select_or_zero::<B>(x, list.clone(), self.n, self.has_zeros),
            None => zeros::<B>([0, x.shape()[1]], &x),
        }
    }
}

impl<B: Backend> Places<B> {
    /// The places of a plan of the host.
    pub(super) fn of_plan(plan: &RowPlan, blocks: Blocks, like: &FloatTensor<B>) -> Self {
        let (n_tokens, n_assignments) = (plan.n_tokens(), plan.n_assignments());
        let n_places = blocks.n_places();
        let tokens_p = blocks.of_rows(plan.rows_token(), n_tokens);
        let assignments_p = blocks.of_rows(plan.rows_assignment(), n_assignments);
        let mut places_a = vec![n_places as u32; n_assignments];
        for (&a, &place) in plan.rows_assignment().iter().zip(blocks.place_of_row()) {
            places_a[a as usize] = place;
        }
        let counts = (0..n_tokens).map(|t| plan.rows_of_token(t).len());
        let k = counts.max().unwrap_or(0);
        let mut places_tk = vec![n_places as u32; n_tokens * k];
        for t in 0..n_tokens {
            for (i, &row) in plan.rows_of_token(t).iter().enumerate() {
                places_tk[t * k + i] = blocks.place_of_row()[row as usize];
            }
        }
        Self {
            tokens_p: Pick::of(&tokens_p, n_tokens, like),
            assignments_p: Pick::of(&assignments_p, n_assignments, like),
            places_tk: Pick::of(&places_tk, n_places, like),
            places_a: Pick::of(&places_a, n_places, like),
            blocks: Arc::new(blocks),
            n_tokens,
            k,
        }
    }

    /// The places of rows that were planned on a device.
    pub(super) fn of_device(
        places_a: &IntTensor<B>,
        assignments_p: &IntTensor<B>,
        shape: &DeviceShape,
    ) -> Self {
        let n_assignments = shape.n_tokens * shape.k;
        let pick = |list: IntTensor<B>, n, has_zeros| Pick {
            list: Some(list),
            n,
            has_zeros,
        };
        let n_places = shape.blocks.n_places();
        // the assignments of token t are K t, K t + 1, ..; that of an empty place, K T, is of token T, which is none
        let tokens_p = B::int_div_scalar(assignments_p.clone(), (shape.k as i64).into());
        Self {
            blocks: shape.blocks.clone(),
            tokens_p: pick(tokens_p, n_places, true),
            assignments_p: pick(assignments_p.clone(), n_places, true),
            places_tk: pick(places_a.clone(), n_assignments, shape.has_drops),
            places_a: pick(places_a.clone(), n_assignments, shape.has_drops),
            n_tokens: shape.n_tokens,
            k: shape.k,
        }
    }

    /// Rows of tokens `[T, D]` at the places of their rows, `[P, D]`.
    pub(super) fn of_tokens(&self, x_td: FloatTensor<B>) -> FloatTensor<B> {
        self.tokens_p.from(x_td)
    }

    /// Values of assignments `[A]` at the places of their rows, `[P, 1]`.
    pub(super) fn of_assignments(&self, values_a: FloatTensor<B>) -> FloatTensor<B> {
        let values_a1 = B::float_reshape(values_a, Shape::from(vec![self.places_a.n, 1]));
        self.assignments_p.from(values_a1)
    }

    /// The value of each assignment `[A]` from those of the places `[P, 1]`; zero where it was dropped.
    pub(super) fn to_assignments(&self, values_p1: FloatTensor<B>) -> FloatTensor<B> {
        let values = self.places_a.from(values_p1);
        B::float_reshape(values, Shape::from(vec![self.places_a.n]))
    }

    /// The sum of each token's rows `[T, D]`, which are at the places `[P, D]`.
    pub(super) fn sum_by_token(&self, rows_pd: FloatTensor<B>) -> FloatTensor<B> {
        let width = rows_pd.shape()[1];
        if self.places_tk.n == 0 {
            return zeros::<B>([self.n_tokens, width], &rows_pd);
        }
        let rows = self.places_tk.from(rows_pd);
        let rows_tkd = B::float_reshape(rows, Shape::from(vec![self.n_tokens, self.k, width]));
        let sum = B::float_sum_dim(rows_tkd, 1);
        B::float_reshape(sum, Shape::from(vec![self.n_tokens, width]))
    }
}
