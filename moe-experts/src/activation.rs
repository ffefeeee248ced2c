//! The non-linearity between an expert's projections.
//!
//! SwiGLU is equation 6 of arXiv 2002.05202: `down(silu(gate(x)) * up(x))`; the others are the
//! two-matrix feed-forward `down(act(up(x)))` with SiLU, ReLU or GELU (arXiv 1606.08415).

use serde::{Deserialize, Serialize};

/// The non-linearity of an expert, which also decides whether it has two or three weight stacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Three stacks: `down(silu(gate(x)) * up(x))`. The default.
    #[default]
    #[serde(rename = "swiglu", alias = "swi_glu")]
    SwiGlu,
    /// Two stacks, in the tanh form: `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    Gelu,
    /// Two stacks: `max(x, 0)`.
    Relu,
    /// Two stacks: `x sigmoid(x)`.
    Silu,
}

impl Activation {
    /// Returns `true` if the experts have a third weight stack, the gate projection.
    pub fn is_gated(self) -> bool {
        self == Self::SwiGlu
    }

    /// Number of weight stacks an expert has: 3 with a gate projection, 2 without.
    pub fn n_stacks(self) -> usize {
        if self.is_gated() { 3 } else { 2 }
    }
}
