//! The load balance loss over several layers at once, as published model code computes it.

use super::sequences::{asked_by_sequence, group_size, prob_sums, tokens_by_sequence};
use super::without_padding;
use crate::Routing;
use burn::tensor::{Tensor, TensorData};

/// `E * sum_e f_e P_e` with `f` and `P` pooled over the tokens of all layers: the loss of the Mixtral
/// code (`load_balancing_loss_func` of Hugging Face transformers 5.23).
///
/// `f_e` is the number of assignments asked of expert `e` for each token and layer, so that the `f`
/// sum to `k` and perfect balance gives `k`. Tokens marked as padding count nowhere. For one layer it is
/// `k` times [`load_balance()`](super::load_balance()); for several it is not the mean of theirs.
///
/// # Shapes
///
/// - output: `[1]`
///
/// # Panics
///
/// Panics without routings, or if they differ in their experts.
pub fn load_balance_pooled(routings: &[&Routing]) -> Tensor<1> {
    let n_experts = same_experts(routings);
    let n_rows: usize = routings.iter().map(|r| r.n_routed_tokens()).sum();
    let mut asked_e = vec![0.0f64; n_experts];
    for routing in routings {
        let asked = routing.load().asked;
        asked_e.iter_mut().zip(asked).for_each(|(sum, x)| *sum += x);
    }
    let prob_e = routings
        .iter()
        .map(|routing| without_padding(routing.probs(), routing).sum_dim(0))
        .reduce(|sum, prob_1e| sum + prob_1e)
        .expect("there is at least one routing")
        .reshape([n_experts]);

    let rows = n_rows.max(1) as f64;
    let f_e: Vec<f32> = asked_e.iter().map(|x| (x / rows) as f32).collect();
    let f_e = Tensor::<1>::from_floats(f_e.as_slice(), &prob_e.device());
    (f_e * prob_e).sum() * (n_experts as f64 / rows)
}

/// `E * sum_e f_e P_e` in each sequence, with `f` and `P` pooled over the sequence's tokens in all
/// layers, averaged over the sequences: the loss of the Switch code (`load_balancing_loss_func` of the
/// Switch model of Hugging Face transformers 5.23).
///
/// `f_e` is the number of assignments asked of expert `e` for each token and layer, dropped ones
/// included. Differs from that code if padding is marked: it counts padding as tokens.
///
/// # Shapes
///
/// - output: `[1]`
///
/// # Panics
///
/// Panics without routings, or if they differ in their experts or sequences.
pub fn load_balance_pooled_by_sequence(routings: &[&Routing]) -> Tensor<1> {
    let n_experts = same_experts(routings);
    let n_groups = routings[0].n_groups;
    let shape = (n_groups, group_size(routings[0]));
    assert!(
        routings
            .iter()
            .all(|r| (r.n_groups, group_size(r)) == shape),
        "routings of other sequences cannot be pooled by sequence"
    );
    let mut rows_g = vec![0.0f32; n_groups];
    let mut asked_ge = vec![0.0f32; n_groups * n_experts];
    // layer after layer, so that the sums have one order
    for routing in routings {
        add(&mut rows_g, &tokens_by_sequence(routing));
        add(&mut asked_ge, &asked_by_sequence(routing));
    }
    let prob_ge = routings
        .iter()
        .map(|routing| prob_sums(routing))
        .reduce(|sum, prob_ge| sum + prob_ge)
        .expect("there is at least one routing");

    // both f and P are divided by the sequence's rows
    for (row_e, rows) in asked_ge.chunks_mut(n_experts).zip(&rows_g) {
        let square = rows.max(1.0).powi(2);
        row_e
            .iter_mut()
            .for_each(|x| *x *= n_experts as f32 / square);
    }
    let n_sequences = rows_g.iter().filter(|&&n| n > 0.0).count().max(1);
    let data = TensorData::new(asked_ge, [n_groups, n_experts]);
    (Tensor::from_data(data, &prob_ge.device()) * prob_ge).sum() / n_sequences as f64
}

