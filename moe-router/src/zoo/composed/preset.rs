//! The properties of a composed router that follow from its configuration.

use super::{ComposedRouter, ComposedRouterConfig};
use crate::parts::{
    Bias, Buffers, Capacity, CapacityRule, ExpertGroups, Noise, Overflow, Select, choice_bias,
};
use crate::zoo::common;
use crate::{
    BalanceConfig, Causality, Extra, Family, Preset, RouterError, RouterInfo, RouterShape,
    TokenChoice,
};
use burn::tensor::Device;

impl ComposedRouterConfig {
    pub(super) fn expert_groups(&self) -> ExpertGroups {
        ExpertGroups {
            n_groups: self.n_groups,
            topk_groups: self.topk_groups,
            score: self.group_score,
        }
    }

    pub(super) fn capacity(&self) -> Capacity {
        // an expert that chooses takes its factor times its fair share: k is the factor
        let top_k = match self.select {
            Select::ExpertChoice => 1,
            _ => self.top_k,
        };
        Capacity::new(self.capacity, self.capacity_factor, top_k).minimum(self.min_capacity)
    }

    /// The buffers that choices compete for, if experts can be full.
    pub(super) fn buffers(&self) -> Option<Buffers> {
        let limited = self.capacity != CapacityRule::None && self.select != Select::ExpertChoice;
        limited.then_some(Buffers {
            priority: self.priority,
            order: self.fill,
            overflow: self.overflow,
        })
    }

    /// The most choices that a token can make.
    fn max_choices(&self) -> usize {
        match self.select {
            Select::TopK | Select::GroupLimited => self.top_k,
            _ => usize::MAX,
        }
    }
}

impl Preset for ComposedRouterConfig {
    type Router = ComposedRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: Causality::Causal,
        paper: "a product of parts",
        arxiv: "",
        rule: "score, select, normalise, capacity, overflow, priority, noise and bias of your choice",
    };

    fn causality(&self) -> Causality {
        if self.select == Select::ExpertChoice {
            return crate::zoo::ExpertChoiceRouterConfig::INFO.causality;
        }
        self.buffers().map_or(Causality::Causal, |buffers| {
            buffers.causality(self.max_choices())
        })
    }

    fn family(&self) -> Family {
        match self.select {
            Select::ExpertChoice => Family::ExpertChoice,
            _ => Self::INFO.family,
        }
    }

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        super::check::check(self, n_experts)
    }

    /// The Switch loss of weight 0.01, whatever the parts.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig {
            load_balance: 0.01,
            ..Default::default()
        }
    }

    fn extras(&self) -> Vec<Extra> {
        match self.noise {
            Noise::Gaussian => vec![Extra::Gate, Extra::Noise],
            Noise::None | Noise::Jitter => vec![Extra::Gate],
        }
    }

    fn capacity_factor(&self) -> Option<f64> {
        (self.capacity != CapacityRule::None).then_some(self.capacity_factor)
    }

    fn with_capacity_factor(self, capacity_factor: f64) -> Self {
        Self {
            capacity_factor,
            ..self
        }
    }

    fn token_choice(&self, n_experts: usize, group_size: usize) -> Option<TokenChoice> {
        let takes_best = matches!(self.select, Select::TopK | Select::GroupLimited);
        let is_limited = self.select == Select::GroupLimited;
        (takes_best && self.overflow == Overflow::Drop).then(|| TokenChoice {
            normalise: self.normalise,
            scale: self.routed_scaling_factor,
            groups: is_limited.then(|| self.expert_groups()),
            capacity: (self.buffers()).map(|_| self.capacity().of(group_size, n_experts)),
            priority: self.priority,
            order: self.fill,
            ..TokenChoice::new(self.top_k, self.score)
        })
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        match self.select {
            Select::ExpertChoice => self.capacity_factor,
            _ => self.top_k as f64,
        }
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        let bias = match self.bias {
            Bias::None => 0,
            Bias::Sign => shape.n_experts,
        };
        shape.d_model * shape.n_experts + bias
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> ComposedRouter {
        ComposedRouter {
            gate: common::gate(shape, device),
            bias: (self.bias == Bias::Sign).then(|| choice_bias(shape.n_experts, device)),
            config: self.clone(),
        }
    }
}
