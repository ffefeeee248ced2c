//! Balanced transport of tokens to experts by Sinkhorn's iteration.

use crate::RouterInput;
use rayon::prelude::*;

/// Turns logits into scores of a balanced choice, each group by itself: `z_te + ln v_e`. The `v` give every
/// expert the same share of the group's transport plan `P_te = u_t exp(z_te) v_e`, whose rows sum to 1
/// (Sinkhorn and Knopp 1967). The order of a token's scores is that of its row of `P`.
///
/// Rows and columns are scaled in turn until every column's mass is within one part in a thousand of its
/// share, or for [`MAX_ITERATIONS`] times. Padding takes no part.
///
/// # Shapes
///
/// - logits_te: `[T, E]`, row by row
pub fn balance_columns(input: &RouterInput, logits_te: &mut [f32], n_experts: usize) {
    let group_size = input.group_size();
    if group_size == 0 || n_experts == 0 {
        return;
    }
    logits_te
        .par_chunks_mut(group_size * n_experts)
        .enumerate()
        .for_each(|(group, logits_me)| {
            let first = group * group_size;
            let kernel_me: Vec<f32> = logits_me
                .chunks(n_experts)
                .enumerate()
                .filter(|&(m, _)| !input.is_padding(first + m))
                .flat_map(|(_, row_e)| exp_of_row(row_e))
                .collect();
            let v_e = column_factors(&kernel_me, n_experts);
            for row_e in logits_me.chunks_mut(n_experts) {
                row_e.iter_mut().zip(&v_e).for_each(|(z, v)| *z += v.ln());
            }
        });
}

/// Limit of the number of times that rows and columns are scaled.
pub const MAX_ITERATIONS: usize = 100;

/// The mass below which a sum counts as this much, so that nothing is divided by zero.
const TINY: f32 = 1e-30;

/// `exp(z - max z)`: what the largest is scaled to cancels in the row's sum.
fn exp_of_row(row_e: &[f32]) -> impl Iterator<Item = f32> {
    let max = row_e.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row_e.iter().map(move |z| {
        let mass = (z - max).exp();
        if mass.is_finite() { mass } else { 0.0 }
    })
}

/// The factors of the columns, `[E]`.
fn column_factors(kernel_me: &[f32], n_experts: usize) -> Vec<f32> {
    let share = (kernel_me.len() / n_experts) as f32 / n_experts as f32;
    let mut v_e = vec![1.0f32; n_experts];
    for _ in 0..MAX_ITERATIONS {
        let mut column_e = vec![0.0f32; n_experts];
        for row_e in kernel_me.chunks(n_experts) {
            let u = 1.0 / dot(row_e, &v_e).max(TINY);
            column_e
                .iter_mut()
                .zip(row_e)
                .for_each(|(c, k)| *c += k * u);
        }
        // tested before the update: the factors that are returned are those that were found balanced
        let balanced = column_e
            .iter()
            .zip(&v_e)
            .all(|(c, v)| (c * v / share - 1.0).abs() < 1e-3);
        if balanced {
            break;
        }
        v_e.iter_mut()
            .zip(&column_e)
            .for_each(|(v, c)| *v = share / c.max(TINY));
    }
    v_e
}

/// A sum in eight lanes, which the compiler keeps in one register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    fn input(n_tokens: usize) -> RouterInput {
        RouterInput::new(Tensor::zeros([n_tokens, 1], &Device::flex()))
    }

    /// The plan's column masses, from scores `z + ln v`: rows are softmaxes of the scores.
    fn column_masses(scores: &[f32], n_experts: usize) -> Vec<f32> {
        let mut mass = vec![0.0; n_experts];
        for row in scores.chunks(n_experts) {
            let exp: Vec<f32> = exp_of_row(row).collect();
            let sum: f32 = exp.iter().sum();
            mass.iter_mut().zip(exp).for_each(|(m, x)| *m += x / sum);
        }
        mass
    }

    #[test]
    fn equals_the_closed_form_of_two_by_two() {
        // exp(z) = (a, 1), (b, 1): columns of mass 1 need u1 a v + u2 b v = 1 with u = 1 / (a v + 1),
        // 1 / (b v + 1), which gives v^2 = 1 / (a b), v = v_0 / v_1
        let (a, b) = (3.0f32, 2.0f32);
        let mut scores = [a.ln(), 0.0, b.ln(), 0.0];
        balance_columns(&input(2), &mut scores, 2);
        let v = (scores[0] - a.ln() - scores[1]).exp();
        assert!((v - (a * b).powf(-0.5)).abs() < 1e-3, "{v}");
    }

    #[test]
    fn groups_and_padding_take_no_part_in_one_another() {
        let of = |logits: &[f32], input: RouterInput| {
            let mut scores = logits.to_vec();
            balance_columns(&input, &mut scores, 2);
            scores
        };
        let first = [1.0, 0.0, 2.0, 0.5];
        let alone = of(&first, input(2));
        let joined = of(
            &[1.0, 0.0, 2.0, 0.5, 9.0, 0.0, 8.0, 1.0],
            input(4).groups(2),
        );
        assert_eq!(joined[..4], alone);
        let padding = [false, false, true];
        let padded = of(
            &[1.0, 0.0, 2.0, 0.5, 9.0, 0.0],
            input(3).padding(padding.into()),
        );
        assert_eq!(padded[..4], alone);
    }

    #[test]
    fn what_is_not_a_number_leaves_the_rest_finite() {
        let mut scores = [f32::NAN, 0.0, 200.0, -200.0];
        balance_columns(&input(2), &mut scores, 2);
        assert!(scores[1..].iter().all(|z| z.is_finite()), "{scores:?}");
    }

    proptest! {
        #[test]
        fn columns_have_equal_mass(
            logits in prop::collection::vec(-3.0f32..3.0, 12..240),
        ) {
            let n_experts = 6;
            let n_tokens = logits.len() / n_experts;
            let mut scores = logits[..n_tokens * n_experts].to_vec();
            balance_columns(&input(n_tokens), &mut scores, n_experts);
            let share = n_tokens as f32 / n_experts as f32;
            for mass in column_masses(&scores, n_experts) {
                prop_assert!((mass / share - 1.0).abs() < 5e-3, "{} of {}", mass, share);
            }
        }
    }
}
