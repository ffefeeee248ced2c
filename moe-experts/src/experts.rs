//! A bank of feed-forward experts with stacked weights.
//!
//! Expert `e` is the SwiGLU feed-forward `down(silu(gate(x)) * up(x))` (arXiv 2002.05202, equation 6), or
//! the two-matrix `down(act(up(x)))`. One parameter per projection holds all experts.

use std::sync::Arc;

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::device_rows::DeviceRows;
use crate::grouped::moe_ffn_there;
use crate::{Activation, ExpertBiases, ExpertWeights, RowPlan, moe_ffn, reference, spread};

/// Algorithm that computes the experts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dispatch {
    /// The fused operation [`moe_ffn`](crate::moe_ffn). The default.
    #[default]
    Grouped,
    /// The loop over experts of [`reference`](crate::reference).
    Reference,
}

/// Configuration to create an [`Experts`] bank using the [init function](ExpertsConfig::init).
#[derive(Config, Debug)]
pub struct ExpertsConfig {
    /// The size of the input and output features.
    pub d_model: usize,
    /// The number of experts.
    pub n_experts: usize,
    /// The hidden size of one expert.
    pub d_expert: usize,
    /// The non-linearity. Default: SwiGLU.
    #[config(default = "Activation::SwiGlu")]
    pub activation: Activation,
    /// Biases of every projection. Default: false
    #[config(default = false)]
    pub bias: bool,
}

/// A bank of experts. Should be created with [ExpertsConfig].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Experts {
    /// Gate projections `[n_experts, d_model, d_expert]`, if the activation is gated.
    pub gate: Option<Param<Tensor<3>>>,
    /// Up projections `[n_experts, d_model, d_expert]`.
    pub up: Param<Tensor<3>>,
    /// Down projections `[n_experts, d_expert, d_model]`.
    pub down: Param<Tensor<3>>,
    /// The biases of the projections, if they have any.
    pub biases: Option<Biases>,
    /// The non-linearity.
    #[module(skip)]
    pub activation: Activation,
}

/// The biases of a bank of experts.
#[derive(Module, Debug)]
pub struct Biases {
    /// Biases of the gate projections `[n_experts, d_expert]`, if the activation is gated.
    pub gate: Option<Param<Tensor<2>>>,
    /// Biases of the up projections `[n_experts, d_expert]`.
    pub up: Param<Tensor<2>>,
    /// Biases of the down projections `[n_experts, d_model]`.
    pub down: Param<Tensor<2>>,
}

impl ExpertsConfig {
    /// Initializes a new [`Experts`] bank, every weight uniform in `(-k, k)` with `k = sqrt(1 / fan_in)` of
    /// one expert's projection, as [`Linear`](burn::nn::Linear) does, and every bias zero.
    pub fn init(&self, device: &Device) -> Experts {
        let stack = |d_in, d_out| {
            // the bound is `gain sqrt(3 / fan_in)`, so this gain leaves `sqrt(1 / fan_in)`
            let initializer = Initializer::KaimingUniform {
                gain: 1.0 / 3f64.sqrt(),
                fan_out_only: false,
            };
            let shape = [self.n_experts, d_in, d_out];
            initializer.init_with(shape, Some(d_in), Some(d_out), device)
        };
        let gated = self.activation.is_gated();
        let bias = |width| Initializer::Zeros.init([self.n_experts, width], device);
        Experts {
            gate: gated.then(|| stack(self.d_model, self.d_expert)),
            up: stack(self.d_model, self.d_expert),
            down: stack(self.d_expert, self.d_model),
            biases: self.bias.then(|| Biases {
                gate: gated.then(|| bias(self.d_expert)),
                up: bias(self.d_expert),
                down: bias(self.d_model),
            }),
            activation: self.activation,
        }
    }
}

impl Experts {
    /// Applies the experts to the tokens of their assignments and sums the results by gate.
    ///
    /// # Shapes
    ///
    /// - x: `[n_tokens, d_model]`
    /// - gates: `[n_assignments]`
    /// - output: `[n_tokens, d_model]`
    ///
    /// # Panics
    ///
    /// Panics if a shape disagrees with the plan or with the bank. A bank that holds a share of the plan's experts
    /// needs a [`Spread::scope`](spread::Spread::scope).
    pub fn forward(
        &self,
        x: Tensor<2>,
        gates: Tensor<1>,
        plan: Arc<RowPlan>,
        dispatch: Dispatch,
    ) -> Tensor<2> {
        if self.up.dims()[0] != plan.n_experts() {
            return spread::forward(self, x, gates, plan, dispatch);
        }
        match dispatch {
            Dispatch::Grouped => moe_ffn(x, self.weights(), gates, plan, self.activation),
            Dispatch::Reference => {
                reference::moe_ffn(x, self.weights(), gates, &plan, self.activation)
            }
        }
    }

