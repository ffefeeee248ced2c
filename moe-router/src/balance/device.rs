//! The device-level balance loss of DeepSeekMoE (arXiv 2401.06066, equations 15 to 17).

use super::sequences::{
    balanced_share, chosen_there, counts_there, expert_groups, group_probs, mean_product,
    mean_product_there,
};
use crate::Routing;
use burn::tensor::Tensor;

/// `sum_d f'_d P'_d` in each sequence, averaged over the sequences: the device-level balance loss of
/// DeepSeekMoE (Dai et al. 2024, arXiv 2401.06066, equations 15 to 17) and DeepSeek-V2 (arXiv
/// 2405.04434, equations 26 to 28).
///
/// A device is a group of experts of the router (`Routing::expert_groups`); a router without groups
/// counts as one expert a device, and the loss is [`expert()`](super::expert()). `f'_d` is the mean of
/// `E / (k M) * #{t: t chose e}` over the experts of group `d`, and `P'_d` the sum of their mean
/// probabilities. Perfect balance gives 1.
///
/// # Shapes
///
/// - output: `[1]`
pub fn device(routing: &Routing) -> Tensor<1> {
    let n_experts = routing.n_experts();
    let groups = expert_groups(routing);
    let group_len = groups.group_len(n_experts);
    if let Some(experts_tk) = chosen_there(routing) {
        // the mean of E / (k M) * count over the experts of a group: D / (k M) times the count of the group
        let scale =
            (groups.n_groups * routing.n_groups) as f64 / experts_tk.shape().num_elements() as f64;
        let device_tk = experts_tk.div_scalar(group_len as i64);
        let f_gd = counts_there(device_tk, groups.n_groups, routing) * scale;
        return mean_product_there(f_gd, group_probs(routing), routing);
    }
    let f_gd = balanced_share(routing)
        .chunks(group_len)
        .map(|f_e| f_e.iter().sum::<f32>() / group_len as f32)
        .collect();
    mean_product(f_gd, group_probs(routing), routing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::expert;
    use crate::balance::testing::{routing, scalar};
    use crate::parts::{ExpertGroups, GroupScore};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    const PROBS: [f32; 8] = [0.4, 0.3, 0.2, 0.1, 0.1, 0.5, 0.2, 0.2];

    #[test]
    fn equals_the_closed_form() {
        // two groups of two experts; token 0 chose 0 and 1, token 1 chose 1 and 2
        // f = 4 / (2 * 2) * (1, 2, 1, 0) = (1, 2, 1, 0), f' = (1.5, 0.5)
        // P = (0.25, 0.4, 0.2, 0.15), P' = (0.65, 0.35): 0.975 + 0.175 = 1.15
        let groups = ExpertGroups {
            n_groups: 2,
            topk_groups: 2,
            score: GroupScore::Max,
        };
        let pairs = [(0, 0), (0, 1), (1, 1), (1, 2)];
        let r = routing(&pairs, &PROBS, 4, &Device::flex()).expert_groups(groups);
        assert_abs_diff_eq!(scalar(device(&r)), 1.15, epsilon = 1e-6);
    }

    #[test]
    fn without_groups_it_is_the_expert_loss() {
        let r = routing(&[(0, 0), (1, 1)], &PROBS, 4, &Device::flex());
        // f = 4 / 2 * (1, 1, 0, 0), P = (0.25, 0.4, ..): 0.5 + 0.8
        assert_abs_diff_eq!(scalar(device(&r)), 1.3, epsilon = 1e-6);
        assert_abs_diff_eq!(scalar(expert(&r)), 1.3, epsilon = 1e-6);
    }
}
