//! The operations composed from any backend's primitives: a loop over experts on slices.
//!
//! It runs inside the operation, below differentiation, so no slice of a weight stack is ever
//! differentiated. Both directions of the token-row map are gathers: scatters are slow or
//! unordered on accelerators.

use burn::backend::{
    Backend, Slice, TensorMetadata, get_device_settings,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{Shape, TensorData};

use super::kernels::{FfnInputs, FfnKept, FfnTracked};
use crate::{Activation, RowPlan, plan::block};

/// `y_n = x_n W_e` for the expert `e` of row `n`.
pub(super) fn product<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    ends: &[u32],
) -> FloatTensor<B> {
    let width = w.shape()[2];
    each_expert::<B>(&x, &w, ends, width, |x, w| B::float_matmul(x, w))
}

/// `y_n = x_n W_e^T`.
pub(super) fn product_transposed<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    ends: &[u32],
) -> FloatTensor<B> {
    let width = w.shape()[1];
    each_expert::<B>(&x, &w, ends, width, |x, w| {
        B::float_matmul(x, B::float_transpose(w))
    })
}

/// `W_e = sum over rows n of e of x_n^T y_n`.
pub(super) fn outer<B: Backend>(
    x: FloatTensor<B>,
    y: FloatTensor<B>,
    ends: &[u32],
) -> FloatTensor<B> {
    let shape = Shape::from(vec![1, x.shape()[1], y.shape()[1]]);
    let of_expert = |expert| {
        let rows = block(ends, expert);
        if rows.is_empty() {
            // an expert without rows has its place in the stack of gradients
            return zeros::<B>(shape.clone(), &x);
        }
        let x = rows_of::<B>(&x, rows.clone());
        let y = rows_of::<B>(&y, rows);
        B::float_reshape(B::float_matmul(B::float_transpose(x), y), shape.clone())
    };
    B::float_cat((0..ends.len()).map(of_expert).collect(), 0)
}

/// Forward pass of the mixture feed-forward.
pub(super) fn ffn<B: Backend>(
    inputs: FfnInputs<FloatTensor<B>>,
    plan: &RowPlan,
    activation: Activation,
) -> FfnTracked<FloatTensor<B>> {
    let x_nd = select::<B>(inputs.x, plan.rows_token());
    let kept = FfnKept {
        gate: inputs
            .gate
            .map(|w| product::<B>(x_nd.clone(), w, plan.ends())),
        up: product::<B>(x_nd, inputs.up, plan.ends()),
    };
    let hidden = Hidden::<B>::new(&kept, activation).value;
    let hidden = B::float_mul(hidden, row_gates::<B>(inputs.gates, plan));
    let y_nd = product::<B>(hidden, inputs.down, plan.ends());
    FfnTracked {
        out: sum_rows::<B>(y_nd, plan),
        kept,
    }
}

/// Backward pass of the mixture feed-forward.
pub(super) fn ffn_backward<B: Backend>(
    inputs: FfnInputs<FloatTensor<B>>,
    kept: FfnKept<FloatTensor<B>>,
    plan: &RowPlan,
    activation: Activation,
    d_out: FloatTensor<B>,
) -> FfnInputs<FloatTensor<B>> {
    let ends = plan.ends();
    let x_nd = select::<B>(inputs.x, plan.rows_token());
    let dy_nd = select::<B>(d_out, plan.rows_token());
    let gates_n1 = row_gates::<B>(inputs.gates, plan);
    let hidden = Hidden::<B>::new(&kept, activation);

    let scaled = B::float_mul(hidden.value.clone(), gates_n1.clone());
    let down = outer::<B>(scaled, dy_nd.clone(), ends);
    let d_hidden = product_transposed::<B>(dy_nd, inputs.down, ends);
    let d_gates_n1 = B::float_sum_dim(B::float_mul(hidden.value, d_hidden.clone()), 1);

    let d_hidden = B::float_mul(d_hidden, gates_n1);
    let d_up = B::float_mul(d_hidden.clone(), hidden.up_slope);
    let d_gate = hidden.gate_slope.map(|slope| B::float_mul(d_hidden, slope));
    let mut dx_nd = product_transposed::<B>(d_up.clone(), inputs.up, ends);
    if let (Some(d_gate), Some(w)) = (&d_gate, inputs.gate) {
        dx_nd = B::float_add(dx_nd, product_transposed::<B>(d_gate.clone(), w, ends));
    }
    FfnInputs {
        x: sum_rows::<B>(dx_nd, plan),
        gate: d_gate.map(|d_gate| outer::<B>(x_nd.clone(), d_gate, ends)),
        up: outer::<B>(x_nd, d_up, ends),
        down,
        gates: row_to_assignment::<B>(d_gates_n1, plan),
    }
}

