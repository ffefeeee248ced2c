//! Entropies of probabilities and of loads.

use crate::{Load, Routing, to_vec};

/// The mean entropy of a token's distribution over experts, divided by that of the uniform one: 1 for
/// a router that is undecided, 0 for one that is certain.
pub fn entropy(routing: &Routing) -> f64 {
    let n_experts = routing.n_experts();
    let probs_te = to_vec(routing.probs().detach());
    let sum: f64 = probs_te
        .chunks(n_experts)
        .enumerate()
        .filter(|(t, _)| !routing.padding.as_ref().is_some_and(|p| p[*t]))
        .map(|(_, row_e)| nats(row_e.iter().map(|&p| f64::from(p))))
        .sum();
    sum / routing.n_routed_tokens().max(1) as f64 / (n_experts as f64).ln().max(1e-12)
}

/// The entropy of the experts' shares of the load, divided by that of a balanced one: 1 at perfect
/// balance, 0 if one expert is asked for everything. Dropped assignments count.
pub fn load_entropy(load: &Load) -> f64 {
    nats(load.share().into_iter()) / (load.kept.len() as f64).ln().max(1e-12)
}

fn nats(distribution: impl Iterator<Item = f64>) -> f64 {
    distribution.filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Assignments;
    use approx::assert_abs_diff_eq;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn of_a_token_and_of_the_load() {
        let device = Device::flex();
        // one undecided token (entropy 1 of 1), one certain token (0): mean 0.5
        let probs = Tensor::<2>::from_floats([[0.5, 0.5], [1.0, 0.0]], &device);
        let mut assignments = Assignments::default();
        assignments.push(0, 0);
        assignments.push(1, 0);
        let weights = Tensor::ones([2], &device);
        let routing = Routing::sparse(assignments, weights, probs.clone(), probs);

        assert_abs_diff_eq!(entropy(&routing), 0.5, epsilon = 1e-9);
        assert_eq!(load_entropy(&routing.load()), 0.0); // expert 0 has all
    }
}
