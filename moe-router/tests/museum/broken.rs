//! A token-choice router with one fault at a time; without a fault it breaks no law.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use moe_router::parts::{gather_weights, normalise_per_token, top_k};
use moe_router::{
    Assignments, Causality, Family, Load, Plan, Preset, Router, RouterError, RouterInfo,
    RouterInput, RouterShape, Routing, SparsePlan,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Faults of the exhibits.
pub mod fault {
    pub const NONE: usize = 0;
    pub const BIAS_IN_WEIGHTS: usize = 1;
    pub const MASK_WITH_ZERO: usize = 2;
    pub const GROUP_BY_REMAINDER: usize = 3;
    pub const LAST_TIE: usize = 4;
    pub const SOFTMAX_OVER_TOKENS: usize = 5;
    pub const CAPACITY_OF_BATCH: usize = 6;
    pub const CAPACITY_OFF_BY_ONE: usize = 7;
    pub const DROP_EARLIEST: usize = 8;
    pub const ROUTES_PADDING: usize = 9;
    pub const DETACHED: usize = 10;
    pub const NORMALISER_DETACHED: usize = 11;
    pub const COUNTS_IN_FORWARD: usize = 12;
    pub const WRONG_SIGN: usize = 13;
    pub const ABSOLUTE_STEP: usize = 14;
    pub const CHOSEN_TWICE: usize = 15;
    pub const FORGETS_START: usize = 16;
    pub const RAW_WEIGHTS: usize = 17;
    pub const ZERO_OVER_ZERO: usize = 18;
    pub const EXPERT_OUT_OF_RANGE: usize = 19;
    pub const FORGETS_GROUPS: usize = 20;
    pub const ONE_TOO_FEW: usize = 21;
    pub const FIXED_LABELS: usize = 22;
    pub const WEIGHTS_IN_EXPERT_ORDER: usize = 23;
    pub const DECLARED_LEAK: usize = 24;
    pub const SOFTMAX_TWICE: usize = 25;
    pub const PANICS_AT_ONE: usize = 26;
    pub const PANICS_AT_NONE: usize = 27;
    pub const CAPACITY_DIVIDES: usize = 28;
}
use fault::*;

/// Configuration of the broken router.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct BrokenConfig<const F: usize> {
    top_k: usize,
    n_groups: usize,
    topk_groups: usize,
    /// 0 drops nothing.
    capacity_factor: f64,
}

impl<const F: usize> Default for BrokenConfig<F> {
    fn default() -> Self {
        let drops = [
            CAPACITY_OF_BATCH,
            CAPACITY_OFF_BY_ONE,
            DROP_EARLIEST,
            CAPACITY_DIVIDES,
        ]
        .contains(&F);
        Self {
            top_k: 2,
            n_groups: 1,
            topk_groups: 1,
            capacity_factor: if drops { 1.0 } else { 0.0 },
        }
    }
}

/// Sigmoid affinities, a bias for the choice, groups of experts, renormalised weights, a capacity.
#[derive(Module, Debug)]
pub struct Broken {
    gate: Linear,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    config: Fields,
    #[module(skip)]
    calls: Calls,
}

#[derive(Debug, Clone, Copy)]
struct Fields {
    fault: usize,
    top_k: usize,
    n_groups: usize,
    topk_groups: usize,
    capacity_factor: f64,
}

/// Number of calls of `route`: hidden state.
#[derive(Debug, Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl<const F: usize> Preset for BrokenConfig<F> {
    type Router = Broken;

    const INFO: RouterInfo = RouterInfo {
        family: Family::TokenChoice,
        causality: match F {
            DECLARED_LEAK => Causality::Leaks("it is said to"),
            _ => Causality::Causal,
        },
        paper: "",
        arxiv: "",
        rule: "",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        let room = self.topk_groups * (n_experts / self.n_groups);
        if self.top_k <= room {
            Ok(())
        } else {
            Err(RouterError::Groups("too few".to_owned()))
        }
    }

    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        self.top_k as f64
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> Broken {
        Broken {
            gate: LinearConfig::new(shape.d_model, shape.n_experts)
                .with_bias(false)
                .init(device),
            bias: Param::from_tensor(Tensor::zeros([shape.n_experts], device))
                .set_require_grad(false),
            config: Fields {
                fault: F,
                top_k: self.top_k,
                n_groups: self.n_groups,
                topk_groups: self.topk_groups,
                capacity_factor: self.capacity_factor,
            },
            calls: Calls::default(),
        }
    }
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.detach().into_data().try_into_vec().expect("f32")
}

