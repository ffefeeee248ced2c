//! Executors with one fault each, around the slow reference.

use burn::tensor::{Int, Tensor, TensorData};
use moe_experts::{Activation, ExpertWeights, RowPlan, reference};
use std::sync::Arc;

type Plan = Arc<RowPlan>;

/// A row: its token, its expert and its assignment.
#[derive(Clone, Copy)]
struct Row {
    token: u32,
    expert: u32,
    assignment: u32,
}

fn rows(plan: &RowPlan) -> Vec<Row> {
    let of_expert = |expert: usize| {
        plan.rows_of_expert(expert).map(move |n| Row {
            token: plan.rows_token()[n],
            expert: expert as u32,
            assignment: plan.rows_assignment()[n],
        })
    };
    (0..plan.n_experts()).flat_map(of_expert).collect()
}

/// The plan of other rows, for the same list of assignments.
fn planned(rows: &[Row], plan: &RowPlan) -> RowPlan {
    let n = plan.n_assignments();
    let (mut tokens, mut experts, mut kept) = (vec![0; n], vec![0; n], vec![false; n]);
    for row in rows {
        let a = row.assignment as usize;
        (tokens[a], experts[a], kept[a]) = (row.token, row.expert, true);
    }
    RowPlan::new(&tokens, &experts, &kept, plan.n_tokens(), plan.n_experts())
}

fn indices(ids: &[u32], x: &Tensor<2>) -> Tensor<1, Int> {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let shape = [ids.len()];
    Tensor::from_data(TensorData::new(ids, shape), &x.device())
}

/// A value of zero with the gradient of `x`.
fn gradient_of(x: Tensor<1>) -> Tensor<1> {
    x.clone() - x.detach()
}

/// A token's output is weighed by squares.
pub fn weights_twice(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    reference::moe_ffn(x, w, g.clone() * g, &p, a)
}

/// A token's output is the plain sum of its experts'.
pub fn no_weights(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    reference::moe_ffn(x, w, g.ones_like(), &p, a)
}

/// Weights of a token are made to sum to 1, which they need not.
pub fn normalised_again(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let (t, n) = (p.n_tokens(), p.n_assignments());
    if p.n_rows() == 0 {
        return reference::moe_ffn(x, w, g, &p, a);
    }
    let mut own_nt = vec![0.0f32; n * t];
    for row in rows(&p) {
        own_nt[row.assignment as usize * t + row.token as usize] = 1.0;
    }
    let own_nt = Tensor::<1>::from_floats(own_nt.as_slice(), &x.device()).reshape([n, t]);
    let sums_t1 = own_nt
        .clone()
        .transpose()
        .matmul(g.clone().unsqueeze_dim(1));
    let sums_n: Tensor<1> = own_nt.matmul(sums_t1).reshape([n]);
    let is_zero = sums_n.clone().equal_elem(0.0);
    reference::moe_ffn(x, w, g / sums_n.mask_fill(is_zero, 1.0), &p, a)
}

/// Row `n` is weighed by assignment `n`.
pub fn weights_unsorted(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    if p.n_rows() == 0 {
        return reference::moe_ffn(x, w, g, &p, a);
    }
    let mut order: Vec<u32> = (0..p.n_assignments() as u32).collect();
    for (n, row) in rows(&p).iter().enumerate() {
        order[row.assignment as usize] = n as u32;
    }
    let order = indices(&order, &x);
    reference::moe_ffn(x, w, g.select(0, order), &p, a)
}

/// Row `n` goes to the token of the `n`-th kept assignment.
pub fn rows_unsorted(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let sorted = rows(&p);
    if sorted.is_empty() {
        return reference::moe_ffn(x, w, g, &p, a);
    }
    let mut listed = sorted.clone();
    listed.sort_by_key(|row| row.assignment);
    let of_rows: Vec<u32> = sorted.iter().map(|row| row.assignment).collect();
    let x_nd = x.clone().select(0, indices(p.rows_token(), &x));
    let g_n = g.select(0, indices(&of_rows, &x));
    let y_nd = reference::moe_ffn(x_nd, w, g_n, &RowPlan::identity(p.ends()), a);
    let tokens: Vec<u32> = listed.iter().map(|row| row.token).collect();
    let tokens = indices(&tokens, &x);
    x.zeros_like()
        .select_assign(0, tokens, y_nd, burn::tensor::IndexingUpdateOp::Add)
}

