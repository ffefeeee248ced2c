//! Planted faults are told apart from rounding.

use super::*;
use burn::module::Param;
use burn::tensor::{Device, Tensor};
use moe_router::parts::{ExpertGroups, GroupScore, top_k};
use moe_router::zoo::{DeepSeekV3RouterConfig, MixtralRouterConfig};
use moe_router::{Assignments, Preset, Router, RouterInput, RouterShape, Routing};
use proptest::prelude::*;

const F32: f64 = Rounding::F32.0;

/// One window whose tokens have the given scores of three experts, and take the given ones.
fn layer(scores: &[[f32; 3]], taken: &[u32]) -> Routing {
    let device = Device::flex();
    let rows: Vec<f32> = scores.iter().flatten().copied().collect();
    let scores_te = Tensor::<1>::from_floats(&rows[..], &device).reshape([scores.len(), 3]);
    let weights = Tensor::ones([taken.len()], &device);
    let assignments = Assignments::of_each_token(taken.to_vec(), 1);
    Routing::sparse(assignments, weights, scores_te.clone(), None).ranking(scores_te)
}

fn seen(layers: &[Routing], n_windows: usize) -> Seen {
    let mut seen = Seen::default();
    seen.add_routings(layers, n_windows, n_windows);
    seen
}

fn found(own: &[Routing], other: &[Routing], n_windows: usize) -> Comparison {
    let [own, other] = [own, other].map(|layers| seen(layers, n_windows));
    compare(&own, &other, "other", Rounding::F32, true)
}

/// Rounding, earlier, scores, selection.
fn causes(layer: &LayerAgreement) -> [usize; 4] {
    [layer.rounding, layer.earlier, layer.scores, layer.selection]
}

#[test]
fn a_flip_over_a_gap_smaller_than_the_difference_is_rounding() {
    // the second token's gap is 2e-6, and each of its scores moves by 2e-6
    let own = layer(&[[1.0, 0.0, 0.0], [1.0, 1.0 - 2e-6, 0.0]], &[0, 0]);
    let other = layer(&[[1.0, 0.0, 0.0], [1.0 - 2e-6, 1.0, 0.0]], &[0, 1]);
    let found = found(&[own], &[other], 1);
    assert_eq!(causes(&found.layers[0]), [1, 0, 0, 0]);
    assert_eq!(
        (found.n_flipped, found.n_tokens, found.n_unexplained()),
        (1, 2, 0)
    );
    assert_eq!(found.first_flip(), Some(0));
    let gap = found.layers[0]
        .largest_gap_flipped
        .expect("a flip has a gap");
    assert!((gap - 2e-6).abs() < 1e-7, "{gap}");
    // of the gaps 1 and 2e-6 one is below 1e-5, and it flipped
    let bins: Vec<_> = found
        .gaps
        .iter()
        .map(|bin| (bin.n_tokens, bin.flipped))
        .collect();
    assert_eq!(bins.iter().filter(|bin| **bin == (1, 1)).count(), 1);
    assert_eq!(bins.iter().filter(|bin| **bin == (1, 0)).count(), 1);
}

#[test]
fn ties_that_fall_otherwise_are_a_fault_of_the_selection() {
    // both are equally good: the lowest index is to be taken
    let scores = [[1.0, 1.0, 0.0]];
    let found = found(&[layer(&scores, &[0])], &[layer(&scores, &[1])], 1);
    assert_eq!(causes(&found.layers[0]), [0, 0, 0, 1]);
    assert_eq!(found.n_unexplained(), 1);
}

#[test]
fn a_bias_that_is_left_out_is_a_fault_before_the_selection() {
    let device = Device::flex();
    let shape = RouterShape {
        d_model: 8,
        n_experts: 8,
        layer: 0,
    };
    let mut own = DeepSeekV3RouterConfig {
        top_k: 2,
        n_groups: 2,
        topk_groups: 1,
        ..Default::default()
    }
    .init(&shape, &device);
    let bias = [0.02, -0.01, 0.0, 0.03, -0.02, 0.0, 0.01, -0.03];
    own.bias = Param::from_tensor(Tensor::from_floats(bias, &device)).set_require_grad(false);
    let mut other = own.clone();
    other.bias = Param::from_tensor(Tensor::zeros([8], &device)).set_require_grad(false);

    let x = Tensor::random([64, 8], burn::tensor::Distribution::Default, &device);
    let [own, same, other] =
        [&own, &own, &other].map(|router| router.route(RouterInput::new(x.clone()).groups(4)));
    let own = [own];
    let left_out = found(&own, &[other], 4);
    let layer = &left_out.layers[0];
    assert!(layer.scores > 0 && layer.selection == 0, "{layer:?}");
    // every token's scores differ, whether it flips or not: by 0.03 of a score below 1
    assert_eq!(layer.apart, 64);
    assert!(layer.largest_difference > 0.03, "{layer:?}");
    assert_eq!(found(&own, &[same], 4).n_unexplained(), 0);
}

