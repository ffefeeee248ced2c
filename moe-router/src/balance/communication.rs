//! The communication balance loss of DeepSeek-V2 (arXiv 2405.04434, equations 29 to 31).

use super::sequences::{
    chosen_there, counts_there, expert_groups, group_probs, group_size, is_padding, mean_product,
    mean_product_there, tokens_by_sequence,
};
use crate::{Plan, Routing};
use burn::tensor::{Int, Tensor};

/// `sum_d f''_d P'_d` in each sequence, averaged over the sequences: the communication balance loss of
/// DeepSeek-V2 (arXiv 2405.04434, equations 29 to 31).
///
/// `f''_d = D / (L M) * #{t: t is sent to device d}` counts a token once however many of the device's
/// experts it chose; `L` is the number of devices that a token may use and `M` the sequence's tokens.
/// `P'_d` is the sum of the mean probabilities of the device's experts. A device is a group of experts
/// of the router (`Routing::expert_groups`); a router without groups counts as one expert a device.
///
/// # Shapes
///
/// - output: `[1]`
pub fn communication(routing: &Routing) -> Tensor<1> {
    let groups = expert_groups(routing);
    if let Some(experts_tk) = chosen_there(routing) {
        let scale = groups.n_groups as f64 / (groups.topk_groups * group_size(routing)) as f64;
        let f_gd = sent_there(experts_tk, routing) * scale;
        return mean_product_there(f_gd, group_probs(routing), routing);
    }
    let tokens_g = tokens_by_sequence(routing);
    let mut f_gd = sent_by_sequence(routing);
    for (row_d, n_tokens) in f_gd.chunks_mut(groups.n_groups).zip(&tokens_g) {
        let scale = groups.n_groups as f32 / (groups.topk_groups as f32 * n_tokens.max(1.0));
        row_d.iter_mut().for_each(|x| *x *= scale);
    }
    mean_product(f_gd, group_probs(routing), routing)
}

/// Tokens of each sequence that are sent to each device, `[G, D]`, counted where the experts were chosen.
fn sent_there(experts_tk: Tensor<2, Int>, routing: &Routing) -> Tensor<2> {
    let groups = expert_groups(routing);
    let [n_tokens, k] = experts_tk.dims();
    let device_tk = experts_tk.div_scalar(groups.group_len(routing.n_experts()) as i64);
    // of a token's choices of one device all but the first count as one of device D, which there is not
    let mut once = vec![device_tk.clone().narrow(1, 0, 1)];
    for i in 1..k {
        let own = device_tk.clone().narrow(1, i, 1).expand([n_tokens, i]);
        let before = device_tk.clone().narrow(1, 0, i);
        let is_again = own.equal(before).any_dim(1);
        let device_t1 = device_tk.clone().narrow(1, i, 1);
        once.push(device_t1.mask_fill(is_again, groups.n_groups as i64));
    }
    counts_there(Tensor::cat(once, 1), groups.n_groups, routing)
}

/// Tokens of each sequence that are sent to each device, `[G, D]` row by row.
fn sent_by_sequence(routing: &Routing) -> Vec<f32> {
    let groups = expert_groups(routing);
    let (n_devices, group_size) = (groups.n_groups, group_size(routing));
    let group_len = groups.group_len(routing.n_experts());
    let mut sent_td = vec![false; routing.n_tokens() * n_devices];
    match &routing.plan {
        Plan::Sparse(plan) => {
            let pairs = plan.assignments.tokens().iter();
            for (&t, &expert) in pairs.zip(plan.assignments.experts()) {
                sent_td[t as usize * n_devices + expert as usize / group_len] = true;
            }
        }
        Plan::Soft(_) => sent_td.fill(true), // every slot takes some of every token
    }
    let mut sent_gd = vec![0.0; routing.n_groups * n_devices];
    for (i, _) in sent_td.iter().enumerate().filter(|(_, sent)| **sent) {
        let (t, d) = (i / n_devices, i % n_devices);
        if !is_padding(routing, t) {
            sent_gd[t / group_size * n_devices + d] += 1.0;
        }
    }
    sent_gd
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
    fn a_token_is_sent_to_a_device_once() {
        // two groups of two experts; token 0 chose 0 and 1 (device 0 alone), token 1 chose 1 and 2
        // f'' = 2 / (2 * 2) * (2, 1) = (1, 0.5), P' = (0.65, 0.35): 0.65 + 0.175
        let groups = ExpertGroups {
            n_groups: 2,
            topk_groups: 2,
            score: GroupScore::Max,
        };
        let pairs = [(0, 0), (0, 1), (1, 1), (1, 2)];
        let r = routing(&pairs, &PROBS, 4, &Device::flex()).expert_groups(groups);
        assert_abs_diff_eq!(scalar(communication(&r)), 0.825, epsilon = 1e-6);
    }

    #[test]
    fn without_groups_it_is_the_expert_loss() {
        let r = routing(&[(0, 0), (1, 1)], &PROBS, 4, &Device::flex());
        // f'' = 4 / 2 * (1, 1, 0, 0), P = (0.25, 0.4, ..): 0.5 + 0.8
        assert_abs_diff_eq!(scalar(communication(&r)), 1.3, epsilon = 1e-6);
        assert_abs_diff_eq!(scalar(expert(&r)), 1.3, epsilon = 1e-6);
    }
}
