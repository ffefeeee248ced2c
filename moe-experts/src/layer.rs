//! The mixture-of-experts layer: a router, its experts, and what every token passes through besides
//! (shared experts, Dai et al. 2024, arXiv 2401.06066, equation 9).

use crate::{Activation, Dispatch, Experts, ExpertsConfig, RowPlan};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use moe_router::{AnyRouter, Plan, Router, RouterInput, Routing, SoftPlan, SparsePlan};
use std::sync::Arc;

/// Configuration to create a [`MoeLayer`].
#[derive(Debug, Clone, PartialEq)]
pub struct MoeLayerConfig {
    /// The width of the tokens.
    pub d_model: usize,
    /// The number of experts that tokens are routed to.
    pub n_experts: usize,
    /// The hidden width of an expert.
    pub d_expert: usize,
    /// The number of experts' worth of hidden width that every token passes through.
    pub n_shared_experts: usize,
    /// The experts' activation.
    pub activation: Activation,
    /// How the experts are computed.
    pub dispatch: Dispatch,
}

/// Routes tokens to experts and adds up what they return; generic in the router, with the run-time
/// choice as default.
#[derive(Module, Debug)]
pub struct MoeLayer<R: Router = AnyRouter> {
    /// Decides who goes where.
    pub router: R,
    /// The experts that tokens are routed to.
    pub experts: Experts,
    /// One expert as wide as all shared experts together, which is the same thing.
    pub shared: Option<Experts>,
    /// How the experts are computed.
    #[module(skip)]
    pub dispatch: Dispatch,
}

/// What a [`MoeLayer`] returns.
#[derive(Debug, Clone)]
pub struct MoeOutput {
    /// The tokens, `[T, D]`. A token that no expert kept gets zeros (plus the shared experts).
    pub output: Tensor<2>,
    /// Who went where.
    pub routing: Routing,
}

impl MoeLayerConfig {
    /// The configuration of the experts that tokens are routed to.
    pub fn experts(&self) -> ExpertsConfig {
        ExpertsConfig::new(self.d_model, self.n_experts, self.d_expert)
            .with_activation(self.activation)
    }

    /// The configuration of the shared experts, if there are any.
    pub fn shared(&self) -> Option<ExpertsConfig> {
        let d_hidden = self.n_shared_experts * self.d_expert;
        (d_hidden > 0)
            .then(|| ExpertsConfig::new(self.d_model, 1, d_hidden).with_activation(self.activation))
    }

    /// Builds the layer around a router.
    pub fn init<R: Router>(&self, router: R, device: &Device) -> MoeLayer<R> {
        MoeLayer {
            router,
            experts: self.experts().init(device),
            shared: self.shared().map(|shared| shared.init(device)),
            dispatch: self.dispatch,
        }
    }
}

impl<R: Router> MoeLayer<R> {
    /// Applies the forward pass on the input tokens.
    ///
    /// # Shapes
    ///
    /// - input: `[T, d_model]`
    /// - output: `[T, d_model]`
    pub fn forward(&self, input: RouterInput) -> MoeOutput {
        let x_td = input.x_td.clone();
        let routing = self.router.route(input);
        let mut output_td = match &routing.plan {
            Plan::Sparse(plan) => self.sparse(x_td.clone(), plan, routing.n_experts()),
            Plan::Soft(plan) => self.soft(x_td.clone(), plan),
        };
        if let Some(shared) = &self.shared {
            let n_tokens = x_td.dims()[0] as u32;
            output_td = output_td + shared.forward_rows(x_td, &[n_tokens], self.dispatch);
        }
        MoeOutput {
            output: output_td,
            routing,
        }
    }

    fn sparse(&self, x_td: Tensor<2>, plan: &SparsePlan, n_experts: usize) -> Tensor<2> {
        let assignments = &plan.assignments;
        let rows = RowPlan::new(
            assignments.tokens(),
            assignments.experts(),
            assignments.kept(),
            x_td.dims()[0],
            n_experts,
        );
        let weights_n = plan.weights.clone();
        self.experts
            .forward(x_td, weights_n, Arc::new(rows), self.dispatch)
    }

    /// `Y = C * experts(D^T X)` for each group (Puigcerver et al. 2023, arXiv 2308.00951, equations 1
    /// to 3).
    fn soft(&self, x_td: Tensor<2>, plan: &SoftPlan) -> Tensor<2> {
        let [n_groups, group_size, n_slots] = plan.dispatch.dims();
        let [n_tokens, d_model] = x_td.dims();
        let [n_experts, _, _] = self.experts.up.dims();
        let per_expert = n_slots / n_experts;

        let x_gmd = x_td.reshape([n_groups, group_size, d_model]);
        let slots_gsd = plan.dispatch.clone().swap_dims(1, 2).matmul(x_gmd);
        // rows must come expert by expert: [G, E, P, D] -> [E, G, P, D]
        let rows_nd = slots_gsd
            .reshape([n_groups, n_experts, per_expert, d_model])
            .swap_dims(0, 1)
            .reshape([n_groups * n_slots, d_model]);
        let rows_per_expert = (n_groups * per_expert) as u32;
        let ends_e: Vec<u32> = (1..=n_experts as u32)
            .map(|e| e * rows_per_expert)
            .collect();

        let slots_gsd = self
            .experts
            .forward_rows(rows_nd, &ends_e, self.dispatch)
            .reshape([n_experts, n_groups, per_expert, d_model])
            .swap_dims(0, 1)
            .reshape([n_groups, n_slots, d_model]);
        plan.combine
            .clone()
            .matmul(slots_gsd)
            .reshape([n_tokens, d_model])
    }
}
