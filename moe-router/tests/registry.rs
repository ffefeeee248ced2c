//! Statements of the list about its routers; `laws.rs` checks how they route.

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use moe_router::parts::top_k;
use moe_router::{Extra, Family, Plan, Router, RouterConfig, RouterInput, RouterShape, to_vec};

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
fn routings_carry_what_the_list_says() {
    let device = Device::flex();
    for config in configs() {
        let x = Tensor::random([12, 16], Distribution::Default, &device);
        let input = RouterInput::new(x)
            .groups(2)
            .token_ids((0..12).collect())
            .noise(Some(1));
        let routing = config.init(&SHAPE, &device).route(input);
        let carried = [
            (Extra::Gate, routing.gate.is_some()),
            (Extra::Noise, routing.noisy.is_some()),
            (Extra::FreeExperts, routing.bypass.is_some()),
            (Extra::Admission, routing.admission.is_some()),
        ];
        for (extra, carried) in carried {
            let said = config.extras().contains(&extra);
            assert_eq!(carried, said, "{extra:?} of {}", config.name());
        }
    }
}

#[test]
fn what_decides_follows_from_the_configuration() {
    let json = serde_json::json!({
        "name": "composed", "select": "expert_choice", "capacity": "expert_choice",
    });
    let config: RouterConfig = serde_json::from_value(json).expect("a configuration");
    assert_eq!(config.info().family, Family::ExpertChoice);
    let default = RouterConfig::from_name("composed").expect("a name of the list");
    assert_eq!(default.info().family, Family::TokenChoice);
}

#[test]
fn a_ranking_says_whom_each_token_took() {
    let device = Device::flex();
    let mut ranked = Vec::new();
    for config in configs() {
        for noise in [None, Some(1)] {
            let x = Tensor::random([12, 16], Distribution::Default, &device);
            let input = RouterInput::new(x)
                .groups(2)
                .token_ids((0..12).collect())
                .noise(noise);
            let routing = config.init(&SHAPE, &device).route(input);
            let (Plan::Sparse(plan), Some(ranking)) = (&routing.plan, &routing.ranking) else {
                continue;
            };
            ranked.push(config.name());
            let mut scores_te = to_vec(ranking.clone());
            if let Some(groups) = routing.expert_groups {
                groups.mask(&mut scores_te, routing.n_experts());
            }
            let assignments = &plan.assignments;
            for (t, scores_e) in scores_te.chunks(routing.n_experts()).enumerate() {
                let pairs = assignments.tokens().iter().zip(assignments.experts());
                let own = pairs.filter(|(token, _)| **token as usize == t);
                let mut asked: Vec<u32> = own.map(|(_, expert)| *expert).collect();
                let mut best = top_k(scores_e, asked.len());
                asked.sort_unstable();
                best.sort_unstable();
                assert_eq!(asked, best, "{}", config.name());
            }
        }
    }
    ranked.dedup();
    let most = [
        "mixtral",
        "switch",
        "deepseek_moe",
        "deepseek_v2",
        "deepseek_v3",
        "loss_free",
        "noisy_topk",
        "cosine",
        "vmoe",
        "composed",
        "frozen",
        "moe_pp",
        "sinkhorn",
    ];
    for name in most {
        assert!(ranked.contains(&name), "{name} ranks its experts");
    }
}
