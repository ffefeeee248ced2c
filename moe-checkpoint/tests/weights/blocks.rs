//! Decoders whose matrices are held in blocks of 8 and 4 bits while everything else stays in f32.

use burn::tensor::TensorData;
use moe_checkpoint::Precision;
use moe_models::{WeightType, held_in_f32};

use crate::{load, logits};

/// A fixture of every family and kind of attention; widths of experts are no whole blocks in any of them.
const FIXTURES: [&str; 6] = [
    "mixtral_base",
    "llama_base",
    "olmoe_base",
    "qwen3_base",
    "dsv2_lite_greedy_noq",
    "dsv3_mtp",
];

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
        for (weights, band) in [(WeightType::Q8, 0.05), (WeightType::Q4, 0.5)] {
            let held = values(logits(&load(name, weights.into())));
            let errors = exact.iter().zip(&held).map(|(x, y)| (x - y).abs());
            let error = errors.fold(0f32, f32::max);
            // a token may go to other experts than in f32, as with weights in bf16
            assert!(
                error > 0.0 && error < band * largest,
                "{name}, {weights}: {error} of {largest}"
            );
        }
    }
}