fn add(sum: &mut [f32], x: &[f32]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
}

fn same_experts(routings: &[&Routing]) -> usize {
    let n_experts = routings.first().map(|routing| routing.n_experts());
    let n_experts = n_experts.expect("a pooled loss needs at least one routing");
    assert!(
        routings.iter().all(|r| r.n_experts() == n_experts),
        "routings of different numbers of experts cannot be pooled"
    );
    n_experts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use crate::balance::{expert, load_balance};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    /// Two layers of two tokens; the first sends both to expert 0, the second both to expert 1.
    fn layers() -> [Routing; 2] {
        let device = Device::flex();
        [
            routing(&[(0, 0), (1, 0)], &[0.9, 0.1, 0.7, 0.3], 2, &device),
            routing(&[(0, 1), (1, 1)], &[0.2, 0.8, 0.4, 0.6], 2, &device),
        ]
    }

    #[test]
    fn pooling_lets_layers_balance_each_other() {
        let [a, b] = layers();
        // pooled: f = (0.5, 0.5), P = (0.55, 0.45): 2 * 0.5 = 1
        assert_abs_diff_eq!(scalar(load_balance_pooled(&[&a, &b])), 1.0, epsilon = 1e-6);
        // the mean over the layers: 2 * 0.8 and 2 * 0.7
        let mean = (scalar(load_balance(&a)) + scalar(load_balance(&b))) / 2.0;
        assert_abs_diff_eq!(mean, 1.5, epsilon = 1e-6);
    }

    #[test]
    fn balance_gives_k() {
        let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let r = routing(&pairs, &[0.5; 4], 2, &Device::flex());
        assert_abs_diff_eq!(scalar(load_balance_pooled(&[&r, &r])), 2.0, epsilon = 1e-6);
    }

    #[test]
    fn padding_counts_nowhere() {
        let device = Device::flex();
        let plain = routing(&[(0, 0)], &[0.9, 0.1], 2, &device);
        let padded = routing(&[(0, 0)], &[0.9, 0.1, 0.3, 0.7], 2, &device)
            .padding(Some([false, true].into()));
        for pooled in [load_balance_pooled, load_balance_pooled_by_sequence] {
            // f = (1, 0), P = (0.9, 0.1): 2 * 0.9
            assert_abs_diff_eq!(scalar(pooled(&[&plain])), 1.8, epsilon = 1e-6);
            assert_abs_diff_eq!(scalar(pooled(&[&padded])), 1.8, epsilon = 1e-6);
        }
    }

    #[test]
    fn by_sequence_one_layer_is_the_expert_loss() {
        // sequence 0 all on expert 0: 2 * 0.9; sequence 1 all on expert 1: 2 * 0.6
        let [a, _] = layers();
        let r = routing(&[(0, 0), (1, 1)], &[0.9, 0.1, 0.4, 0.6], 2, &Device::flex()).groups(2);
        let loss = scalar(load_balance_pooled_by_sequence(&[&r]));
        assert_abs_diff_eq!(loss, 1.5, epsilon = 1e-6);
        assert_abs_diff_eq!(loss, scalar(expert(&r)), epsilon = 1e-6);
        let [pooled, alone] = [&[&a, &a][..], &[&a][..]].map(load_balance_pooled_by_sequence);
        assert_abs_diff_eq!(scalar(pooled), scalar(alone), epsilon = 1e-6);
    }

    #[test]
    #[should_panic(expected = "different numbers of experts")]
    fn experts_must_agree() {
        let device = Device::flex();
        let two = routing(&[(0, 0)], &[0.5, 0.5], 2, &device);
        let three = routing(&[(0, 0)], &[0.5, 0.25, 0.25], 3, &device);
        let _ = load_balance_pooled(&[&two, &three]);
    }
}
