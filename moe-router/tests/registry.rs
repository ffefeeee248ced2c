//! What must hold of every router of the list.

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use moe_router::{Plan, Router, RouterConfig, RouterInput, RouterShape, Routing};

const SHAPE: RouterShape = RouterShape {
    d_model: 16,
    n_experts: 8,
    layer: 1,
};

fn configs() -> impl Iterator<Item = RouterConfig> {
    RouterConfig::NAMES
        .iter()
        .map(|name| RouterConfig::from_name(name).expect("a listed name has a default"))
}

fn input(x: Tensor<2>, n_groups: usize) -> RouterInput {
    let ids: Vec<u32> = (0..x.dims()[0] as u32).map(|t| t % 5).collect();
    RouterInput::new(x).groups(n_groups).token_ids(ids.into())
}

fn random(n_tokens: usize, device: &Device) -> Tensor<2> {
    Tensor::random([n_tokens, SHAPE.d_model], Distribution::Default, device)
}

fn weights(routing: &Routing) -> Vec<f32> {
    let Plan::Sparse(plan) = &routing.plan else {
        return Vec::new();
    };
    plan.weights
        .to_data()
        .try_into_vec::<f32>()
        .expect("f32 weights")
}

#[test]
fn configurations_survive_a_round_trip_and_refuse_unknown_keys() {
    for config in configs() {
        let json = serde_json::to_value(&config).expect("serialisable");
        assert_eq!(json["name"], config.name());
        let back: RouterConfig = serde_json::from_value(json.clone()).expect("its own output");
        assert_eq!(back, config);

        let mut extra = json;
        extra["no_such_key"] = 1.into();
        assert!(serde_json::from_value::<RouterConfig>(extra).is_err());
    }
}

#[test]
fn defaults_are_valid_and_count_their_parameters() {
    for config in configs() {
        config.validate(SHAPE.n_experts).expect("a valid default");
        let router = config.init(&SHAPE, &Device::flex());
        assert_eq!(
            router.num_params(),
            config.n_params(&SHAPE),
            "{}",
            config.name()
        );
        assert_eq!(router.causality(), config.info().causality);
    }
}

#[test]
fn weights_are_finite_and_not_negative_and_no_pair_comes_twice() {
    let device = Device::flex();
    for config in configs() {
        let router = config.init(&SHAPE, &device);
        for noise in [None, Some(3)] {
            let routing = router.route(input(random(24, &device), 2).noise(noise));
            assert_eq!(routing.logits.dims(), [24, routing.n_experts()]);
            assert_eq!(routing.n_computed_experts(), SHAPE.n_experts);
            assert!(weights(&routing).iter().all(|w| w.is_finite() && *w >= 0.0));
            if let Plan::Sparse(plan) = &routing.plan {
                let a = &plan.assignments;
                let mut pairs: Vec<_> = a.tokens().iter().zip(a.experts()).collect();
                pairs.sort_unstable();
                let n = pairs.len();
                pairs.dedup();
                assert_eq!(pairs.len(), n, "{}", config.name());
            }
        }
    }
}

/// Changing the last token of a sequence must leave the others alone, exactly for the routers that
/// say so: a router that declares a leak must show one.
#[test]
fn causality_is_as_declared() {
    for config in configs() {
        let causality = config.info().causality;
        assert_eq!(
            leaks(&config, None),
            !causality.is_causal(),
            "{}",
            config.name()
        );
        assert_eq!(
            leaks(&config, Some(7)),
            !causality.is_causal_in_training(),
            "{} in training",
            config.name()
        );
    }
}

fn leaks(config: &RouterConfig, noise: Option<u64>) -> bool {
    let device = Device::flex();
    let router = config.init(&SHAPE, &device);
    // tokens in all directions: those of one orthant agree on an expert and have little to leak
    let random = |n| Tensor::random([n, SHAPE.d_model], Distribution::Normal(0.0, 1.0), &device);
    (0..32).any(|_| {
        let before = random(12);
        let after = Tensor::cat(vec![before.clone().narrow(0, 0, 11), random(1) * 9.0], 0);
        let route = |x| first_tokens(&router.route(input(x, 1).noise(noise)), 11);
        route(before) != route(after)
    })
}

/// What stands in a padded place must not matter, and goes to no expert.
#[test]
fn padding_goes_nowhere_and_changes_nothing() {
    let device = Device::flex();
    for config in configs() {
        let router = config.init(&SHAPE, &device);
        let x = random(10, &device);
        let other = Tensor::cat(vec![x.clone().narrow(0, 0, 8), random(2, &device) * 9.0], 0);
        for noise in [None, Some(7)] {
            let route = |x| {
                let padding = (0..10).map(|t| t >= 8).collect::<Vec<_>>();
                let input = input(x, 1).noise(noise).padding(padding.into());
                router.route(input)
            };
            let (a, b) = (route(x.clone()), route(other.clone()));
            assert_eq!(
                first_tokens(&a, 8),
                first_tokens(&b, 8),
                "{}",
                config.name()
            );
            assert_eq!(a.load(), b.load(), "{}", config.name());
            assert_eq!(a.first_expert()[8..], [None; 2], "{}", config.name());
        }
    }
}

/// What a routing decides for the first `n` tokens, comparable bit by bit.
fn first_tokens(routing: &Routing, n: usize) -> Vec<(u32, u32, bool, u32)> {
    match &routing.plan {
        Plan::Sparse(plan) => {
            let a = &plan.assignments;
            let mut rows: Vec<_> = (0..a.len())
                .filter(|&i| (a.tokens()[i] as usize) < n)
                .map(|i| {
                    (
                        a.tokens()[i],
                        a.experts()[i],
                        a.kept()[i],
                        weights(routing)[i].to_bits(),
                    )
                })
                .collect();
            rows.sort_unstable();
            rows
        }
        Plan::Soft(plan) => {
            let map: Vec<f32> = plan
                .dispatch
                .to_data()
                .try_into_vec::<f32>()
                .expect("f32 map");
            let n_slots = plan.dispatch.dims()[2];
            map[..n * n_slots]
                .iter()
                .map(|w| (0, 0, true, w.to_bits()))
                .collect()
        }
    }
}

#[test]
fn evaluation_repeats_itself() {
    let device = Device::flex();
    for config in configs() {
        let router = config.init(&SHAPE, &device);
        let x = random(16, &device);
        let route = || first_tokens(&router.route(input(x.clone(), 2)), 16);
        assert_eq!(route(), route(), "{}", config.name());
    }
}
