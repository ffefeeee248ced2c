//! Soft-MoE: experts work on slots, each a mixture of all tokens (Puigcerver et al. 2023,
//! arXiv 2308.00951, equations 1 to 3 and the normalisation of section 2.3).

use super::common;
use crate::error::check_not_negative;
use crate::{
    Causality, Extra, Family, Preset, Router, RouterError, RouterInfo, RouterInput, RouterShape,
    Routing, SoftPlan,
};
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor, activation::softmax};
use serde::{Deserialize, Serialize};

/// Configuration to create a [`SoftMoeRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SoftMoeRouterConfig {
    /// The number of slots an expert, for each sequence. As many slots in all as a sequence has
    /// tokens cost as much as one expert a token. Default: 16
    pub slots_per_expert: usize,
    /// The standard deviation of noise on the scores in training. Default: 0. Written only if it is
    /// another
    #[serde(skip_serializing_if = "is_zero")]
    pub noise_std: f64,
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// Dispatches by a softmax over tokens and combines by a softmax over slots of `norm(x) . norm(phi)`.
/// The experts' inputs are mixtures of the tokens themselves, not of the normalised ones.
#[derive(Module, Debug)]
pub struct SoftMoeRouter {
    /// The slots' directions, `[d_model, n_slots]`, slots of an expert side by side.
    pub phi: Param<Tensor<2>>,
    /// The learned scale of the scores.
    pub scale: Param<Tensor<1>>,
    /// The number of experts.
    pub n_experts: usize,
    /// The standard deviation of noise on the scores in training.
    pub noise_std: f64,
}

impl Default for SoftMoeRouterConfig {
    fn default() -> Self {
        Self {
            slots_per_expert: 16,
            noise_std: 0.0,
        }
    }
}

impl Preset for SoftMoeRouterConfig {
    type Router = SoftMoeRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::Soft,
        causality: Causality::Leaks(
            "every slot is a mixture of all tokens of a sequence, later ones included",
        ),
        paper: "Puigcerver et al. 2023",
        arxiv: "2308.00951",
        rule: "slots mix all tokens; tokens mix all slots",
    };

    fn validate(&self, _n_experts: usize) -> Result<(), RouterError> {
        if self.slots_per_expert > 0 {
            return check_not_negative("noise_std", self.noise_std);
        }
        Err(RouterError::Range {
            key: "slots_per_expert",
            value: 0.0,
            range: "at least 1",
        })
    }

    fn extras(&self) -> Vec<Extra> {
        Vec::new()
    }

    /// Every token reaches every expert through the slots: all parameters are active.
    fn experts_per_token(&self, n_experts: usize) -> f64 {
        n_experts as f64
    }

    fn rows_per_token(&self, n_experts: usize, seq_length: usize) -> f64 {
        (n_experts * self.slots_per_expert) as f64 / seq_length as f64
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * shape.n_experts * self.slots_per_expert + 1
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> SoftMoeRouter {
        let n_slots = shape.n_experts * self.slots_per_expert;
        let std = 1.0 / (shape.d_model as f64).sqrt();
        SoftMoeRouter {
            phi: Initializer::Normal { mean: 0.0, std }.init([shape.d_model, n_slots], device),
            scale: Initializer::Ones.init([1], device),
            n_experts: shape.n_experts,
            noise_std: self.noise_std,
        }
    }
}

/// `x / |x|` along `dim`, safe at zero.
fn unit(x: Tensor<2>, dim: usize) -> Tensor<2> {
    let square = x.clone().square().sum_dim(dim) + 1e-6;
    x / square.sqrt()
}

impl Router for SoftMoeRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let n_tokens = input.n_tokens();
        let shape_gms = [input.n_groups, input.group_size(), self.phi.dims()[1]];
        if n_tokens == 0 {
            return self.of_nothing(input, shape_gms);
        }

        let mut scores_gms = self.scores(&input).reshape(shape_gms);
        let dispatch_scores = match &input.padding {
            Some(padding) => scores_gms.clone() + padding_bias(padding, &shape_gms, &scores_gms),
            None => scores_gms.clone(),
        };
        let kept = |map_gms: Tensor<3>| match &input.padding {
            Some(padding) => {
                let keep = |&pad: &bool| if pad { 0.0 } else { 1.0 };
                let keep_t: Vec<f32> = padding.iter().map(keep).collect();
                map_gms.clone() * column(&keep_t, &shape_gms, &map_gms)
            }
            None => map_gms,
        };
        let plan = SoftPlan {
            dispatch: kept(softmax(dispatch_scores, 1)),
            combine: kept(softmax(scores_gms.clone(), 2)),
        };

        // an expert's score is the log-sum-exp of its slots' scores: its softmax is the combine mass
        let max = scores_gms.clone().detach().max_dim(2);
        // the largest is taken out before the exponential and put back behind the logarithm: no overflow
        scores_gms = scores_gms - max.clone();
        let shape_tep = [n_tokens, self.n_experts, shape_gms[2] / self.n_experts];
        let sum_te = scores_gms.exp().reshape(shape_tep).sum_dim(2);
        let logits_te =
            sum_te.reshape([n_tokens, self.n_experts]).log() + max.reshape([n_tokens, 1]);
        let probs_te = softmax(logits_te.clone(), 1);

        Routing::soft(plan, logits_te, probs_te).padding(input.padding)
    }

    fn causality(&self) -> Causality {
        SoftMoeRouterConfig::INFO.causality
    }
}

