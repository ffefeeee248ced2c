//! Decoders whose matrices are held in blocks of 8 and 4 bits while everything else stays in f32.

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_checkpoint::{Precision, PublishedCheckpoint};
use moe_models::{AnyDecoder, Decoder, DecoderInput, WeightType, held_in_f32};

/// A fixture of every family and kind of attention; widths of experts are no whole blocks in any of them.
const FIXTURES: [&str; 6] = [
    "mixtral_base",
    "llama_base",
    "olmoe_base",
    "qwen3_base",
    "dsv2_lite_greedy_noq",
    "dsv3_mtp",
];

fn load(name: &str, precision: Precision) -> AnyDecoder {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let checkpoint = PublishedCheckpoint::open(&folder).expect("a fixture");
    checkpoint
        .load(precision, &Device::flex())
        .expect("a model")
}

fn logits(model: &AnyDecoder) -> TensorData {
    let ids: Vec<i64> = (0..12).map(|i| (i * 7 + 3) % 19).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, 12]), &Device::flex());
    model.forward(DecoderInput::new(tokens)).logits.into_data()
}

#[test]
fn rounded_while_read_is_rounded_afterwards() {
    for name in FIXTURES {
        for weights in [WeightType::Q8, WeightType::Q4] {
            let read = load(name, weights.into());
            let afterwards = weights.hold(load(name, Precision::F32));
            assert_eq!(held_in_f32(&read), held_in_f32(&afterwards), "{name}");
            logits(&read).assert_eq(&logits(&afterwards), true);
        }
    }
}

#[test]
fn scores_are_near_those_in_f32() {
    for name in FIXTURES {
        let values = |data: TensorData| data.try_into_vec::<f32>().expect("f32 logits");
        let exact = values(logits(&load(name, Precision::F32)));
        let largest = exact.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (precision, band) in [(Precision::Q8Weights, 0.05), (Precision::Q4Weights, 0.5)] {
            let held = values(logits(&load(name, precision)));
            let errors = exact.iter().zip(&held).map(|(x, y)| (x - y).abs());
            let error = errors.fold(0f32, f32::max);
            // a token may go to other experts than in f32, as with weights in bf16
            assert!(
                error > 0.0 && error < band * largest,
                "{name}, {precision:?}: {error} of {largest}"
            );
        }
    }
}
