//! Experts on other ranks compute what experts here compute, to the bit.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Activation, ExpertsConfig};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, TensorData};
use moe_parallel::{Add, Threads, TreeSum};
use moe_router::to_vec;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const D_MODEL: usize = 5;

/// Tokens of one rank and where they go.
#[derive(Debug, Clone)]
struct Tokens {
    x: Vec<f32>,
    gates: Vec<f32>,
    /// Token and expert of each assignment, and whether it is kept.
    routes: Vec<(u32, u32, bool)>,
    n_tokens: usize,
}

/// Results of a rank, as bits.
#[derive(Debug, Clone, PartialEq)]
struct Got {
    y: Vec<u32>,
    d_x: Vec<u32>,
    d_gates: Vec<u32>,
}

impl Tokens {
    fn draw(rng: &mut ChaCha8Rng, n_tokens: usize, n_experts: usize, only: Option<u32>) -> Self {
        let mut routes = Vec::new();
        for token in 0..n_tokens as u32 {
            for _ in 0..rng.random_range(0..3) {
                let expert = only.unwrap_or_else(|| rng.random_range(0..n_experts as u32));
                routes.push((token, expert, rng.random_bool(0.8)));
            }
        }
        let mut floats = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        Self {
            x: floats(n_tokens * D_MODEL),
            gates: floats(routes.len()),
            n_tokens,
            routes,
        }
    }

    fn plan(&self, n_experts: usize) -> Arc<RowPlan> {
        let tokens: Vec<u32> = self.routes.iter().map(|route| route.0).collect();
        let experts: Vec<u32> = self.routes.iter().map(|route| route.1).collect();
        let kept: Vec<bool> = self.routes.iter().map(|route| route.2).collect();
        Arc::new(RowPlan::new(
            &tokens,
            &experts,
            &kept,
            self.n_tokens,
            n_experts,
        ))
    }

    /// Outputs and gradients with a bank, or a rank's share of one.
    fn through(&self, bank: &Experts, n_experts: usize) -> (Got, burn::tensor::Gradients) {
        let device = Device::flex().autodiff();
        let x = TensorData::new(self.x.clone(), [self.n_tokens, D_MODEL]);
        let x = Tensor::<2>::from_data(x, &device).require_grad();
        let gates = TensorData::new(self.gates.clone(), [self.gates.len()]);
        let gates = Tensor::<1>::from_data(gates, &device).require_grad();
        let y = bank.forward(
            x.clone(),
            gates.clone(),
            self.plan(n_experts),
            Dispatch::Grouped,
        );
        // a gradient that differs from value to value
        let grads = (y.clone() * x.clone().detach()).sum().backward();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
        let got = Got {
            y: bits(to_vec(y.detach())),
            d_x: bits(x.grad(&grads).map_or_else(Vec::new, to_vec)),
            d_gates: bits(gates.grad(&grads).map_or_else(Vec::new, to_vec)),
        };
        (got, grads)
    }
}

fn bank(n_experts: usize, bias: bool) -> Experts {
    let device = Device::flex().autodiff();
    let bank = ExpertsConfig::new(D_MODEL, n_experts, 7)
        .with_activation(Activation::SwiGlu)
        .with_bias(bias)
        .init(&device);
    bank.map(&mut Draw)
}

/// Biases begin at zero, which would hide them.
struct Draw;

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let drawn = Tensor::random(tensor.shape(), Distribution::Default, &tensor.device());
            drawn.detach().require_grad()
        })
    }
}

/// A rank's share of a bank.
struct Cut(usize, usize, Vec<String>);

impl ModuleMapper for Cut {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.2.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.2.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = [&["experts".to_owned()], &self.2[..]].concat();
        if !is_shared_out(&path) {
            return param;
        }
        let Self(rank, ranks, _) = *self;
        param.map(|tensor| {
            let range = share(tensor.dims()[0], rank, ranks);
            let (device, part) = (tensor.device(), tensor.slice_dim(0, range).into_data());
            Tensor::from_data(part, &device).require_grad()
        })
    }
}

#[derive(Debug)]
struct Sum(Vec<f32>);

impl Add for Sum {
    fn add(self, later: Self) -> Self {
        Self(self.0.iter().zip(later.0).map(|(a, b)| a + b).collect())
    }
}