impl SoftMoeRouter {
    /// Cosines of tokens and slots times a learned scale, `[T, S]`.
    fn scores(&self, input: &RouterInput) -> Tensor<2> {
        let scale = self.scale.val().cast(DType::F32).unsqueeze();
        let phi_ds = unit(self.phi.val().cast(DType::F32), 0) * scale;
        let n_slots = phi_ds.dims()[1];
        let x_td = unit(input.x_td.clone().cast(DType::F32), 1);
        let scores_ts = x_td.matmul(phi_ds);
        match common::noise(input, n_slots, self.noise_std) {
            Some(noise_ts) => scores_ts + noise_ts * self.noise_std,
            None => scores_ts,
        }
    }

    /// The routing of no tokens; a shape with a zero cannot be given to `reshape`.
    fn of_nothing(&self, input: RouterInput, shape_gms: [usize; 3]) -> Routing {
        let device = input.x_td.device();
        let map_gms = Tensor::zeros(shape_gms, &device);
        let scores_te = Tensor::zeros([0, self.n_experts], &device);
        let plan = SoftPlan {
            dispatch: map_gms.clone(),
            combine: map_gms,
        };
        Routing::soft(plan, scores_te.clone(), scores_te).padding(input.padding)
    }
}

/// Minus infinity, nearly, for padding tokens, so that no slot takes any of them.
fn padding_bias(padding: &[bool], shape_gms: &[usize; 3], like: &Tensor<3>) -> Tensor<3> {
    // finite: a softmax over infinities alone, of a sequence that is all padding, is not a number
    let bias = |&pad: &bool| if pad { -1e30 } else { 0.0 };
    let bias_t: Vec<f32> = padding.iter().map(bias).collect();
    column(&bias_t, shape_gms, like)
}

/// One number for each token, `[G, M, 1]`.
fn column(values_t: &[f32], shape_gms: &[usize; 3], like: &Tensor<3>) -> Tensor<3> {
    let shape = [shape_gms[0], shape_gms[1], 1];
    Tensor::<1>::from_floats(values_t, &like.device()).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, to_vec};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Distribution;

    fn route(padding: Option<[bool; 8]>) -> (Routing, SoftPlan) {
        let device = Device::flex();
        let shape = RouterShape {
            d_model: 6,
            n_experts: 3,
            layer: 0,
        };
        let router = SoftMoeRouterConfig {
            slots_per_expert: 2,
            ..Default::default()
        }
        .init(&shape, &device);
        let x = Tensor::random([8, 6], Distribution::Default, &device);
        let mut input = RouterInput::new(x).groups(2);
        if let Some(padding) = padding {
            input = input.padding(padding.into());
        }
        let routing = router.route(input);
        let Plan::Soft(plan) = routing.plan.clone() else {
            panic!("a soft plan");
        };
        (routing, plan)
    }

    #[test]
    fn dispatch_columns_and_combine_rows_sum_to_one() {
        let (routing, plan) = route(None);
        for sum in to_vec(plan.dispatch.sum_dim(1)) {
            assert_abs_diff_eq!(sum, 1.0, epsilon = 1e-5);
        }
        for sum in to_vec(plan.combine.sum_dim(2)) {
            assert_abs_diff_eq!(sum, 1.0, epsilon = 1e-5);
        }
        // probs are the combine mass: they agree with the load
        let mass = to_vec(routing.probs().sum_dim(0));
        for (mass, load) in mass.iter().zip(routing.load().kept) {
            assert_abs_diff_eq!(f64::from(*mass), load, epsilon = 1e-5);
        }
    }

    #[test]
    fn no_slot_takes_padding() {
        let mut padding = [false; 8];
        padding[3] = true;
        let (_, plan) = route(Some(padding));
        let taken = to_vec(plan.dispatch.slice([0..1, 3..4]));
        assert!(taken.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn padding_gets_nothing_and_counts_nothing() {
        let mut padding = [false; 8];
        padding[4..].fill(true); // the whole second group
        let (routing, plan) = route(Some(padding));
        let given = to_vec(plan.combine.slice([1..2, 0..4]));
        assert!(given.iter().all(|&x| x == 0.0));
        let load: f64 = routing.load().kept.iter().sum();
        assert_abs_diff_eq!(load, 4.0, epsilon = 1e-5);
        assert_eq!(routing.first_expert()[4..], [None; 4]);
    }
}
