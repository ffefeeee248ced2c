//! Balance losses with one fault each.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use moe_router::{Routing, balance};

/// Shares that sum to `k`: the loss grows with the number of experts a token.
pub fn shares_sum_to_k(routing: &Routing) -> Tensor<1> {
    let k = routing.load().asked.iter().sum::<f64>() / routing.n_routed_tokens() as f64;
    balance::load_balance(routing) * k
}

/// Shares of the computed assignments alone: an overfull expert looks balanced.
pub fn counts_kept_only(routing: &Routing) -> Tensor<1> {
    let kept = routing.load().kept;
    let total = kept.iter().sum::<f64>().max(1.0);
    let share: Vec<f32> = kept.iter().map(|x| (x / total) as f32).collect();
    let share_e = Tensor::<1>::from_floats(share.as_slice(), &routing.logits.device());
    let n = routing.n_routed_tokens() as f64;
    let mask: Vec<f32> = (0..routing.n_tokens())
        .map(|t| match &routing.padding {
            Some(padding) if padding[t] => 0.0,
            _ => 1.0,
        })
        .collect();
    let mask_t1 =
        Tensor::<1>::from_floats(mask.as_slice(), &routing.logits.device()).unsqueeze_dim(1);
    let prob_e = (routing.probs() * mask_t1).sum_dim(0).reshape([-1]) / n;
    (share_e * prob_e).sum() * routing.n_experts() as f64
}

/// Padding in the mean probability.
pub fn counts_padding(routing: &Routing) -> Tensor<1> {
    balance::load_balance(&routing.clone().padding(None))
}

/// Shares made of probabilities, which have a gradient of their own: `E * sum P^2`.
pub fn soft_shares(routing: &Routing) -> Tensor<1> {
    let n = routing.n_tokens() as f64;
    let prob_e = routing.probs().sum_dim(0) / n;
    (prob_e.square().sum() * routing.n_experts() as f64).reshape([1])
}

/// No gradient.
pub fn detached(routing: &Routing) -> Tensor<1> {
    balance::load_balance(routing).detach()
}

/// The log-sum-exp of log-probabilities, which is 0 whatever the scores.
pub fn z_of_probabilities(routing: &Routing) -> Tensor<1> {
    let mut routing = routing.clone();
    routing.logits = softmax(routing.logits, 1).log();
    balance::z(&routing)
}

/// The sum over tokens and not the mean.
pub fn z_summed(routing: &Routing) -> Tensor<1> {
    balance::z(routing) * routing.n_routed_tokens() as f64
}

/// `log(sum(exp(z)))` without the maximum taken out.
pub fn z_overflows(routing: &Routing) -> Tensor<1> {
    let sum_t1 = (routing.logits.clone() * 4.0).exp().sum_dim(1);
    let square_t1 = (sum_t1.log() / 4.0).square();
    square_t1.mean()
}

/// The sample variance, E - 1 in the denominator.
pub fn sample_variance(routing: &Routing) -> Tensor<1> {
    let e = routing.n_experts() as f64;
    balance::importance(routing) * (e / (e - 1.0).max(1.0))
}
