//! BASE: in training every expert of a sequence gets the same number of tokens, by the balanced assignment
//! of largest total affinity (Lewis et al. 2021, arXiv 2103.16716, section 3 and equation 3).
//!
//! ```text
//! maximise sum_t z_{t, a_t}  with every expert chosen M / E times      in training
//! a_t = argmax_e z_te                                                  in evaluation
//! weight = sigmoid(z_{t, a_t})
//! ```

use super::common;
use crate::parts::{balanced_assignment, gather_weights, token_choice};
use crate::{
    Assignments, Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput,
    RouterShape, Routing,
};
use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, activation::sigmoid};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Configuration to create a [`BaseRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct BaseRouterConfig {
    /// The least raise of a bid, as a share of the range of a sequence's affinities: the smaller, the
    /// closer to the best assignment and the slower. Default: 0.02, the released code's
    pub raise: f64,
}

/// Each token goes to one expert, weighted by the sigmoid of its affinity: to that of the balanced
/// assignment while training, to the one of largest affinity in evaluation.
///
/// Differs from the paper: the assignment is that of a sequence, not of a worker's batch of shuffled
/// tokens, so that sequences do not depend on one another. If the experts do not divide the tokens of a
/// sequence, each gets the quotient rounded down or up.
#[derive(Module, Debug)]
pub struct BaseRouter {
    /// The experts' centroids, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The least raise of a bid, as a share of the range of the affinities.
    pub raise: f64,
}

impl Default for BaseRouterConfig {
    fn default() -> Self {
        Self { raise: 0.02 }
    }
}

impl Preset for BaseRouterConfig {
    type Router = BaseRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::LeaksInTraining(
            "all tokens of a sequence compete for the experts' places, so where a token goes depends on later ones",
        ),
        paper: "Lewis et al. 2021",
        arxiv: "2103.16716",
        rule: "balanced linear assignment in training, the best expert in evaluation",
    };

    fn validate(&self, _n_experts: usize) -> Result<(), RouterError> {
        if self.raise > 0.0 && self.raise <= 1.0 {
            return Ok(());
        }
        Err(RouterError::Range {
            key: "raise",
            value: self.raise,
            range: "above 0 and at most 1",
        })
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        1.0
    }

    /// The released code starts from orthogonal centroids of length 0.1.
    fn init(&self, shape: &RouterShape, device: &Device) -> BaseRouter {
        let gate = LinearConfig::new(shape.d_model, shape.n_experts)
            .with_bias(false)
            .with_initializer(Initializer::Orthogonal { gain: 0.1 });
        BaseRouter {
            gate: gate.init(device),
            raise: self.raise,
        }
    }
}

impl BaseRouter {
    /// The balanced assignment of each group.
    fn assign(&self, input: &RouterInput, logits_te: &[f32], n_experts: usize) -> Assignments {
        let group_size = input.group_size();
        // an auction a sequence, on all threads; `collect` keeps the order of the sequences
        let chosen_g: Vec<Vec<(u32, u32)>> = (0..input.n_groups)
            .into_par_iter()
            .map(|group| {
                let tokens = group * group_size..(group + 1) * group_size;
                let tokens_m: Vec<usize> = tokens.filter(|&t| !input.is_padding(t)).collect();
                let scores_me: Vec<f32> = tokens_m
                    .iter()
                    .flat_map(|&t| &logits_te[t * n_experts..][..n_experts])
                    .copied()
                    .collect();
                // equal affinities have no range, and an auction without a raise need not end
                let epsilon = (range(&scores_me) * self.raise).max(1e-4);
                let expert_m = balanced_assignment(&scores_me, n_experts, epsilon);
                let tokens_m = tokens_m.into_iter().map(|t| t as u32);
                tokens_m.zip(expert_m).collect()
            })
            .collect();
        let mut assignments = Assignments::with_capacity(input.n_tokens());
        for (token, expert) in chosen_g.into_iter().flatten() {
            assignments.push(token, expert);
        }
        assignments
    }
}

/// The largest less the smallest of the finite values.
fn range(values: &[f32]) -> f64 {
    let finite = || values.iter().copied().filter(|x| x.is_finite());
    let max = finite().fold(f32::NEG_INFINITY, f32::max);
    let min = finite().fold(f32::INFINITY, f32::min);
    f64::from(max - min).max(0.0)
}

impl Router for BaseRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let n_experts = logits_te.dims()[1];

        let host_te = common::host(&logits_te);
        let assignments = if input.noise.is_some() {
            self.assign(&input, &host_te, n_experts)
        } else {
            token_choice(&input, &host_te, 1)
        };
        let weights_a = sigmoid(gather_weights(&logits_te, &assignments));

        Routing::sparse(assignments, weights_a, logits_te, None)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        BaseRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{TensorData, Tolerance};
    use proptest::prelude::*;

    fn router(n_experts: usize) -> BaseRouter {
        let device = Device::flex();
        let mut router = BaseRouterConfig::default().init(&shape(n_experts), &device);
        router.gate = identity_gate(n_experts, &device);
        router
    }

    fn input(logits: &[f32], n_experts: usize) -> RouterInput {
        RouterInput::new(rows(logits, n_experts, &Device::flex()))
    }

    #[test]
    fn training_balances_for_the_largest_sum_and_evaluation_is_greedy() {
        let router = router(2);
        // both prefer expert 0; 0 + 2 = 2 against 1 + 0 = 1
        let x = input(&[1.0, 0.0, 2.0, 0.0], 2);
        let training = router.route(x.clone().noise(Some(0)));
        assert_eq!(experts(&training), [1, 0]);
        assert_eq!(experts(&router.route(x)), [0, 0]);
        // sigmoid(0) = 1/2, sigmoid(2) = 1 / (1 + e^-2)
        let expected = TensorData::from([0.5f32, 0.880_797]);
        weights(&training).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }

    #[test]
    fn groups_balance_by_themselves_and_padding_takes_no_place() {
        let router = router(2);
        // two sequences of two tokens; the second token of the last is padding
        let x = input(&[1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 9.0], 2);
        let padding = [false, false, false, true];
        let routing = router.route(x.groups(2).padding(padding.into()).noise(Some(0)));
        assert_eq!(experts(&routing), [1, 0, 1]);
    }

    #[test]
    fn values_out_of_range_are_errors_that_name_the_key() {
        for raise in [0.0, 1.5, f64::NAN] {
            let error = BaseRouterConfig { raise }
                .validate(8)
                .unwrap_err()
                .to_string();
            assert!(error.contains("router.raise = "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_expert_gets_its_share_of_every_sequence(
            logits in prop::collection::vec(-2.0f32..2.0, 6..120),
        ) {
            let n_tokens = logits.len() / 6 * 2;
            let x = input(&logits[..n_tokens * 3], 3).groups(2).noise(Some(1));
            let chosen = experts(&router(3).route(x));
            for sequence in chosen.chunks(n_tokens / 2) {
                for e in 0..3 {
                    let n = sequence.iter().filter(|&&chosen| chosen == e).count();
                    prop_assert!(n == sequence.len() / 3 || n == sequence.len().div_ceil(3));
                }
            }
        }
    }
}
