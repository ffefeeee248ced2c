//! A router of another crate is the same router: what the registry's detour by name gives is, to the bit, what
//! its type gives.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Tensor};
use moe_router::laws::{Options, Subject, check_all};
use moe_router::{
    AnyRouter, Preset, Registry, RegistryError, Router, RouterConfig, RouterInput, RouterShape,
    to_vec,
    zoo::{LossFreeRouterConfig, MixtralRouterConfig, SwitchRouterConfig},
};
use serde_json::json;

const SHAPE: RouterShape = RouterShape {
    d_model: 6,
    n_experts: 4,
    layer: 0,
};

fn install() {
    let routers = Registry::builtin()
        .with::<LossFreeRouterConfig>("mine")
        .with::<MixtralRouterConfig>("theirs");
    routers.install().expect("free names");
}

fn config(name: &str) -> RouterConfig {
    install();
    RouterConfig::from_name(name).expect("an installed name")
}

/// The names and the values of all parameters.
#[derive(Default)]
struct Values(Vec<String>, Vec<(String, Vec<f32>)>);

impl ModuleVisitor for Values {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        let is_choice = container_type.starts_with("Enum:");
        self.0.push(if is_choice {
            String::new()
        } else {
            name.to_owned()
        });
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.push((self.0.concat(), to_vec(param.val())));
    }
}

/// Sets the parameters of whatever module to the same values.
struct Sines;

impl ModuleMapper for Sines {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let n = tensor.shape().num_elements() as i64;
            let places = Tensor::arange(0..n, &tensor.device()).float();
            places.sin().reshape(tensor.shape())
        })
    }
}

fn values<M: Module>(module: &M) -> Vec<(String, Vec<f32>)> {
    let mut values = Values::default();
    module.visit(&mut values);
    values.1
}

#[test]
fn values_are_written_and_read_like_those_of_the_list() {
    install();
    let given = json!({ "name": "theirs", "top_k": 3 });
    let config: RouterConfig = serde_json::from_value(given.clone()).expect("a configuration");
    assert_eq!(config.name(), "theirs");
    assert_eq!(serde_json::to_value(&config).expect("a table"), given);
    assert_eq!(config, config.clone());
    assert_ne!(Some(config.clone()), RouterConfig::from_name("theirs"));
    assert_eq!(config.experts_per_token(4), 3.0);
    assert!(config.validate(2).is_err(), "3 of 2 experts");

    let unknown = json!({ "name": "theirs", "top_q": 3 });
    let error = serde_json::from_value::<RouterConfig>(unknown).expect_err("no such key");
    assert!(
        error.to_string().contains("unknown field `top_q`"),
        "{error}"
    );
}

#[test]
fn keys_have_their_defaults() {
    let keys = config("theirs").keys();
    assert_eq!(keys.len(), 1);
    assert_eq!((keys[0].name, keys[0].kind), ("top_k", "usize"));
    assert_eq!(keys[0].meaning, "Default: 2");
}

#[test]
fn names_follow_those_of_the_list() {
    install();
    let names = RouterConfig::names();
    assert_eq!(names[..RouterConfig::NAMES.len()], *RouterConfig::NAMES);
    assert!(names.contains(&"mine") && names.contains(&"theirs"));
}

#[test]
fn a_taken_name_is_refused() {
    install();
    let taken = |routers: Registry| routers.install().expect_err("it is taken");
    let listed = Registry::builtin().with::<SwitchRouterConfig>("mixtral");
    assert_eq!(taken(listed), RegistryError::Taken("mixtral"));
    let other = Registry::builtin().with::<SwitchRouterConfig>("mine");
    assert_eq!(taken(other), RegistryError::Taken("mine"));
    let odd = Registry::builtin().with::<SwitchRouterConfig>("My Router");
    assert_eq!(taken(odd), RegistryError::Name("My Router"));
}

#[test]
fn parameters_and_routings_are_those_of_its_own_type() {
    let device = Device::flex();
    let inside = LossFreeRouterConfig::default()
        .init(&SHAPE, &device)
        .map(&mut Sines);
    let outside = config("mine").init(&SHAPE, &device).map(&mut Sines);
    assert!(matches!(outside, AnyRouter::Outside(_)));
    assert_eq!(Module::num_params(&outside), Module::num_params(&inside));
    assert_eq!(values(&outside), values(&inside));

    let x = Tensor::random([8, 6], Distribution::Default, &device);
    let route = |router: &dyn Fn(RouterInput) -> moe_router::Routing| {
        let routing = router(RouterInput::new(x.clone()));
        (routing.load(), to_vec(routing.probs()))
    };
    let [expected, found] = [
        route(&|input| inside.route(input)),
        route(&|input| outside.route(input)),
    ];
    assert_eq!(expected.0.kept, found.0.kept);
    assert_eq!(expected.1, found.1);

    // state that is not trained advances
    let before = values(&outside);
    let advanced = values(&outside.advance(&found.0));
    assert_ne!(advanced, before);
    assert_eq!(advanced, values(&inside.advance(&expected.0)));
}

#[test]
fn every_law_that_holds_of_a_router_holds_of_it_by_name() {
    let report = check_all(
        &Subject::of_list(&config("theirs"), &Device::flex()),
        &Options::default(),
    );
    report.assert_passed();
}