#[test]
fn what_follows_an_earlier_flip_is_judged_there() {
    let near = [[1.0, 1.0 - 2e-6, 0.0]; 2];
    let moved = [[1.0 - 2e-6, 1.0, 0.0], near[1]];
    // two windows of two tokens: the first token of the first flips in the first layer
    let first = [
        [near[0], near[1], near[0], near[1]],
        [moved[0], moved[1], near[0], near[1]],
    ];
    let firsts = (
        layer(&first[0], &[0, 0, 0, 0]),
        layer(&first[1], &[1, 0, 0, 0]),
    );
    // in the second layer all scores are others, and all tokens flip
    let seconds = (
        layer(&[[1.0, 0.5, 0.0]; 4], &[0; 4]),
        layer(&[[0.5, 1.0, 0.0]; 4], &[1; 4]),
    );
    let found = found(&[firsts.0, seconds.0], &[firsts.1, seconds.1], 2);
    assert_eq!(causes(&found.layers[0]), [1, 0, 0, 0]);
    // the first window has read the flip, the second has not
    assert_eq!(causes(&found.layers[1]), [0, 2, 2, 0]);
    assert_eq!(found.layers[1].apart, 2);
    assert_eq!((found.n_flipped, found.n_tokens), (4, 4));
}

#[test]
fn in_a_causal_model_later_tokens_explain_nothing() {
    let firsts = [
        layer(&[[1.0, 0.0, 0.0], [1.0, 1.0 - 2e-6, 0.0]], &[0, 0]),
        layer(&[[1.0, 0.0, 0.0], [1.0 - 2e-6, 1.0, 0.0]], &[0, 1]),
    ];
    let seconds = [
        layer(&[[1.0, 0.5, 0.0]; 2], &[0; 2]),
        layer(&[[0.5, 1.0, 0.0]; 2], &[1; 2]),
    ];
    let [own, other] = [0, 1].map(|i| seen(&[firsts[i].clone(), seconds[i].clone()], 1));
    let found = |is_causal| compare(&own, &other, "other", Rounding::F32, is_causal);
    assert_eq!(causes(&found(true).layers[1]), [0, 1, 1, 0]);
    assert_eq!(causes(&found(false).layers[1]), [0, 2, 0, 0]);
}

#[test]
fn a_place_that_another_token_takes_is_no_flip() {
    let scores = [[1.0, 0.0, 0.0]; 2];
    let moved = [[1.0, 0.0, 0.0], [1.0 - 1e-6, 0.0, 0.0]];
    let [mut own, mut other] = [scores, moved].map(|scores| layer(&scores, &[0, 0]));
    for (routing, dropped) in [(&mut own, 1), (&mut other, 0)] {
        let moe_router::Plan::Sparse(plan) = &mut routing.plan else {
            panic!("a sparse plan");
        };
        let mut assignments = Assignments::of_each_token(vec![0, 0], 1);
        assignments.drop_assignment(dropped);
        plan.assignments = assignments.into();
    }
    let beside = |own: &Routing| found(std::slice::from_ref(own), &[other.clone()], 1);
    let moved = beside(&own);
    let places = &moved.layers[0];
    assert_eq!((places.flipped, places.places, moved.n_flipped), (0, 2, 2));
    assert_eq!(moved.n_unexplained(), 0);
    // nothing moves a place where every score is the same
    own.ranking.clone_from(&other.ranking);
    assert_eq!(causes(&beside(&own).layers[0]), [0, 0, 0, 2]);
}

#[test]
fn a_score_that_is_no_number_in_one_engine_is_a_fault() {
    let own = layer(&[[1.0, 0.0, 0.0]], &[0]);
    let other = layer(&[[1.0, f32::NAN, 0.0]], &[0]);
    assert_eq!(found(&[own], &[other], 1).n_unexplained(), 1);
}