/// Hidden rows and their slopes in the pre-activations, all `[n_rows, d_expert]`.
struct Hidden<B: Backend> {
    value: FloatTensor<B>,
    gate_slope: Option<FloatTensor<B>>,
    up_slope: FloatTensor<B>,
}

impl<B: Backend> Hidden<B> {
    fn new(kept: &FfnKept<FloatTensor<B>>, activation: Activation) -> Self {
        match &kept.gate {
            Some(gate) => {
                let [act, slope] = curve::<B>(gate.clone(), activation);
                Self {
                    value: B::float_mul(act.clone(), kept.up.clone()),
                    gate_slope: Some(B::float_mul(slope, kept.up.clone())),
                    up_slope: act,
                }
            }
            None => {
                let [value, up_slope] = curve::<B>(kept.up.clone(), activation);
                Self {
                    value,
                    gate_slope: None,
                    up_slope,
                }
            }
        }
    }
}

/// Value and slope of the activation.
fn curve<B: Backend>(x: FloatTensor<B>, activation: Activation) -> [FloatTensor<B>; 2] {
    match activation {
        Activation::SwiGlu | Activation::Silu => {
            let ones = B::float_ones(x.shape(), &x.device(), x.dtype().into());
            times_sigmoid::<B>(x.clone(), x, ones)
        }
        Activation::Gelu => {
            const SQRT_8_OVER_PI: f64 = 1.595_769_121_605_730_7;
            const CUBIC: f64 = 0.044_715;
            let square = B::float_mul(x.clone(), x.clone());
            let poly = |factor: f64| {
                let poly = B::float_mul_scalar(square.clone(), (factor * CUBIC).into());
                B::float_mul_scalar(B::float_add_scalar(poly, 1.0.into()), SQRT_8_OVER_PI.into())
            };
            let z = B::float_mul(x.clone(), poly(1.0));
            times_sigmoid::<B>(x, z, poly(3.0))
        }
        Activation::Relu => {
            let ones = B::float_ones(x.shape(), &x.device(), x.dtype().into());
            let value = B::relu(x);
            [value.clone(), B::relu_backward(value, ones)]
        }
    }
}

/// `x sigmoid(z)` and its slope `s + x s (1 - s) dz`.
fn times_sigmoid<B: Backend>(
    x: FloatTensor<B>,
    z: FloatTensor<B>,
    dz: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let s = B::sigmoid(z);
    let value = B::float_mul(x, s.clone());
    let rest = B::float_add_scalar(B::float_neg(s.clone()), 1.0.into());
    let slope = B::float_add(s, B::float_mul(B::float_mul(value.clone(), rest), dz));
    [value, slope]
}

