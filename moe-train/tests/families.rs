//! Laws of model families, for each family of the list.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Int, Tensor, Tolerance};
use moe_models::{AnyDecoder, Decoder, DecoderInput};
use moe_train::config::{ModelConfig, RunConfig};
use moe_train::run::Trainer;
use moe_train::task::{Task, TaskData};
use std::sync::atomic::AtomicBool;

const TOKENS: [[i32; 6]; 2] = [[72, 101, 108, 108, 111, 33], [119, 111, 114, 108, 100, 10]];

/// A small model of a family.
fn config(family: &str, overrides: &[&str]) -> RunConfig {
    let name = format!("model.family={family}");
    let mut all = vec![
        name.as_str(),
        "model.d_model=16",
        "attention.n_heads=2",
        "experts.d_expert=4",
        "train.batch_size=2",
    ];
    // a family without experts stays so
    if RunConfig::of_overrides(&[&name]).unwrap().experts.n_experts > 1 {
        all.push("experts.n_experts=16");
    }
    let info = ModelConfig::from_name(family).unwrap().info();
    if info.attention[0] == "gqa" {
        all.push("attention.n_kv_heads=1");
    }
    all.extend(overrides);
    RunConfig::of_overrides(&all).unwrap()
}

/// The families of decoders.
fn decoders() -> impl Iterator<Item = &'static str> {
    let is_decoder = |name: &str| {
        let family = ModelConfig::from_name(name).unwrap();
        family.task() == Task::Text
    };
    let names = ModelConfig::NAMES.iter().copied();
    names.filter(move |name| is_decoder(name))
}

fn decoder(config: &RunConfig) -> AnyDecoder {
    config.init_model(&Device::flex()).decoder().unwrap()
}

fn tokens(from: usize, to: usize) -> Tensor<2, Int> {
    Tensor::from_data(TOKENS, &Device::flex()).narrow(1, from, to - from)
}

#[test]
fn every_family_counts_its_parameters() {
    for family in ModelConfig::NAMES {
        let config = config(family, &["router.name=mixtral"]);
        let built = config.init_model(&Device::flex()).num_params();
        assert_eq!(config.account().params_total, built, "{family}");
    }
}

#[test]
fn every_decoder_writes_with_a_cache_what_it_reads_at_once() {
    for family in decoders() {
        let model = decoder(&config(family, &["router.name=mixtral"]));
        let whole = model.forward(DecoderInput::new(tokens(0, 6))).logits;
        let mut cache = model.new_cache();
        for (from, to) in [(0, 3), (3, 5), (5, 6)] {
            let input = DecoderInput::new(tokens(from, to));
            let part = model.forward_cache(input, &mut cache).logits;
            let expected = whole.clone().narrow(1, from, to - from).into_data();
            part.into_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        }
    }
}

#[test]
fn every_decoder_returns_the_routing_of_each_layer_with_experts() {
    for family in decoders() {
        let config = config(family, &[]);
        let model = decoder(&config);
        let output = model.forward(DecoderInput::new(tokens(0, 6)).traced());
        let n_moe_layers = config.model().n_moe_layers();
        assert_eq!(output.routings.len(), n_moe_layers, "{family}");
        assert_eq!(model.n_moe_layers(), n_moe_layers, "{family}");

        let (trace, n_layers) = (output.trace.unwrap(), model.n_layers());
        assert_eq!(trace.hidden.len(), n_layers + 1, "{family}");
        assert_eq!(trace.attention.len(), n_layers, "{family}");
        assert_eq!(trace.feed_forward.len(), n_layers, "{family}");
    }
}

#[test]
fn every_decoder_advances_the_router_of_each_layer() {
    for family in decoders() {
        let config = config(family, &["router.name=loss_free", "train.seq_length=16"]);
        let data = TaskData::load(&config, &AtomicBool::new(false)).unwrap();
        let mut batches = data.batches(config.seed, 0, config.train.batch_size);
        let mut trainer = Trainer::new(&config, &Device::flex());
        trainer.step(&mut batches).unwrap();

        let mut biases = Biases(Vec::new());
        trainer.model.visit(&mut biases);
        let n_routers = config.model().n_moe_layers() + config.model.n_mtp_layers();
        assert_eq!(biases.0.len(), n_routers, "{family}");
        assert!(biases.0.iter().all(|moved| *moved), "{family}: {biases:?}");
    }
}

/// Biases that no gradient trains, each as whether it has left zero.
#[derive(Debug)]
struct Biases(Vec<bool>);

impl ModuleVisitor for Biases {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            let values = param.val().detach().into_data();
            self.0.push(values.iter::<f32>().any(|x| x != 0.0));
        }
    }
}
