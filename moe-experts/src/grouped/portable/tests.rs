//! A few products over filled blocks give what one product an expert gives, which is held to the reference.

use burn::backend::{Flex, TensorMetadata, ops::FloatTensorOps, tensor::FloatTensor};
use burn::tensor::TensorData;
use proptest::prelude::*;

use super::*;
use crate::RowPlan;

/// Values in (-1, 1) from a multiplicative hash of their index.
fn tensor(shape: impl Into<Vec<usize>>, salt: u32) -> FloatTensor<Flex> {
    let shape = shape.into();
    let n: usize = shape.iter().product();
    let hash = |i: u32| (i + salt).wrapping_mul(2_654_435_761) >> 8;
    let values = (0..n as u32).map(|i| f64::from(hash(i)) / f64::from(1 << 23) - 1.0);
    Flex::float_from_data(
        TensorData::new(values.collect::<Vec<_>>(), shape),
        &Default::default(),
    )
}

fn values(tensor: FloatTensor<Flex>) -> Vec<f64> {
    let data = burn::backend::read_sync(Flex::float_into_data(tensor));
    data.expect("readable").iter::<f64>().collect()
}

fn close(left: FloatTensor<Flex>, right: FloatTensor<Flex>) {
    assert_eq!(left.shape(), right.shape());
    for (l, r) in values(left).into_iter().zip(values(right)) {
        assert!((l - r).abs() <= 1e-12 * r.abs().max(1.0), "{l} and {r}");
    }
}

/// Forward and backward of the feed-forward, and of a product, by both ways.
fn check(plan: &RowPlan, activation: Activation) {
    let [e, d, f] = [plan.n_experts(), 5, 3];
    let inputs = FfnInputs {
        x: tensor([plan.n_tokens(), d], 1),
        gate: activation.is_gated().then(|| tensor([e, d, f], 10)),
        up: tensor([e, d, f], 20),
        down: tensor([e, f, d], 30),
        gates: tensor([plan.n_assignments()], 2),
    };
    let d_out = tensor([plan.n_tokens(), d], 3);
    let [few, each] = [Blocks::padded(plan.ends()), Blocks::by_expert(plan.ends())].map(|blocks| {
        let places = Places::of_plan(plan, blocks.clone(), &inputs.x);
        let FfnTracked { out, kept } = ffn::<Flex>(inputs.clone(), &places, activation);
        let inputs = inputs.clone();
        let grads = ffn_backward::<Flex>(inputs, kept, &places, activation, d_out.clone());
        let x = tensor([plan.n_rows(), d], 4);
        let w = tensor([e, d, f], 5);
        let y = product::<Flex>(x.clone(), w.clone(), &blocks);
        let d_y = tensor([plan.n_rows(), f], 6);
        let [d_x, d_w] = product_backward::<Flex>(x, w, &blocks, d_y);
        let gate = grads.gate.unwrap_or_else(|| tensor([0, 1, 1], 0));
        let grads = [grads.x, gate, grads.up, grads.down, grads.gates];
        ([out, y, d_x, d_w], grads)
    });
    (few.0.into_iter().zip(each.0)).for_each(|(l, r)| close(l, r));
    (few.1.into_iter().zip(each.1)).for_each(|(l, r)| close(l, r));
}

#[test]
fn one_busy_expert_and_idle_ones() {
    let experts: Vec<u32> = (0..200)
        .map(|t| if t % 20 == 0 { t / 20 } else { 4 })
        .collect();
    let tokens: Vec<u32> = (0..200).map(|a| a / 2).collect();
    let plan = RowPlan::new(&tokens, &experts, &[true; 200], 100, 16);
    let heights = Blocks::padded(plan.ends());
    assert_eq!(heights.groups().len(), 2);
    check(&plan, Activation::SwiGlu);
    check(&plan, Activation::Gelu);
}

#[test]
fn numbers_that_are_none_stay_with_their_token() {
    // token 0 is not a number; it goes to expert 0 alone, whose block of 8 places has one row
    let plan = RowPlan::new(&[0, 1, 2, 1], &[0, 1, 1, 2], &[true; 4], 3, 3);
    let blocks = Blocks::padded(plan.ends());
    assert_eq!(blocks.n_places(), 24);
    let mut x = values(tensor([3, 5], 1));
    x[0] = f64::NAN;
    let inputs = FfnInputs {
        x: Flex::float_from_data(TensorData::new(x, [3, 5]), &Default::default()),
        gate: None,
        up: tensor([3, 5, 3], 20),
        down: tensor([3, 3, 5], 30),
        gates: tensor([4], 2),
    };
    let activation = Activation::Silu;
    let places = Places::of_plan(&plan, blocks, &inputs.x);
    let FfnTracked { out, kept } = ffn::<Flex>(inputs.clone(), &places, activation);
    let out = values(out);
    assert!(out[..5].iter().all(|y| y.is_nan()) && out[5..].iter().all(|y| y.is_finite()));
    let d_out = tensor([3, 5], 3);
    let grads = ffn_backward::<Flex>(inputs, kept, &places, activation, d_out);
    let up = values(grads.up);
    assert!(up[..15].iter().any(|g| g.is_nan()) && up[15..].iter().all(|g| g.is_finite()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_plan(
        n_tokens in 1u32..40,
        n_experts in 1u32..9,
        gated in any::<bool>(),
        picks in prop::collection::vec((any::<u32>(), any::<u32>(), prop::bool::weighted(0.8)), 0..90),
    ) {
        let tokens: Vec<u32> = picks.iter().map(|p| p.0 % n_tokens).collect();
        let experts: Vec<u32> = picks.iter().map(|p| (p.1 % 101 % n_experts).min(p.1 % n_experts)).collect();
        let kept: Vec<bool> = picks.iter().map(|p| p.2).collect();
        let plan = RowPlan::new(&tokens, &experts, &kept, n_tokens as usize, n_experts as usize);
        check(&plan, if gated { Activation::SwiGlu } else { Activation::Relu });
    }
}
