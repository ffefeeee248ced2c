//! The experts of a layer on the tokens of a plan: sparse on lists of the host or of a device, rounded on the way, or soft.

use super::MoeLayer;
use crate::device_rows::DeviceRows;
use crate::exchange::{Exchange, round_bf16};
use crate::profile::{Part, between};
use crate::reference::indices;
use crate::spread::n_experts_of;
use crate::{Dispatch, RowPlan};
use burn::tensor::{DType, IndexingUpdateOp, Tensor};
use moe_router::{Router, SoftPlan, SparsePlan};
use std::sync::Arc;

impl<R: Router> MoeLayer<R> {
    /// Returns `true` if the experts can be computed from choices that stay on the device.
    pub(super) fn takes_choices_there(&self) -> bool {
        self.exchange == Exchange::Exact
            && self.dispatch == Dispatch::Grouped
            && self.experts.biases.is_none()
    }

    /// The layout of choices that stay on the device, if they are of all experts of this bank and of no other.
    fn rows_there(&self, plan: &SparsePlan, n_experts: usize) -> Option<DeviceRows> {
        let is_whole = self.experts.up.dims()[0] == n_experts;
        if !is_whole || !self.takes_choices_there() {
            return None;
        }
        DeviceRows::new(&plan.assignments, n_experts)
    }

    pub(super) fn sparse(&self, x_td: Tensor<2>, plan: &SparsePlan, n_experts: usize) -> Tensor<2> {
        if let Some(rows) = self.rows_there(plan, n_experts) {
            let weights_n = between(Part::Router, Part::Experts, plan.weights.clone());
            let weights_n = weights_n.cast(x_td.dtype());
            return self.experts.forward_there(x_td, weights_n, rows);
        }
        let rows = RowPlan::of_experts(plan, x_td.dims()[0], n_experts);
        let weights_n = between(Part::Router, Part::Experts, plan.weights.clone());
        let weights_n = weights_n.cast(x_td.dtype());
        match self.exchange {
            Exchange::Exact => self
                .experts
                .forward(x_td, weights_n, Arc::new(rows), self.dispatch),
            Exchange::Bf16 => self.rounded(x_td, weights_n, &rows),
        }
    }

    /// The same with rows that are rounded on their way to the experts and back.
    fn rounded(&self, x_td: Tensor<2>, weights_a: Tensor<1>, rows: &RowPlan) -> Tensor<2> {
        if rows.n_rows() == 0 {
            // zeros; experts on other ranks are called all the same, since the exchange waits for all
            let rows = Arc::new(rows.clone());
            return self.experts.forward(x_td, weights_a, rows, self.dispatch);
        }
        let (device, dtype) = (x_td.device(), x_td.dtype());
        let tokens_n = indices(rows.rows_token(), &device);
        let weights_n = weights_a.select(0, indices(rows.rows_assignment(), &device));
        // selected in bf16, so that the gradients of a token's rows are rounded before they are summed
        let sent_nd = if device.supports_dtype(DType::BF16) {
            let sent_td = x_td.clone().cast(DType::BF16);
            sent_td.select(0, tokens_n.clone()).cast(dtype)
        } else {
            round_bf16(x_td.clone()).select(0, tokens_n.clone())
        };
        let back_nd = self
            .experts
            .forward_rows(sent_nd, rows.ends(), self.dispatch);
        let back_nd = round_bf16(back_nd) * weights_n.unsqueeze_dim(1);
        x_td.zeros_like()
            .select_assign(0, tokens_n, back_nd, IndexingUpdateOp::Add)
    }

    /// `Y = C * experts(D^T X)` for each group (Puigcerver et al. 2023, arXiv 2308.00951, equations 1
    /// to 3).
    pub(super) fn soft(&self, x_td: Tensor<2>, plan: &SoftPlan) -> Tensor<2> {
        let [n_groups, group_size, n_slots] = plan.dispatch.dims();
        let [n_tokens, d_model] = x_td.dims();
        let n_experts = n_experts_of(&self.experts);
        let per_expert = n_slots / n_experts;

        let x_gmd = self.exchanged(x_td.reshape([n_groups, group_size, d_model]));
        let dtype = x_gmd.dtype();
        let dispatch_gms = between(Part::Router, Part::Experts, plan.dispatch.clone());
        let dispatch_gsm = dispatch_gms.cast(dtype).swap_dims(1, 2);
        let slots_gsd = dispatch_gsm.matmul(x_gmd);
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
            .cast(dtype)
            .matmul(self.exchanged(slots_gsd))
            .reshape([n_tokens, d_model])
    }

    fn exchanged(&self, x_gmd: Tensor<3>) -> Tensor<3> {
        match self.exchange {
            Exchange::Exact => x_gmd,
            Exchange::Bf16 => round_bf16(x_gmd),
        }
    }
}
