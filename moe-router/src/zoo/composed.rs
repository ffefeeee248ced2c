//! A router composed of parts: score x select x weights x capacity x overflow x priority x bias. Most
//! routers of token choice in the literature are points of this product.
//!
//! ```text
//! z = gate(x) (+ noise)      s = score(z)       choice = select(s + bias)
//! w = scale * normalise(s at the choice)        kept = the choices that find a place
//! ```

mod check;
mod preset;

use super::common;
use crate::parts::{
    Bias, Buffers, CapacityRule, Claims, FillOrder, GroupScore, Noise, Normalise, Overflow,
    Priority, Score, Select, above, expert_choice, step_by_sign, take_best, token_choice, top_p,
};
use crate::{Assignments, Causality, Load, NoisyLogits, Preset, Router, RouterInput, Routing};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration to create a [`ComposedRouter`]. A key that the chosen parts do not use must keep its
/// default.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ComposedRouterConfig {
    /// Function from logits to scores: softmax, sigmoid, relu or cosine. Default: softmax
    pub score: Score,
    /// Divisor of the cosines. Default: 0.07
    pub temperature: f64,
    /// Rule of choice: top_k, group_limited, top_p, threshold, positive or expert_choice. Default: top_k
    pub select: Select,
    /// The number of experts a token; for top_p, threshold and positive, which find their own, the
    /// number that capacity and cost are counted by. Default: 2
    pub top_k: usize,
    /// The share of the scores that a token's experts must have. Default: 0.5
    pub top_p: f64,
    /// The score that an expert must exceed. Default: 0.0
    pub threshold: f64,
    /// The number of groups that the experts form. Default: 1
    pub n_groups: usize,
    /// The number of groups that a token may use. Default: 1
    pub topk_groups: usize,
    /// Score of a group: max or top_two_sum. Default: max
    pub group_score: GroupScore,
    /// Normalisation of the chosen scores: none, sum or softmax. Default: sum
    pub normalise: Normalise,
    /// Factor of the weights, applied last. Default: 1.0
    pub routed_scaling_factor: f64,
    /// The rounding of the experts' capacity in a sequence: none, switch, mesh, megatron, megablocks,
    /// tutel, vmoe, gshard or expert_choice. Default: none, which is no limit
    pub capacity: CapacityRule,
    /// The capacity of an expert relative to a balanced load. Default: 1.25
    pub capacity_factor: f64,
    /// The least capacity, for mesh and megatron. Default: 4
    pub min_capacity: usize,
    /// Tokens that come first: position, score or random. Default: position
    pub priority: Priority,
    /// Order in which choices are served: token_by_token or choice_by_choice. Default: token_by_token
    pub fill: FillOrder,
    /// Treatment of a choice whose expert is full: drop or next_choice. Default: drop
    pub overflow: Overflow,
    /// The noise of a training step: none, gaussian or jitter. Default: none
    pub noise: Noise,
    /// The standard deviation of gaussian noise, times the number of experts. Default: 1.0
    pub noise_std: f64,
    /// The half width of the jitter. Default: 0.01
    pub jitter: f64,
    /// A bias of the choice: none or sign. Default: none
    pub bias: Bias,
    /// Move of the bias in a step. Default: 0.001
    pub bias_update_speed: f64,
}

/// A router composed of the parts that its configuration names.
#[derive(Module, Debug)]
pub struct ComposedRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The bias of the choice `[n_experts]`, if there is one; see [`Router::advance`].
    pub bias: Option<Param<Tensor<1>>>,
    /// The parts.
    #[module(skip)]
    pub config: ComposedRouterConfig,
}

impl Default for ComposedRouterConfig {
    fn default() -> Self {
        Self {
            score: Score::Softmax,
            temperature: 0.07,
            select: Select::TopK,
            top_k: 2,
            top_p: 0.5,
            threshold: 0.0,
            n_groups: 1,
            topk_groups: 1,
            group_score: GroupScore::Max,
            normalise: Normalise::Sum,
            routed_scaling_factor: 1.0,
            capacity: CapacityRule::None,
            capacity_factor: 1.25,
            min_capacity: 4,
            priority: Priority::Position,
            fill: FillOrder::TokenByToken,
            overflow: Overflow::Drop,
            noise: Noise::None,
            noise_std: 1.0,
            jitter: 0.01,
            bias: Bias::None,
            bias_update_speed: 0.001,
        }
    }
}

impl ComposedRouter {
    fn logits(&self, input: &RouterInput) -> Tensor<2> {
        let width = match self.config.noise {
            Noise::Jitter => self.config.jitter,
            Noise::None | Noise::Gaussian => 0.0,
        };
        let input = input.clone().jittered(input.noise, width);
        if self.config.score != Score::Cosine {
            return common::logits(&self.gate, &input);
        }
        common::cosine(input.x_td, self.gate.weight.val()) / self.config.temperature
    }