impl Broken {
    fn has(&self, fault: usize) -> bool {
        self.config.fault == fault
    }

    fn affinity(&self, logits_te: Tensor<2>) -> Tensor<2> {
        match self.config.fault {
            SOFTMAX_OVER_TOKENS => softmax(logits_te, 0),
            _ => sigmoid(logits_te),
        }
    }

    /// Masks all groups but the best, each scored by its two largest.
    fn mask(&self, row_e: &mut [f32]) {
        let Fields {
            n_groups,
            topk_groups,
            ..
        } = self.config;
        if n_groups == 1 {
            return;
        }
        let size = row_e.len() / n_groups;
        let group_of = |e: usize| match self.config.fault {
            GROUP_BY_REMAINDER => e % n_groups,
            _ => e / size,
        };
        let score = |g: usize| -> f32 {
            let own: Vec<f32> = (0..row_e.len())
                .filter(|&e| group_of(e) == g)
                .map(|e| row_e[e])
                .collect();
            top_k(&own, own.len().min(2))
                .iter()
                .map(|&i| own[i as usize])
                .sum()
        };
        let scores: Vec<f32> = (0..n_groups).map(score).collect();
        let best = top_k(&scores, topk_groups);
        for (e, score) in row_e.iter_mut().enumerate() {
            if !best.contains(&(group_of(e) as u32)) {
                *score = if self.has(MASK_WITH_ZERO) {
                    0.0
                } else {
                    f32::NEG_INFINITY
                };
            }
        }
    }

    fn choose(&self, row_e: &[f32], position: usize) -> Vec<u32> {
        let n_experts = row_e.len();
        let k = self.config.top_k;
        let mut best = top_k(row_e, k);
        match self.config.fault {
            LAST_TIE => {
                let reversed: Vec<f32> = row_e.iter().rev().copied().collect();
                let last = |e: u32| n_experts as u32 - 1 - e;
                best = top_k(&reversed, k).into_iter().map(last).collect();
            }
            CHOSEN_TWICE if k > 1 => best[1] = best[0],
            FORGETS_START if position > 2 => best = top_k(&vec![0.0; n_experts], k),
            EXPERT_OUT_OF_RANGE => best[0] = n_experts as u32,
            ONE_TOO_FEW if k > 1 => {
                best.pop();
            }
            FIXED_LABELS => {
                let mut favoured = row_e.to_vec();
                favoured[0] += 0.3;
                best = top_k(&favoured, k);
            }
            _ => (),
        }
        best
    }

    fn assign(&self, input: &RouterInput, choice_te: &mut [f32], n_experts: usize) -> Assignments {
        let mut assignments = Assignments::default();
        let calls = self.calls.0.fetch_add(1, Ordering::Relaxed);
        for (t, row_e) in choice_te.chunks_mut(n_experts).enumerate() {
            if input.is_padding(t) && !self.has(ROUTES_PADDING) {
                continue;
            }
            self.mask(row_e);
            if self.has(COUNTS_IN_FORWARD) {
                row_e[calls % n_experts] += 1.0;
            }
            // the position in the sequence is `start` more than this
            for expert in self.choose(row_e, t % input.group_size()) {
                assignments.push(t as u32, expert);
            }
        }
        self.drop(input, &mut assignments, n_experts);
        assignments
    }

    fn drop(&self, input: &RouterInput, assignments: &mut Assignments, n_experts: usize) {
        let mut factor = self.config.capacity_factor;
        if factor == 0.0 {
            return;
        }
        if self.has(CAPACITY_DIVIDES) {
            factor = 1.0 / factor;
        }
        let room = |tokens: usize| {
            let exact = tokens as f64 / n_experts as f64 * factor * self.config.top_k as f64;
            (exact as usize).max(1)
        };
        let size = match self.config.fault {
            CAPACITY_OF_BATCH => input.n_tokens(),
            _ => input.group_size(),
        };
        let mut left = Vec::new();
        for first in (0..input.n_tokens()).step_by(size.max(1)) {
            let tokens = (first..first + size).filter(|&t| !input.is_padding(t));
            left.extend(vec![room(tokens.count()); n_experts]);
            if self.has(CAPACITY_OFF_BY_ONE) {
                let first_expert = left.len() - n_experts;
                left[first_expert] += 1;
            }
        }
        let mut order: Vec<usize> = (0..assignments.len()).collect();
        if self.has(DROP_EARLIEST) {
            order.reverse();
        }
        for n in order {
            let g = assignments.tokens()[n] as usize / size;
            let slot = &mut left[g * n_experts + assignments.experts()[n] as usize];
            match *slot {
                0 => assignments.drop_assignment(n),
                _ => *slot -= 1,
            }
        }
    }