fn check(all: &[Tokens], n_experts: usize, bias: bool) {
    let ranks = all.len();
    let whole = bank(n_experts, bias);
    let alone: Vec<_> = all
        .iter()
        .map(|tokens| tokens.through(&whole, n_experts))
        .collect();
    let stack = |of: &Experts, grads: &burn::tensor::Gradients| {
        let grad = of.up.val().grad(grads);
        to_vec(grad.unwrap_or_else(|| of.up.val().zeros_like().inner()))
    };
    let mut d_up = TreeSum::new(ranks);
    for (_, grads) in &alone {
        d_up.push(Sum(stack(&whole, grads)));
    }
    let d_up = d_up.finish().unwrap().0;
    let shared = Threads::run(ranks, |world| {
        let rank = world.rank();
        let part = whole.clone().map(&mut Cut(rank, ranks, Vec::new()));
        let spread = Spread::new(world, 1);
        let (got, _) = spread.scope(|| all[rank].through(&part, n_experts));
        let d_up = spread.take_gradient(part.up.id).map(to_vec);
        (got, d_up, part.up.val().shape().num_elements())
    });
    for (rank, ((got, d_part, n), (expected, _))) in shared.iter().zip(&alone).enumerate() {
        assert_eq!(got, expected, "rank {rank}");
        let expected = &d_up[rank * n..(rank + 1) * n];
        match d_part {
            // -0 and 0 are one number: a sender without rows gives no zeros to add
            Some(d_part) => assert_eq!(d_part, expected, "gradients of rank {rank}"),
            None => assert!(expected.iter().all(|d| *d == 0.0)),
        }
    }
}

#[test]
fn of_a_rank_without_rows_of_one_that_gets_all_and_of_none_at_all() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for bias in [false, true] {
        let some = Tokens::draw(&mut rng, 6, 4, None);
        let to_one = Tokens::draw(&mut rng, 6, 4, Some(3));
        let nowhere = Tokens::draw(&mut rng, 3, 4, None);
        let nowhere = Tokens {
            routes: nowhere
                .routes
                .iter()
                .map(|&(t, e, _)| (t, e, false))
                .collect(),
            ..nowhere
        };
        check(&[some.clone(), nowhere.clone()], 4, bias);
        check(&[to_one.clone(), to_one], 4, bias);
        check(&[nowhere.clone(), nowhere.clone()], 4, bias);
        check(&[nowhere.clone(), some.clone(), nowhere, some], 4, bias);
    }
}

#[test]
#[should_panic(expected = "a share of a bank runs in a `Spread::scope`")]
fn a_share_alone_is_no_bank() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let part = bank(4, false).map(&mut Cut(0, 2, Vec::new()));
    Tokens::draw(&mut rng, 3, 4, None).through(&part, 4);
}

/// Runs `body` on two ranks, with some tokens and each one's share of a bank of four experts.
fn on_two_ranks(body: impl Fn(Arc<dyn Communicator>, &Tokens, Experts) + Sync) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let tokens = Tokens::draw(&mut rng, 3, 4, None);
    let whole = bank(4, false);
    Threads::run(2, |world| {
        let part = whole.clone().map(&mut Cut(world.rank(), 2, Vec::new()));
        body(world, &tokens, part);
    });
}

/// A rank without rows that leaves the others waiting (PaddleFormers 3010).
#[test]
#[should_panic(expected = "rank 1 has ended, and rank 0 waits for it")]
fn a_rank_that_returns_early_is_told() {
    on_two_ranks(|world, tokens, part| {
        if world.rank() == 0 {
            Spread::new(world, 1).scope(|| tokens.through(&part, 4));
        }
    });
}

#[test]
#[should_panic(expected = "makes another call")]
fn ranks_that_run_different_layers_are_told() {
    on_two_ranks(|world, tokens, part| {
        let rank = world.rank();
        let spread = Spread::new(world, 1);
        if rank == 1 {
            spread.next_call();
        }
        spread.scope(|| tokens.through(&part, 4));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn of_random_tokens(seed in any::<u64>(), log in 1u32..3, each in 1usize..4, bias in any::<bool>()) {
        let ranks = 1usize << log;
        let n_experts = ranks * each;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |_| {
            let n_tokens = rng.random_range(1..40);
            Tokens::draw(&mut rng, n_tokens, n_experts, None)
        };
        let all: Vec<Tokens> = (0..ranks).map(draw).collect();
        check(&all, n_experts, bias);
    }
}