/// A scatter by places clamps what lies outside: dropped weights are added to the last row's.
pub fn dropped_clamped(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let kept = rows(&p);
    let dropped: Vec<u32> = (0..p.n_assignments() as u32)
        .filter(|&n| kept.iter().all(|row| row.assignment != n))
        .collect();
    let (Some(last), false) = (kept.last(), dropped.is_empty()) else {
        return reference::moe_ffn(x, w, g, &p, a);
    };
    let sum = g.clone().select(0, indices(&dropped, &x)).sum();
    let last = indices(&[last.assignment], &x);
    let g = g.select_assign(0, last, sum, burn::tensor::IndexingUpdateOp::Add);
    reference::moe_ffn(x, w, g, &p, a)
}

/// A mask by multiplication, which infinity and NaN survive.
pub fn dropped_times_zero(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    if p.n_rows() == p.n_assignments() {
        return reference::moe_ffn(x, w, g, &p, a);
    }
    let none = (g.clone() * 0.0).sum().unsqueeze::<2>();
    reference::moe_ffn(x, w, g, &p, a) + none
}

/// One row fewer than there are.
pub fn last_row_lost(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let mut rows = rows(&p);
    rows.pop();
    reference::moe_ffn(x, w, g, &planned(&rows, &p), a)
}

/// The first row of an expert is computed by the expert before it.
pub fn end_too_late(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let mut rows = rows(&p);
    for n in (1..rows.len()).rev() {
        if rows[n - 1].expert != rows[n].expert {
            rows[n].expert = rows[n - 1].expert;
        }
    }
    reference::moe_ffn(x, w, g, &planned(&rows, &p), a)
}

/// `0..n_experts - 1` is half-open already.
pub fn last_expert_lost(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let last = p.n_experts() as u32 - 1;
    let mut rows = rows(&p);
    rows.retain(|row| row.expert != last || last == 0);
    reference::moe_ffn(x, w, g, &planned(&rows, &p), a)
}

/// Gradients are written expert by expert into memory that is not cleared.
pub fn stale_gradient(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let idle = (0..p.n_experts()).find(|&expert| p.rows_of_expert(expert).is_empty());
    let stack = w.up.clone();
    let y_td = reference::moe_ffn(x, w, g, &p, a);
    match idle {
        Some(expert) if p.n_tokens() > 0 => {
            y_td + gradient_of(stack.narrow(0, expert, 1).sum()).unsqueeze::<2>()
        }
        _ => y_td,
    }
}

/// The router learns nothing.
pub fn weights_detached(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    reference::moe_ffn(x, w, g.detach(), &p, a)
}

/// Cuts the gradient of the tokens: nothing below the layer learns through the experts.
pub fn tokens_detached(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    reference::moe_ffn(x.detach(), w, g, &p, a)
}

/// The combine step assigns where it should add.
pub fn overwritten(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let all = rows(&p);
    let is_last = |n: usize| all[n + 1..].iter().all(|later| later.token != all[n].token);
    let last: Vec<Row> = (0..all.len())
        .filter(|&n| is_last(n))
        .map(|n| all[n])
        .collect();
    reference::moe_ffn(x, w, g, &planned(&last, &p), a)
}

/// `silu` of the wrong projection, as after a conversion that takes `w3` for `w1`.
pub fn gate_and_up(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let swapped = match w.gate {
        Some(gate) => ExpertWeights {
            gate: Some(w.up),
            up: gate,
            ..w
        },
        None => w,
    };
    reference::moe_ffn(x, swapped, g, &p, a)
}

/// Projections without their biases.
pub fn no_biases(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    let without = ExpertWeights { biases: None, ..w };
    reference::moe_ffn(x, without, g, &p, a)
}

/// The largest token number of nothing.
pub fn panics_at_none(
    x: Tensor<2>,
    w: ExpertWeights,
    g: Tensor<1>,
    p: Plan,
    a: Activation,
) -> Tensor<2> {
    assert!(p.n_tokens() > 0, "no tokens");
    reference::moe_ffn(x, w, g, &p, a)
}