    fn weigh(
        &self,
        affinity_te: &Tensor<2>,
        logits_te: &Tensor<2>,
        assignments: &Assignments,
    ) -> Tensor<1> {
        if self.has(EXPERT_OUT_OF_RANGE) {
            return Tensor::ones([assignments.len()], &affinity_te.device());
        }
        let gathered = gather_weights(affinity_te, assignments);
        let k = self.config.top_k;
        match self.config.fault {
            BIAS_IN_WEIGHTS => {
                let bias_e = self.bias.val().detach().unsqueeze();
                gather_weights(&(affinity_te.clone() + bias_e), assignments)
            }
            DETACHED => normalise_per_token(gathered, k, 1e-20).detach(),
            NORMALISER_DETACHED if k > 1 => {
                let n = gathered.dims()[0];
                let weights_tk = gathered.reshape([n / k, k]);
                let sum_t1 = weights_tk.clone().sum_dim(1).detach();
                (weights_tk / sum_t1).reshape([n])
            }
            RAW_WEIGHTS => gather_weights(logits_te, assignments),
            ZERO_OVER_ZERO => {
                // ReLU weights, divided by their sum
                let relu = burn::tensor::activation::relu(gather_weights(logits_te, assignments));
                normalise_per_token(relu, k, 0.0)
            }
            WEIGHTS_IN_EXPERT_ORDER => {
                let mut order: Vec<usize> = (0..assignments.len()).collect();
                order.sort_by_key(|&n| assignments.experts()[n]);
                let index: Vec<i64> = order.iter().map(|&n| n as i64).collect();
                let data = TensorData::new(index, [order.len()]);
                let weights = normalise_per_token(gathered, k, 1e-20);
                weights
                    .clone()
                    .select(0, Tensor::from_data(data, &weights.device()))
            }
            SOFTMAX_TWICE => {
                let n = gathered.dims()[0];
                softmax(gathered.reshape([n / k, k]), 1).reshape([n])
            }
            CHOSEN_TWICE | ONE_TOO_FEW | ROUTES_PADDING | SOFTMAX_OVER_TOKENS => gathered,
            _ => normalise_per_token(gathered, k, 1e-20),
        }
    }
}

impl Router for Broken {
    fn route(&self, input: RouterInput) -> Routing {
        assert!(
            !(self.has(PANICS_AT_ONE) && input.n_tokens() == 1),
            "index out of bounds: the len is 1 but the index is 1"
        );
        assert!(
            !(self.has(PANICS_AT_NONE) && input.n_tokens() == 0),
            "attempt to divide by zero"
        );
        let logits_te = self.gate.forward(input.x_td.clone());
        let [_, n_experts] = logits_te.dims();
        let affinity_te = self.affinity(logits_te.clone());
        let bias_e = self.bias.val().detach().unsqueeze();
        let mut choice_te = host(affinity_te.clone() + bias_e);
        let assignments = self.assign(&input, &mut choice_te, n_experts);
        let weights = self.weigh(&affinity_te, &logits_te, &assignments);
        let sum_t1 = affinity_te.clone().sum_dim(1) + 1e-20;
        let mut routing = Routing::sparse(
            Assignments::default(),
            Tensor::zeros([0], &logits_te.device()),
            logits_te,
            affinity_te / sum_t1,
        )
        .padding(input.padding);
        // without the constructor's checks, as a router may fill the public fields itself
        routing.plan = Plan::Sparse(SparsePlan {
            assignments: Arc::new(assignments),
            weights,
        });
        match self.config.fault {
            FORGETS_GROUPS => routing,
            _ => routing.groups(input.n_groups),
        }
    }

    fn causality(&self) -> Causality {
        match self.config.fault {
            DECLARED_LEAK => Causality::Leaks("it is said to"),
            _ => Causality::Causal,
        }
    }

    fn advance(mut self, load: &Load) -> Self {
        let mean = load.asked.iter().sum::<f64>() / load.asked.len() as f64;
        let step = |asked: &f64| match self.config.fault {
            _ if *asked == mean => 0.0,
            WRONG_SIGN => 0.001 * (asked - mean).signum(),
            ABSOLUTE_STEP => 0.001 * (mean - asked),
            _ => 0.001 * (mean - asked).signum(),
        };
        let steps: Vec<f32> = load.asked.iter().map(|asked| step(asked) as f32).collect();
        self.bias = self.bias.map(|bias| {
            let steps = Tensor::<1>::from_floats(steps.as_slice(), &bias.device());
            bias + steps
        });
        self
    }
}
