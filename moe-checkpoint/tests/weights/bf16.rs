//! Decoders whose matrices are held in bf16 while everything else stays in f32.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use moe_checkpoint::Precision;
use moe_models::{AnyDecoder, Decoder, DecoderInput, WeightType, with_bf16_weights};

use crate::{load, logits, tokens};

/// A fixture of every family and kind of attention.
const FIXTURES: [&str; 7] = [
    "mixtral_base",
    "olmoe_base",
    "qwen3_sparse_step_tied",
    "llama_base",
    "dsv1_seqaux",
    "dsv2_lite_greedy_noq",
    "dsv3_mtp",
];

fn values(data: &TensorData) -> Vec<f32> {
    data.clone().try_into_vec().expect("f32 logits")
}

/// The types of all parameters by path.
#[derive(Default)]
struct Types {
    path: Vec<String>,
    found: BTreeMap<String, DType>,
}

impl ModuleVisitor for Types {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(self.path.join("."), param.val().dtype());
    }
}

fn types(model: &AnyDecoder) -> BTreeMap<String, DType> {
    let mut types = Types::default();
    model.visit(&mut types);
    types.found
}

#[test]
fn matrices_are_halved_and_nothing_else() {
    for name in FIXTURES {
        let model = load(name, Precision::Weights(WeightType::Bf16));
        for (path, dtype) in types(&model) {
            let is_norm = path.contains("norm") || path.ends_with(".gamma");
            let kept = is_norm || path.contains("router") || path.contains("embedding");
            let matrix = [".up", ".gate", ".down", "head.weight"];
            let matrix = matrix.iter().any(|end| path.ends_with(end))
                || (path.contains("attention") && path.ends_with(".weight"));
            assert!(
                kept != matrix || path.contains("mtp"),
                "{name}: {path} is one of both"
            );
            let expected = if matrix && !kept {
                DType::BF16
            } else {
                DType::F32
            };
            assert_eq!(dtype, expected, "{name}: {path}");
        }
    }
}

#[test]
fn halved_while_read_is_halved_afterwards() {
    for name in FIXTURES {
        let read = load(name, Precision::Weights(WeightType::Bf16));
        let afterwards = with_bf16_weights(load(name, Precision::F32));
        assert_eq!(types(&read), types(&afterwards), "{name}");
        logits(&read).assert_eq(&logits(&afterwards), true);
    }
}

#[test]
fn scores_are_near_those_in_f32() {
    for name in FIXTURES {
        let exact = values(&logits(&load(name, Precision::F32)));
        let halved = values(&logits(&load(name, Precision::Weights(WeightType::Bf16))));
        let largest = exact.iter().fold(0f32, |most, x| most.max(x.abs()));
        let error = exact.iter().zip(&halved).map(|(x, y)| (x - y).abs());
        let error = error.fold(0f32, f32::max);
        // 8 bits of a weight, some layers deep; and not the same numbers
        assert!(
            error > 0.0 && error < 0.05 * largest,
            "{name}: {error} of {largest}"
        );
    }
}

#[test]
fn token_by_token_is_the_whole_sequence() {
    for name in FIXTURES {
        let model = load(name, Precision::Weights(WeightType::Bf16));
        let whole = model.forward(DecoderInput::new(tokens(12))).logits;
        let mut cache = model.new_cache();
        for position in 0..12 {
            let token = tokens(12).narrow(1, position, 1);
            let step = model
                .forward_cache(DecoderInput::new(token), &mut cache)
                .logits;
            let error = (step - whole.clone().narrow(1, position, 1)).abs().max();
            let error = error.into_scalar::<f32>();
            let largest = whole.clone().abs().max().into_scalar::<f32>();
            assert!(
                error < 0.02 * largest,
                "{name}, token {position}: {error} of {largest}"
            );
        }
    }
}