#[test]
fn windows_of_tokens_predict_the_next() {
    let windows = Windows::of_tokens(&[1, 2, 3, 4, 5, 6], 2, 9);
    assert_eq!((windows.len(), windows.is_empty()), (2, false));
    assert_eq!(
        (windows.inputs, windows.targets),
        (vec![1, 2, 3, 4], vec![2, 3, 4, 5])
    );
    let short = Windows::of_tokens(&[7, 8, 9], 64, 1);
    assert_eq!((short.length, short.inputs), (2, vec![7, 8]));
}

#[test]
fn a_batch_of_any_size_reads_the_same() {
    use moe_train::config::RunConfig;
    use moe_train::task::AnyModel;
    let overrides = ["model.d_model=16", "model.n_layers=2", "train.seq_length=8"];
    let config = RunConfig::of_overrides(&overrides).expect("a small model");
    let device = Device::flex();
    let AnyModel::Text(model) = config.init_model(&device) else {
        panic!("a decoder");
    };
    let ids: Vec<u32> = (0..49).map(|i| i * 37 % 251).collect();
    let windows = Windows::of_tokens(&ids, 8, 6);
    let engine = |batch: usize| Engine {
        name: batch.to_string(),
        device: device.clone(),
        weights: Default::default(),
        batch,
    };
    let [one, four] = [1, 4].map(|batch| see_text(&model, &windows, &engine(batch)));
    let found = compare(&one, &four, "four", Rounding::F32, true);
    assert_eq!(found.n_unexplained(), 0);
    assert_eq!((found.layers.len(), found.n_tokens), (2, 48));
    assert!(found.outputs < F32 && (found.loss - found.reference_loss).abs() < 1e-5);
    let written = [1, 4].map(|_| greedy(&model, &ids[..4], 5, &device).expect("finite"));
    assert_eq!((written[0].len(), &written[0]), (5, &written[1]));
}

/// A routing of one token that takes the best `k` of its scores, within groups.
fn routed(scores: &[f32], k: usize, groups: ExpertGroups) -> Routing {
    let n_experts = scores.len();
    let scores_te = Tensor::<1>::from_floats(scores, &Device::flex()).reshape([1, n_experts]);
    let mut allowed = scores.to_vec();
    groups.mask(&mut allowed, n_experts);
    let assignments = Assignments::of_each_token(top_k(&allowed, k), k);
    Routing::sparse(
        assignments,
        Tensor::ones([k], &Device::flex()),
        scores_te.clone(),
        None,
    )
    .ranking(scores_te)
    .expert_groups(groups)
}

proptest! {
    /// No token that takes its own best flips over a gap wider than twice the largest difference of a score.
    #[test]
    fn a_gap_bounds_what_can_flip(
        scores in prop::collection::vec((-8i32..8).prop_map(|x| x as f32 * 0.125), 12),
        moves in prop::collection::vec((-2i32..=2).prop_map(|x| x as f32 * 0.0625), 12),
        topk_groups in 1usize..=4,
        by_sum in any::<bool>(),
    ) {
        let score = if by_sum { GroupScore::TopTwoSum } else { GroupScore::Max };
        let groups = ExpertGroups { n_groups: 4, topk_groups, score };
        let other: Vec<f32> = scores.iter().zip(&moves).map(|(s, m)| s + m).collect();
        let found = found(&[routed(&scores, 3, groups)], &[routed(&other, 3, groups)], 1);
        let layer = &found.layers[0];
        prop_assert_eq!(layer.selection, 0);
        if let Some(gap) = layer.largest_gap_flipped {
            prop_assert!(gap <= 2.0 * layer.largest_difference + 1e-9, "{layer:?}");
        }
    }
}

#[test]
fn a_router_that_takes_its_best_says_by_what() {
    let device = Device::flex();
    let shape = RouterShape {
        d_model: 4,
        n_experts: 4,
        layer: 0,
    };
    let router = MixtralRouterConfig { top_k: 2 }.init(&shape, &device);
    let x = Tensor::random([5, 4], burn::tensor::Distribution::Default, &device);
    let routing = router.route(RouterInput::new(x));
    assert_eq!(
        seen(&[routing], 1).layers[0].ranking.as_ref().map(Vec::len),
        Some(20)
    );
}
