//! Rotation of rows by the angles of their positions; see [`crate::RotaryEmbedding`].

use burn_flex::FlexTensor;

use super::kernel::turn;
use super::rows::{Rows, token_major, with_rows};
use super::run_all;

/// Rotates `x [B,H,L,Dh]` by `cos` and `sin [B or 1,L,Dh/2]`.
pub(super) fn rotate(x: FlexTensor, cos: FlexTensor, sin: FlexTensor) -> FlexTensor {
    let [batch, heads, length, width] = x.layout().shape().dims();
    let x = with_rows(&x);
    let (cos, sin) = (cos.to_contiguous(), sin.to_contiguous());
    let (rows, cos, sin) = (Rows::of(&x), cos.storage::<f32>(), sin.storage::<f32>());
    let half = width / 2;
    let tokens_tabled = cos.len() / half;
    let mut out = token_major([batch, heads, length, width]);
    let tokens: Vec<(usize, &mut [f32])> = out
        .storage_mut::<f32>()
        .chunks_exact_mut(heads * width)
        .enumerate()
        .collect();
    run_all(
        tokens,
        batch * heads * length * width,
        |_: &mut (), (token, out)| {
            let (batch, position) = (token / length, token % length);
            let row = token % tokens_tabled;
            let angles = row * half..(row + 1) * half;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            for (head, out) in out.chunks_exact_mut(width).enumerate() {
                turn(out, rows.row(batch, head, position), cos, sin);
            }
        },
    );
    out
}
