//! The choice of a top-2 router whose second expert is optional.

use super::{gather_weights, normalise_per_token, token_choice};
use crate::{Assignments, RouterInput, to_vec};
use burn::tensor::{Int, Tensor, TensorData};

/// The choices of a top-2 router.
#[derive(Debug, Clone)]
pub struct Pair {
    /// One or two experts a token, the best first.
    pub assignments: Assignments,
    /// Their weights `[A]`.
    pub weights: Tensor<1>,
}

/// Each token takes its best expert, and its second best where `take(token, weight of the second)` says
/// so. Weights are divided by the sum of the two, whether or not the second is taken. Padding takes none.
///
/// # Shapes
///
/// - probs_te: `[T, E]`
///
/// # Panics
///
/// Panics if there are fewer than two experts.
pub fn best_pair(
    input: &RouterInput,
    probs_te: &Tensor<2>,
    take: impl Fn(usize, f32) -> bool,
) -> Pair {
    let both = token_choice(input, &to_vec(probs_te.clone().detach()), 2);
    let weights_a = gather_weights(probs_te, &both);
    if both.is_empty() {
        return Pair {
            assignments: both,
            weights: weights_a,
        };
    }
    let weights_a = normalise_per_token(weights_a, 2, 1e-9);
    let host_a = to_vec(weights_a.clone().detach());
    let mut assignments = Assignments::with_capacity(both.len());
    let mut taken = Vec::with_capacity(both.len());
    for (n, &weight) in host_a.iter().enumerate() {
        let (token, expert) = (both.tokens()[n], both.experts()[n]);
        // two assignments a token, the best first, which is always taken
        if n % 2 == 0 || take(token as usize, weight) {
            assignments.push(token, expert);
            taken.push(n as i64);
        }
    }
    let data = TensorData::new(taken, [assignments.len()]);
    let index_a = Tensor::<1, Int>::from_data(data, &weights_a.device());
    Pair {
        weights: weights_a.select(0, index_a),
        assignments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn the_second_is_taken_where_told_and_the_first_keeps_its_share() {
        let device = Device::flex();
        let probs =
            Tensor::<2>::from_floats([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], &device);
        let input = RouterInput::new(Tensor::zeros([3, 1], &device));
        let pair = best_pair(&input, &probs, |_, weight| weight > 0.2);
        assert_eq!(pair.assignments.tokens(), [0, 0, 1, 2, 2]);
        assert_eq!(pair.assignments.experts(), [0, 1, 1, 2, 0]);
        // 0.5 / 0.8, 0.3 / 0.8; 0.8 / 0.9, whose second has 0.111; 0.4 / 0.7, 0.3 / 0.7
        let expected = TensorData::from([0.625f32, 0.375, 0.888889, 0.571429, 0.428571]);
        pair.weights
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }

    #[test]
    fn padding_alone_has_no_pair() {
        let device = Device::flex();
        let input = RouterInput::new(Tensor::zeros([1, 1], &device)).padding([true].into());
        let probs = Tensor::<2>::from_floats([[0.5, 0.5]], &device);
        assert!(
            best_pair(&input, &probs, |_, _| true)
                .assignments
                .is_empty()
        );
    }
}