    fn noisy(&self, logits_te: &Tensor<2>, input: &RouterInput) -> Option<NoisyLogits> {
        let [_, n_experts] = logits_te.dims();
        let std = match self.config.noise {
            Noise::Gaussian => self.config.noise_std / n_experts as f64,
            _ => 0.0,
        };
        let noise_te = common::noise(input, n_experts, std)?;
        Some(common::noisy(logits_te, noise_te, std))
    }

    /// The choices, best first, and by what each token ranked its experts.
    fn select(&self, input: &RouterInput, scores_te: &Tensor<2>) -> Ranked {
        let config = &self.config;
        let n_experts = scores_te.dims()[1];
        let biased_te = match &self.bias {
            Some(bias) => scores_te.clone().detach() + bias.val().detach().unsqueeze(),
            None => scores_te.clone(),
        };
        let groups = (config.select == Select::GroupLimited).then(|| config.expert_groups());
        let takes_best = matches!(config.select, Select::TopK | Select::GroupLimited);
        let stays = |buffers: Buffers| buffers.fills_on_device(input, config.top_k);
        if takes_best && config.buffers().is_none_or(stays) {
            return Ranked {
                asked: take_best(input, &biased_te, config.top_k, groups.as_ref()),
                ranking_te: Vec::new(),
                biased_te,
            };
        }
        let mut ranking_te = common::host(&biased_te);
        let asked = match config.select {
            Select::TopK => token_choice(input, &ranking_te, config.top_k),
            Select::GroupLimited => {
                config.expert_groups().mask(&mut ranking_te, n_experts);
                token_choice(input, &ranking_te, config.top_k)
            }
            Select::TopP => {
                // a share of mass needs a distribution, which sigmoid and relu are not
                let share_te = config.score.distribution(scores_te.clone());
                top_p(input, &common::host(&share_te), config.top_p)
            }
            Select::Threshold => above(input, &ranking_te, |_| config.threshold as f32),
            Select::Positive => above(input, &ranking_te, |_| 0.0),
            Select::ExpertChoice => {
                let capacity_g = config.capacity().of_groups(input, n_experts);
                expert_choice(input, &ranking_te, n_experts, &capacity_g)
            }
        };
        Ranked {
            asked,
            ranking_te,
            biased_te,
        }
    }

    fn fill(&self, input: &RouterInput, chosen: Ranked, scores_te: &Tensor<2>) -> Assignments {
        let Some(buffers) = self.config.buffers() else {
            return chosen.asked;
        };
        let n_experts = scores_te.dims()[1];
        let capacity_g = self.config.capacity().of_groups(input, n_experts);
        if chosen.asked.on_device().is_some() {
            return buffers.fill_on_device(input, chosen.asked, n_experts, &capacity_g);
        }
        let claims = Claims {
            asked: &chosen.asked,
            ranking_te: &chosen.ranking_te,
            gates_te: &common::host(scores_te),
            capacity_g: &capacity_g,
        };
        buffers.fill(input, &claims)
    }
}

/// Choices and what they were ranked by: where it was computed and, if places are limited, on the host.
struct Ranked {
    asked: Assignments,
    ranking_te: Vec<f32>,
    biased_te: Tensor<2>,
}

impl Router for ComposedRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let config = &self.config;
        let clean_te = self.logits(&input);
        let noisy = self.noisy(&clean_te, &input);
        let logits_te = noisy.as_ref().map_or(&clean_te, |noisy| &noisy.logits);
        let scores_te = config.score.scores(logits_te.clone());

        let chosen = self.select(&input, &scores_te);
        let takes_best = matches!(config.select, Select::TopK | Select::GroupLimited)
            && config.overflow == Overflow::Drop;
        let ranking_te = takes_best.then(|| chosen.biased_te.clone());
        let assignments = self.fill(&input, chosen, &scores_te);
        let weights_a = config
            .normalise
            .weights(logits_te, &scores_te, &assignments)
            * config.routed_scaling_factor;

        let probs_te = config
            .score
            .distribution(config.score.scores(clean_te.clone()));
        let routing = Routing::sparse(assignments, weights_a, clean_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
            .ranking(ranking_te)
            .noisy(noisy)
            .gate(self.gate.weight.val());
        let routing = match &self.bias {
            Some(bias) => routing.selection_bias(bias.val()),
            None => routing,
        };
        match config.select {
            Select::GroupLimited => routing.expert_groups(config.expert_groups()),
            _ => routing,
        }
    }

    fn causality(&self) -> Causality {
        Preset::causality(&self.config)
    }

    fn competes(&self) -> bool {
        self.config.capacity != CapacityRule::None
    }

    fn advance(mut self, load: &Load) -> Self {
        let speed = self.config.bias_update_speed;
        self.bias = self.bias.map(|bias| step_by_sign(bias, load, speed));
        self
    }
}

#[cfg(test)]
mod tests;