    /// As [`forward`](Self::forward), of rows that were planned on the tokens' device.
    pub(crate) fn forward_there(
        &self,
        x: Tensor<2>,
        gates: Tensor<1>,
        rows: DeviceRows,
    ) -> Tensor<2> {
        moe_ffn_there(x, self.weights(), gates, rows, self.activation)
    }

    /// Applies each expert to its own rows, unweighted; used by soft slots, which are gathered already.
    ///
    /// # Shapes
    ///
    /// - rows: `[n_rows, d_model]`, sorted by expert
    /// - ends: `[n_experts]`, cumulative row ends
    /// - output: `[n_rows, d_model]`
    ///
    /// # Panics
    ///
    /// Panics if a shape disagrees, or if `ends` decreases or does not end at `n_rows`.
    pub fn forward_rows(&self, rows: Tensor<2>, ends: &[u32], dispatch: Dispatch) -> Tensor<2> {
        let gates = Tensor::ones([rows.dims()[0]], (&rows.device(), rows.dtype()));
        self.forward(rows, gates, Arc::new(RowPlan::identity(ends)), dispatch)
    }

    /// The weight stacks as tensors.
    pub fn weights(&self) -> ExpertWeights {
        ExpertWeights {
            gate: self.gate.as_ref().map(Param::val),
            up: self.up.val(),
            down: self.down.val(),
            biases: self.biases.as_ref().map(|biases| ExpertBiases {
                gate: biases.gate.as_ref().map(Param::val),
                up: biases.up.val(),
                down: biases.down.val(),
            }),
        }
    }
}

impl ModuleDisplay for Experts {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [n_experts, d_model, d_expert] = self.up.shape().dims();
        content
            .add("n_experts", &n_experts)
            .add("d_model", &d_model)
            .add("d_expert", &d_expert)
            .add_debug_attribute("activation", &self.activation)
            .optional()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(activation: Activation) -> Experts {
        ExpertsConfig::new(4, 3, 9)
            .with_activation(activation)
            .init(&Device::flex())
    }

    #[test]
    fn initial_weights_stay_in_the_bound_of_one_expert() {
        let experts = bank(Activation::SwiGlu);
        // fan_in is 4 for gate and up: |w| <= 1/2; 9 for down: |w| <= 1/3.
        for (stack, bound) in [(experts.up.val(), 0.5), (experts.down.val(), 1.0 / 3.0)] {
            let largest = stack.abs().max().into_scalar::<f32>();
            assert!(
                largest <= bound && largest > 0.8 * bound,
                "{largest} against {bound}"
            );
        }
    }

    #[test]
    fn only_gated_experts_have_a_gate_stack() {
        assert!(bank(Activation::SwiGlu).gate.is_some());
        assert_eq!(bank(Activation::SwiGlu).num_params(), 3 * 3 * 4 * 9);
        assert!(bank(Activation::Relu).gate.is_none());
        assert_eq!(bank(Activation::Relu).num_params(), 2 * 3 * 4 * 9);
    }

    #[test]
    fn biases_are_one_a_projection_and_start_at_zero() {
        let bank = |activation| {
            let config = ExpertsConfig::new(4, 3, 9).with_activation(activation);
            (config.with_bias(true)).init(&Device::flex())
        };
        // an expert: 2 * 4 * 9 weights, 9 + 4 biases; with a gate one more of each of 36 and 9
        assert_eq!(bank(Activation::Gelu).num_params(), 3 * (72 + 13));
        assert_eq!(bank(Activation::SwiGlu).num_params(), 3 * (108 + 22));
        let biases = bank(Activation::SwiGlu).biases.expect("it has biases");
        assert_eq!(biases.up.val().abs().max().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn rows_are_tokens_with_gate_one() {
        let device = Device::flex();
        let experts = bank(Activation::Gelu);
        let rows = Tensor::random([3, 4], burn::tensor::Distribution::Default, &device);
        let plan = Arc::new(RowPlan::new(&[0, 1, 2], &[0, 2, 2], &[true; 3], 3, 3));
        let gates = Tensor::ones([3], &device);
        let expected = experts.forward(rows.clone(), gates, plan, Dispatch::Grouped);
        let actual = experts.forward_rows(rows, &[1, 1, 3], Dispatch::Grouped);
        actual.into_data().assert_eq(&expected.into_data(), true);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", bank(Activation::SwiGlu)),
            "Experts {n_experts: 3, d_model: 4, d_expert: 9, activation: SwiGlu, params: 324}"
        );
    }
}