/// Applies `f` to every non-empty expert's rows and matrix, and joins the results of `width` columns.
fn each_expert<B: Backend>(
    x: &FloatTensor<B>,
    w: &FloatTensor<B>,
    ends: &[u32],
    width: usize,
    f: impl Fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<B> {
    let [height, depth] = [w.shape()[1], w.shape()[2]];
    let of_expert = |expert| {
        let rows = block(ends, expert);
        let at = [
            Slice::from(expert..expert + 1),
            Slice::from(0..height),
            Slice::from(0..depth),
        ];
        let matrix = Shape::from(vec![height, depth]);
        (!rows.is_empty()).then(|| {
            let w = B::float_reshape(B::float_slice(w.clone(), &at), matrix);
            f(rows_of::<B>(x, rows), w)
        })
    };
    // in ascending order of experts, which is the order of the rows
    let parts: Vec<_> = (0..ends.len()).filter_map(of_expert).collect();
    if parts.is_empty() {
        return zeros::<B>(Shape::from(vec![0, width]), x);
    }
    B::float_cat(parts, 0)
}

fn rows_of<B: Backend>(x: &FloatTensor<B>, rows: std::ops::Range<usize>) -> FloatTensor<B> {
    let width = x.shape()[1];
    B::float_slice(x.clone(), &[Slice::from(rows), Slice::from(0..width)])
}

fn zeros<B: Backend>(shape: Shape, like: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(shape, &like.device(), like.dtype().into())
}

fn select<B: Backend>(x: FloatTensor<B>, rows: &[u32]) -> FloatTensor<B> {
    if rows.is_empty() {
        return zeros::<B>(Shape::from(vec![0, x.shape()[1]]), &x);
    }
    let index = index::<B>(rows, &x);
    B::float_select(x, 0, index)
}

fn index<B: Backend>(rows: &[u32], like: &FloatTensor<B>) -> IntTensor<B> {
    let device = like.device();
    let dtype = get_device_settings::<B>(&device).int_dtype;
    let rows: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
    let shape = [rows.len()];
    B::int_from_data(
        TensorData::new(rows, shape).convert_dtype(dtype.into()),
        &device,
    )
}

/// The gate of each row, `[n_rows, 1]`.
fn row_gates<B: Backend>(gates: FloatTensor<B>, plan: &RowPlan) -> FloatTensor<B> {
    let gates_a1 = B::float_reshape(gates, Shape::from(vec![plan.n_assignments(), 1]));
    select::<B>(gates_a1, plan.rows_assignment())
}

/// `[n_assignments]`: a row's value at its assignment, zero at dropped assignments.
fn row_to_assignment<B: Backend>(values_n1: FloatTensor<B>, plan: &RowPlan) -> FloatTensor<B> {
    // dropped assignments take the row of zeros behind the last
    let mut rows = vec![plan.n_rows() as u32; plan.n_assignments()];
    for (row, &a) in plan.rows_assignment().iter().enumerate() {
        rows[a as usize] = row as u32;
    }
    let values = select::<B>(with_zero_row::<B>(values_n1), &rows);
    B::float_reshape(values, Shape::from(vec![plan.n_assignments()]))
}

/// `[n_tokens, d_model]`: every token's rows, summed in ascending order.
fn sum_rows<B: Backend>(rows_nd: FloatTensor<B>, plan: &RowPlan) -> FloatTensor<B> {
    let most = (0..plan.n_tokens())
        .map(|t| plan.rows_of_token(t).len())
        .max();
    let padded = with_zero_row::<B>(rows_nd);
    let nth = |i| {
        let row = |t| plan.rows_of_token(t).get(i).copied();
        let rows = (0..plan.n_tokens()).map(|t| row(t).unwrap_or(plan.n_rows() as u32));
        select::<B>(padded.clone(), &rows.collect::<Vec<_>>())
    };
    // A token without rows takes the zero row once.
    (1..most.unwrap_or(0)).fold(nth(0), |sum, i| B::float_add(sum, nth(i)))
}

fn with_zero_row<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let zero = zeros::<B>(Shape::from(vec![1, x.shape()[1]]), &x);
    if x.shape()[0] == 0 {
        return zero;
    }
    B::float_cat(vec![x, zero], 0)
}
