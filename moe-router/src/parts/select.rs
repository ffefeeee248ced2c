use super::top_k_into;
use crate::{Assignments, RouterInput};

/// Each token takes its `k` experts of largest score, in order of score; padding takes none.
///
/// # Shapes
///
/// - scores_te: `[T, E]`, row by row
/// - output: assignments of one token after the other, `k` each
///
/// # Panics
///
/// Panics if there are fewer than `k` experts.
pub fn token_choice(input: &RouterInput, scores_te: &[f32], k: usize) -> Assignments {
    let n_tokens = input.n_tokens();
    let n_experts = scores_te.len() / n_tokens.max(1);
    let mut assignments = Assignments::with_capacity(n_tokens * k);
    let mut best_k = vec![0; k];
    for (t, scores_e) in scores_te.chunks(n_experts.max(1)).enumerate() {
        if input.is_padding(t) {
            continue;
        }
        top_k_into(scores_e, &mut best_k);
        for &expert in &best_k {
            assignments.push(t as u32, expert);
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn tokens_choose_in_order_of_score_and_padding_does_not_choose() {
        let input = RouterInput::new(Tensor::zeros([3, 1], &Device::flex()))
            .padding([false, true, false].into());
        let scores = [0.1, 0.7, 0.2, 9.0, 9.0, 9.0, 0.5, 0.1, 0.4];
        let assignments = token_choice(&input, &scores, 2);

        assert_eq!(assignments.tokens(), [0, 0, 2, 2]);
        assert_eq!(assignments.experts(), [1, 2, 0, 2]);
    }
}
