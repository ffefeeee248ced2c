//! Quantile balancing: after each step every expert's bias becomes the one by which it would have been
//! chosen by its fair share of that step's tokens (Su 2026, kexue.fm/archives/11619).
//!
//! ```text
//! g_te = s_te if s_te + b_e is among the k largest of t, else 0
//! a_t  = the (k + 1)-th largest of s_te + b_e over e      what an expert must exceed to be chosen
//! b_e  = the k/E quantile of a_t - s_te over t            after each step, then centred on 0
//!      = b_e + the k/E quantile of a_t - (s_te + b_e)     what was missing: near 0 once balanced
//! ```

use super::common;
use crate::error::check_top_k;
use crate::parts::{Affinity, choice_bias, gather_weights, normalise_per_token, top_k_of_rows};
use crate::{
    Assignments, Bins, Causality, Family, Load, Preset, Router, RouterError, RouterInfo,
    RouterInput, RouterShape, Routing, Tally,
};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`QuantileRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct QuantileRouterConfig {
    /// The number of experts a token. Default: 2
    pub top_k: usize,
    /// The affinity: `sigmoid` or `softmax`. Default: sigmoid
    pub affinity: Affinity,
    /// Divide the chosen weights by their sum, if there are at least two. Default: true
    pub norm_topk_prob: bool,
}

/// Each token takes the `k` experts of largest biased affinity, weighted by the affinities without the
/// bias.
///
/// The quantiles are read from a histogram of all tokens of the step (a [`Tally`] in the load) of what was
/// missing for a choice. Its bins are as wide as a fraction of the distance from zero, of 2 per cent and
/// less. Around zero, where the quantile lies once the load is balanced, they are narrow. So a softmax over
/// hundreds of experts, whose affinities differ in thousandths, balances as well as a sigmoid. Differs from
/// the article: one pass over the step's tokens with the bias that routed them, no iteration.
#[derive(Module, Debug)]
pub struct QuantileRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The bias of the choice `[n_experts]`: not trained by gradients, see [`Router::advance`].
    pub bias: Param<Tensor<1>>,
    /// The number of experts a token.
    pub top_k: usize,
    /// The affinity.
    #[module(skip)]
    pub affinity: Affinity,
    /// Divides the chosen weights by their sum.
    pub norm_topk_prob: bool,
}

impl Default for QuantileRouterConfig {
    fn default() -> Self {
        Self {
            top_k: 2,
            affinity: Affinity::Sigmoid,
            norm_topk_prob: true,
        }
    }
}

impl Preset for QuantileRouterConfig {
    type Router = QuantileRouter;

    /// Causal: a token's experts depend on that token and on the scores of earlier steps.
    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "Su 2026, kexue.fm/archives/11619",
        arxiv: "",
        rule: "top-k of biased affinities; the bias is the quantile that balances the last step",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * shape.n_experts + shape.n_experts
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> QuantileRouter {
        QuantileRouter {
            gate: common::gate(shape, device),
            bias: choice_bias(shape.n_experts, device),
            top_k: self.top_k,
            affinity: self.affinity,
            norm_topk_prob: self.norm_topk_prob,
        }
    }
}

/// Chosen experts, and the margin that each expert missed: below zero for those that were chosen.
struct Choice {
    assignments: Assignments,
    missing_ne: Vec<f32>,
}

impl QuantileRouter {
    /// Chooses by `choice_te`, the affinities with the bias. If every expert is chosen nothing is missing.
    fn choose(&self, input: &RouterInput, choice_te: &[f32]) -> Choice {
        let n_experts = self.n_experts();
        let n_best = (self.top_k + 1).min(n_experts);
        let best_t = top_k_of_rows(choice_te, n_experts, n_best);
        let mut assignments = Assignments::with_capacity(input.n_tokens() * self.top_k);
        let mut missing_ne = Vec::with_capacity(choice_te.len());
        let rows = choice_te.chunks(n_experts).zip(best_t.chunks(n_best));
        for (t, (row_e, best)) in rows.enumerate().filter(|&(t, _)| !input.is_padding(t)) {
            let chosen = &best[..self.top_k];
            chosen.iter().for_each(|&e| assignments.push(t as u32, e));
            if let Some(&next) = best.get(self.top_k) {
                let threshold = row_e[next as usize];
                missing_ne.extend(row_e.iter().map(|choice| threshold - choice));
            }
        }
        Choice {
            assignments,
            missing_ne,
        }
    }

    /// The distance from zero below which the bins of the histogram are about equally wide: a tenth of an
    /// affinity, which is about 1 for a sigmoid and 1 / E for a softmax.
    fn unit(&self) -> f32 {
        match self.affinity {
            Affinity::Sigmoid => 0.1,
            Affinity::Softmax => 0.1 / self.n_experts() as f32,
        }
    }

    /// The histogram's bins, in `asinh(missing / unit)`. Affinities lie from 0 to 1, so that no more than
    /// 1 and the spread of the biases can be missing.
    fn bins(&self, bias_e: &[f32]) -> Bins {
        let least = bias_e.iter().copied().fold(f32::INFINITY, f32::min);
        let most = bias_e.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let high = ((1.0 + most - least) / self.unit()).asinh();
        Bins {
            low: -high,
            high,
            unit: Some(self.unit()),
        }
    }

    fn n_experts(&self) -> usize {
        self.bias.dims()[0]
    }
}

impl Router for QuantileRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);
        let affinity_te = self.affinity.forward(logits_te.clone());

        let bias_e = common::host(&self.bias.val());
        let mut choice_te = common::host(&affinity_te);
        common::add_to_rows(&mut choice_te, &bias_e);
        let choice = self.choose(&input, &choice_te);
        let mut weights_a = gather_weights(&affinity_te, &choice.assignments);
        if self.norm_topk_prob && self.top_k > 1 {
            weights_a = normalise_per_token(weights_a, self.top_k, 1e-20);
        }
        let probs_te = self.affinity.distribution(&affinity_te);

        Routing::sparse(choice.assignments, weights_a, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
            .tally(Tally::new(
                choice.missing_ne,
                self.n_experts(),
                self.bins(&bias_e),
            ))
    }

    fn causality(&self) -> Causality {
        QuantileRouterConfig::INFO.causality
    }

    /// The quantiles of the step's tally. A load without one, or of no token, changes nothing.
    ///
    /// # Panics
    ///
    /// Panics if the tally is that of another number of experts.
    fn advance(mut self, load: &Load) -> Self {
        let n_experts = self.n_experts();
        if load.statistic.iter().sum::<f64>() == 0.0 {
            return self;
        }
        assert_eq!(
            load.statistic.len(),
            n_experts * Tally::N_BINS,
            "the load's tally is that of another number of experts"
        );
        let old_e = common::host(&self.bias.val());
        // the bins that `route` filled: the bias has not moved since
        let bins = self.bins(&old_e);
        let share = self.top_k as f64 / n_experts as f64;
        let bias_e: Vec<f64> = old_e
            .iter()
            .zip(load.statistic.chunks(Tally::N_BINS))
            .map(|(&old, histogram)| f64::from(old) + bins.quantile(histogram, share))
            .collect();
        // a common shift changes no choice, so biases are centred and cannot drift
        let mean = bias_e.iter().sum::<f64>() / n_experts as f64;
        let centred_e: Vec<f32> = bias_e.iter().map(|b| (b - mean) as f32).collect();
        self.bias = self.bias.map(|old| {
            let data = TensorData::new(centred_e, [n_experts]);
            Tensor::from_data(data, &old.device()).set_require_grad(false)
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::Tolerance;
    use proptest::prelude::*;

    fn router(top_k: usize, n_experts: usize) -> QuantileRouter {
        let config = QuantileRouterConfig {
            top_k,
            ..Default::default()
        };
        let device = Device::flex();
        let mut router = config.init(&shape(n_experts), &device);
        router.gate = identity_gate(n_experts, &device);
        router
    }

    fn input(logits: &[f32], n_experts: usize) -> RouterInput {
        RouterInput::new(rows(logits, n_experts, &Device::flex()))
    }

    fn bias(router: &QuantileRouter) -> Vec<f32> {
        common::host(&router.bias.val())
    }

    fn logit(p: f32) -> f32 {
        (p / (1.0 - p)).ln()
    }

    /// Five tokens that all prefer expert 0.
    fn skewed() -> Vec<f32> {
        [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.55, 0.45]
            .map(logit)
            .to_vec()
    }

    #[test]
    fn the_bias_becomes_the_quantile_of_what_was_required() {
        let router = router(1, 2);
        let load = router.route(input(&skewed(), 2)).load();
        assert_eq!(load.kept, [5.0, 0.0]);
        // thresholds 0.1, 0.2, 0.3, 0.4, 0.45. Expert 0 missed -0.8, -0.6, -0.4, -0.2, -0.1: half is
        // -0.4. Expert 1 missed 0 five times. Centred: -0.2, 0.2
        let router = router.advance(&load);
        let b = bias(&router);
        assert!(
            (b[0] + 0.2).abs() < 0.002 && (b[0] + b[1]).abs() < 1e-6,
            "{b:?}"
        );
        // biased differences 0.4, 0.2, 0, -0.2, -0.3: the third token may fall either way
        let chosen = experts(&router.route(input(&skewed(), 2)));
        assert_eq!(chosen[..2], [0, 0]);
        assert_eq!(chosen[3..], [1, 1]);
    }

    #[test]
    fn the_bias_does_not_weigh() {
        let mut router = router(2, 3);
        router.bias = router
            .bias
            .map(|old| Tensor::from_floats([0.0, 0.0, 0.6], &old.device()));
        let routing = router.route(input(&[0.75, 0.5, 0.25].map(logit), 3));
        assert_eq!(experts(&routing), [2, 0]);
        // 0.25 / (0.25 + 0.75), 0.75 / (0.25 + 0.75)
        let expected = TensorData::from([0.25f32, 0.75]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn padding_and_a_load_of_nothing_move_nothing() {
        let router = router(1, 2);
        let mut logits = skewed();
        let plain = router.route(input(&logits, 2)).load();
        logits.extend([9.0, -9.0]);
        let padding = [false, false, false, false, false, true];
        let padded = router
            .route(input(&logits, 2).padding(padding.into()))
            .load();
        assert_eq!(plain, padded);
        let before = bias(&router);
        assert_eq!(bias(&router.advance(&Load::default())), before);
    }

    #[test]
    fn all_experts_chosen_leave_the_bias_alone() {
        let router = router(2, 2);
        let load = router.route(input(&skewed(), 2)).load();
        assert_eq!(bias(&router.advance(&load)), [0.0, 0.0]);
    }

    #[test]
    fn top_k_out_of_range_is_an_error_that_names_the_key() {
        let config = QuantileRouterConfig {
            top_k: 9,
            ..Default::default()
        };
        let error = config.validate(8).unwrap_err().to_string();
        assert!(error.contains("router.top_k = 9"), "{error}");
    }

    /// 512 tokens over 8 experts, of which the first are preferred by far.
    fn tokens() -> Vec<f32> {
        (0..512u64)
            .flat_map(|t| {
                (0..8u64).map(move |e| {
                    let noise = crate::parts::uniform_below(1000, 7, t * 8 + e) as f32;
                    noise * 0.002 - 0.4 * e as f32
                })
            })
            .collect()
    }

    #[test]
    fn a_few_steps_balance_a_skewed_load() {
        let logits = tokens();
        let mut router = router(2, 8);
        let max_vio = |router: &QuantileRouter| {
            let load = router.route(input(&logits, 8)).load();
            crate::metrics::max_vio(&load)
        };
        let before = max_vio(&router);
        for _ in 0..6 {
            let load = router.route(input(&logits, 8)).load();
            router = router.advance(&load);
        }
        let after = max_vio(&router);
        assert!(before > 1.0 && after < 0.1, "{before} {after}");
    }

    #[test]
    fn a_softmax_over_many_experts_balances() {
        // 2048 tokens over 64 experts: affinities of about 1/64, which differ in thousandths
        let logits: Vec<f32> = (0..2048u64 * 64)
            .map(|i| {
                let noise = crate::parts::uniform_below(1000, 11, i) as f32;
                noise * 0.001 - 0.01 * (i % 64) as f32
            })
            .collect();
        let mut router = router(2, 64);
        router.affinity = Affinity::Softmax;
        let load = |router: &QuantileRouter| router.route(input(&logits, 64)).load();
        let before = crate::metrics::max_vio(&load(&router));
        for _ in 0..8 {
            let load = load(&router);
            router = router.advance(&load);
        }
        let after = crate::metrics::max_vio(&load(&router));
        assert!(before > 1.0 && after < 0.15, "{before} {after}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn splitting_a_step_into_micro_batches_moves_the_bias_alike(
            logits in prop::collection::vec(-3.0f32..3.0, 6..60),
            split in 1usize..9,
        ) {
            let logits = &logits[..logits.len() / 3 * 3];
            let split = split.min(logits.len() / 3 - 1) * 3;
            let router = router(2, 3);
            let load = |logits: &[f32]| router.route(input(logits, 3)).load();
            let whole = load(logits);
            let parts = load(&logits[..split]).merge(&load(&logits[split..]));
            let advanced = |load| bias(&router.clone().advance(load));
            prop_assert_eq!(advanced(&whole), advanced(&parts));
        }
    }
}
