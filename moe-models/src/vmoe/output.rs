//! Outputs of the vision transformer.

use burn::tensor::Tensor;
use moe_router::Routing;

/// Output of a [`Vmoe`](super::Vmoe).
#[derive(Debug, Clone)]
pub struct VmoeOutput {
    /// The scores of the classes, `[B, n_classes]`.
    pub logits: Tensor<2>,
    /// The routing of each mixture of experts, tokens `[B * N]`.
    pub routings: Vec<Routing>,
    /// Trace of every block, if it was asked for.
    pub trace: Option<VmoeTrace>,
}

/// Trace of every block: all quantities by which two implementations are compared beside the routings
/// and the logits.
#[derive(Debug, Clone)]
pub struct VmoeTrace {
    /// The embedded patches without positions, `[B, H / ph * W / pw, D]`.
    pub patches: Tensor<3>,
    /// The residual stream after each block, `[B, N, D]`.
    pub blocks: Vec<Tensor<3>>,
    /// Output of each mixture of experts, `[B, N, D]`.
    pub mixtures: Vec<Tensor<3>>,
    /// The stream after the final norm, `[B, N, D]`.
    pub encoded: Tensor<3>,
}

/// Keeps what a [`VmoeTrace`] is made of while a model runs, if it was asked for.
#[derive(Debug, Default)]
pub(super) struct Tracer {
    traced: bool,
    blocks: Vec<Tensor<3>>,
    mixtures: Vec<Tensor<3>>,
}

impl Tracer {
    pub(super) fn new(traced: bool) -> Self {
        Self {
            traced,
            ..Self::default()
        }
    }

    pub(super) fn block(&mut self, x: &Tensor<3>) {
        if self.traced {
            self.blocks.push(x.clone());
        }
    }

    pub(super) fn mixture(&mut self, x: &Tensor<3>) {
        if self.traced {
            self.mixtures.push(x.clone());
        }
    }

    pub(super) fn finish(self, patches: Tensor<3>, encoded: &Tensor<3>) -> Option<VmoeTrace> {
        self.traced.then(|| VmoeTrace {
            patches,
            blocks: self.blocks,
            mixtures: self.mixtures,
            encoded: encoded.clone(),
        })
    }
}
