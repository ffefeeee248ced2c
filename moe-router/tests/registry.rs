//! What the list says about its routers; `laws.rs` checks how they route.

use burn::module::Module;
use burn::tensor::Device;
use moe_router::{Router, RouterConfig, RouterShape};

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
