//! Mixture-of-Depths: a share of a sequence's tokens takes the layer, the others skip it (Raposo et al.
//! 2024, arXiv 2404.02258, equation 1): `y_t = x_t + r_t f(x_t)` if `r_t` is among the `C` largest of the
//! sequence, else `y_t = x_t`. Those let in are then routed among experts (the paper's staged MoDE).

use super::common;
use crate::error::check_top_k;
use crate::parts::{gather_weights, token_choice, top_k};
use crate::{
    Admission, Assignments, BalanceConfig, Causality, Extra, Family, Preset, Router, RouterError,
    RouterInfo, RouterInput, RouterShape, Routing,
};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`MixtureOfDepthsRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct MixtureOfDepthsRouterConfig {
    /// The share of a sequence's tokens that is let in. Default: 0.125
    pub capacity: f64,
    /// The number of experts of a token that is let in. Default: 1
    pub top_k: usize,
}

/// Training admits the `C` tokens of a sequence that score highest, so whether a token is admitted depends
/// on later ones. A predictor learns the decision from the token alone, by the loss
/// [`admission`](crate::balance::admission()), and decides in evaluation and decoding. There a token is
/// admitted if the predictor's probability is above one half, however many that makes. The predictor sees
/// the token detached, so its loss moves nothing else.
///
/// The weight of an expert is `sigmoid(r_t) softmax(x_t W)_e`. Differs from the paper: `r_t` weighs by its
/// sigmoid, so that weights are positive; the predictor is linear, where the paper's is a small network;
/// and tokens skip the experts of every layer and never the attention, where the paper's skip both in
/// every other layer.
#[derive(Module, Debug)]
pub struct MixtureOfDepthsRouter {
    /// The gate among experts, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The score `r` of a token, `[d_model, 1]`.
    pub depth: Linear,
    /// The predictor's weights, `[d_model, 1]`.
    pub predictor: Linear,
    /// The predictor's bias, `[1]`, which starts at the share that is let in.
    pub predictor_bias: Param<Tensor<1>>,
    /// The share of a sequence's tokens that is let in.
    pub capacity: f64,
    /// The number of experts of a token that is let in.
    pub top_k: usize,
}

impl Default for MixtureOfDepthsRouterConfig {
    fn default() -> Self {
        Self {
            capacity: 0.125,
            top_k: 1,
        }
    }
}

impl Preset for MixtureOfDepthsRouterConfig {
    type Router = MixtureOfDepthsRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::ExpertChoice,
        causality: Causality::LeaksInTraining(
            "in training a token is compared with all of its sequence, so whether it is let in depends on later ones",
        ),
        paper: "Raposo et al. 2024",
        arxiv: "2404.02258",
        rule: "the top share of tokens is let in (evaluation predicts it), then top-k",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)?;
        if self.capacity > 0.0 && self.capacity < 1.0 {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "capacity",
            value: self.capacity,
            range: "above 0 and below 1",
        })
    }

    /// The predictor's loss, without which evaluation lets in at random, and Switch's among the experts,
    /// 0.01 for a token that is let in: the others count as zeros in the mean probability of an expert.
    ///
    /// AdamW moves the predictor as fast whatever the weight, which nothing else feels: it is small so
    /// that clipping leaves the other gradients alone.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            admission: 0.01,
            load_balance: 0.01 / self.capacity,
            ..Default::default()
        }
    }
    fn extras(&self) -> Vec<Extra> {
        vec![Extra::Gate, Extra::Admission]
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.capacity * self.top_k as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * (shape.n_experts + 2) + 1
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> MixtureOfDepthsRouter {
        let score = || {
            LinearConfig::new(shape.d_model, 1)
                .with_bias(false)
                .init(device)
        };
        let log_odds = (self.capacity / (1.0 - self.capacity)).ln();
        MixtureOfDepthsRouter {
            gate: common::gate(shape, device),
            depth: score(),
            predictor: score(),
            predictor_bias: Param::from_data([log_odds as f32], device),
            capacity: self.capacity,
            top_k: self.top_k,
        }
    }
}

impl MixtureOfDepthsRouter {
    /// The tokens of each sequence that score highest, `[T]`.
    fn best_of_each_sequence(&self, input: &RouterInput, score_t: &[f32]) -> Vec<bool> {
        let mut admitted = vec![false; score_t.len()];
        let group_size = input.group_size();
        for group in 0..input.n_groups {
            let tokens: Vec<usize> = (group * group_size..(group + 1) * group_size)
                .filter(|&t| !input.is_padding(t))
                .collect();
            let exact = (tokens.len() as f64 * self.capacity) as usize;
            // a short sequence lets one token in, and one of padding alone none
            let capacity = exact.max(1).min(tokens.len());
            let scores: Vec<f32> = tokens.iter().map(|&t| score_t[t]).collect();
            for best in top_k(&scores, capacity) {
                admitted[tokens[best as usize]] = true;
            }
        }
        admitted
    }

    /// The predictor's logits, `[T, 1]`, whose gradient stops at the tokens.
    fn predict(&self, input: &RouterInput) -> Tensor<2> {
        let logits = self.predictor.forward(input.x_td.clone().detach());
        logits.cast(DType::F32) + self.predictor_bias.val().cast(DType::F32).unsqueeze()
    }
}

/// 1 for each token that is let in, else 0, `[T, 1]`.
fn column(admitted: &[bool], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = admitted.iter().map(|&a| f32::from(u8::from(a))).collect();
    Tensor::from_data(TensorData::new(values, [admitted.len(), 1]), device)
}

/// The score of each assignment's token, `[A]`.
fn of_tokens(score_t1: Tensor<2>, assignments: &Assignments) -> Tensor<1> {
    let tokens: Vec<i64> = assignments.tokens().iter().map(|&t| t.into()).collect();
    let n = tokens.len();
    let device = score_t1.device();
    let index_a = Tensor::<1, Int>::from_data(TensorData::new(tokens, [n]), &device);
    score_t1.select(0, index_a).reshape([n])
}

impl Router for MixtureOfDepthsRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let depth_t1 = self.depth.forward(input.x_td.clone()).cast(DType::F32);
        let predicted_t1 = self.predict(&input);
        let admitted = match input.noise {
            Some(_) => self.best_of_each_sequence(&input, &common::host(&depth_t1)),
            None => common::host(&predicted_t1)
                .into_iter()
                .enumerate()
                .map(|(t, logit)| logit > 0.0 && !input.is_padding(t))
                .collect(),
        };
        let logits_te = common::logits(&self.gate, &input);
        // the experts are chosen and balanced among those let in alone
        let probs_te = softmax(logits_te.clone(), 1) * column(&admitted, &logits_te.device());
        // a token that is not let in goes nowhere, as padding does
        let skipped = admitted.iter().map(|&admitted| !admitted).collect();
        let inside = input.clone().padding(skipped);
        let assignments = token_choice(&inside, &common::host(&logits_te), self.top_k);
        let weights_a =
            gather_weights(&probs_te, &assignments) * of_tokens(sigmoid(depth_t1), &assignments);

        let n_tokens = input.n_tokens();
        let admission = input.noise.map(|_| Admission {
            predicted: predicted_t1.reshape([n_tokens]),
            admitted: admitted.into(),
        });
        Routing::sparse(assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
            .admission(admission)
    }

    fn causality(&self) -> Causality {
        MixtureOfDepthsRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::Tolerance;
    use proptest::prelude::*;

    /// Scores by the first number of a token, predicts by the second.
    fn router(capacity: f64, device: &Device) -> MixtureOfDepthsRouter {
        let config = MixtureOfDepthsRouterConfig { capacity, top_k: 1 };
        let mut router = config.init(&shape(2), device);
        router.gate = identity_gate(2, device);
        router.depth.weight = Param::from_data([[1.0], [0.0]], device);
        router.predictor.weight = Param::from_data([[0.0], [1.0]], device);
        router.predictor_bias = Param::from_data([-1.0], device);
        router
    }

    fn tokens(routing: &Routing) -> Vec<u32> {
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        plan.assignments.tokens().to_vec()
    }

    #[test]
    fn training_compares_a_sequence_and_evaluation_asks_the_predictor() {
        let device = Device::flex();
        let values = [1.0, 0.0, 3.0, 2.0, 0.0, 4.0, -1.0, 0.5];
        let x = rows(&values, 2, &device);
        let input = RouterInput::new(x).groups(2);
        // half of two tokens: the second of the first sequence (3 > 1), the first of the other (0 > -1)
        let training = router(0.5, &device).route(input.clone().noise(Some(1)));
        assert_eq!(tokens(&training), [1, 2]);
        assert_eq!(experts(&training), [0, 1]);
        // sigmoid(3) softmax(3, 2) = 0.9525741 * 0.7310586; sigmoid(0) softmax(0, 4) = 0.5 * 0.9820138
        let expected = TensorData::from([0.696_387_5f32, 0.491_006_9]);
        weights(&training).assert_approx_eq::<f32>(&expected, Tolerance::default());
        let admission = training.admission.expect("while training");
        assert_eq!(*admission.admitted, [false, true, true, false]);
        let predicted = TensorData::from([-1.0f32, 1.0, 3.0, -0.5]); // the second number, minus 1
        admission.predicted.into_data().assert_eq(&predicted, true);

        let evaluation = router(0.5, &device).route(input);
        assert!(evaluation.admission.is_none());
        assert_eq!(tokens(&evaluation), [1, 2]); // the logits above zero
    }

    #[test]
    fn tokens_outside_do_not_count_in_the_balance_of_experts() {
        let device = Device::flex();
        let x = rows(&[1.0, 0.0, 3.0, 2.0, -1.0, 9.0, 0.0, 9.0], 2, &device);
        let routing = router(0.25, &device).route(RouterInput::new(x).noise(Some(1)));
        assert_eq!(tokens(&routing), [1]);
        // f = (1, 0), P = softmax(3, 2) / 4 = (0.1827647, ..): 2 * 0.1827647
        let loss: f32 = crate::balance::load_balance(&routing).into_scalar();
        assert!((loss - 0.365_529_3).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn the_predictor_learns_and_moves_nothing_else() {
        let device = Device::flex().autodiff();
        let router = router(0.5, &device);
        let x = rows(&[1.0, 0.0, 3.0, 2.0], 2, &device).require_grad();
        let routing = router.route(RouterInput::new(x.clone()).noise(Some(1)));
        let grads = crate::balance::admission(&routing).backward();
        let grad = router.predictor_bias.val().grad(&grads).expect("trained");
        // mean of sigmoid(logit) - admitted: (sigmoid(-1) - 0 + sigmoid(1) - 1) / 2 = 0
        let grad: f32 = grad.into_scalar();
        assert!(grad.abs() < 1e-6, "{grad}");
        let grad = router.predictor.weight.val().grad(&grads).expect("trained");
        // times the tokens' numbers: (1 * 0.2689414 - 3 * 0.2689414) / 2, (0 - 2 * 0.2689414) / 2
        grad.into_data().assert_approx_eq::<f32>(
            &TensorData::from([[-0.268_941_4f32], [-0.268_941_4]]),
            Tolerance::absolute(1e-5),
        );
        assert!(x.grad(&grads).is_none());
        assert!(router.depth.weight.val().grad(&grads).is_none());
    }

    #[test]
    fn a_share_of_all_is_an_error() {
        let config = MixtureOfDepthsRouterConfig {
            capacity: 1.0,
            ..Default::default()
        };
        let error = config.validate(4).unwrap_err().to_string();
        assert!(error.contains("router.capacity = 1"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn each_sequence_lets_in_its_share_and_never_padding(
            values in prop::collection::vec(-2.0f32..2.0, 32),
            padding in prop::collection::vec(any::<bool>(), 16),
            capacity in 0.05f64..0.95,
        ) {
            let device = Device::flex();
            let input = RouterInput::new(rows(&values, 2, &device))
                .groups(2)
                .noise(Some(1))
                .padding(padding.clone().into());
            let tokens = tokens(&router(capacity, &device).route(input));
            for group in 0..2 {
                let own = group * 8..(group + 1) * 8;
                let real = padding[own.clone()].iter().filter(|&&p| !p).count();
                let share = ((real as f64 * capacity) as usize).max(1).min(real);
                let inside: Vec<usize> = tokens
                    .iter()
                    .map(|&t| t as usize)
                    .filter(|t| own.contains(t))
                    .collect();
                prop_assert_eq!(inside.len(), share);
                prop_assert!(inside.iter().all(|&t| !padding[t]));
            }
        }
    }
}
