//! A law: no number that is not finite leaves a model as a choice, and no published file with one is read.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use moe_checkpoint::{
    AnyCheckpoint, CheckpointError, Precision, PublishedCheckpoint, SwitchCheckpoint,
};
use moe_models::switch::SwitchGenerator;
use moe_models::{AnyDecoder, Generator, NotFinite, Sampling};
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(case)
}

fn samplings() -> [Sampling; 3] {
    let plain = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let penalised = Sampling {
        repetition_penalty: 2.0,
        top_k: 3,
        ..Sampling::default()
    };
    [plain, Sampling::default(), penalised]
}

/// A vector whose first element is `x`.
fn spoilt(gamma: &Param<Tensor<1>>, x: f32) -> Param<Tensor<1>> {
    let gamma = gamma.val();
    let first = Tensor::<1>::from_floats([x], &gamma.device());
    let rest = gamma.clone().narrow(0, 1, gamma.dims()[0] - 1);
    Param::from_tensor(Tensor::cat(vec![first, rest], 0))
}

/// The fixture's model with one element of its final norm replaced.
fn decoder(case: &str, x: f32, device: &Device) -> AnyDecoder {
    let checkpoint = PublishedCheckpoint::open(&fixture(case)).expect("a checkpoint");
    match checkpoint.load(Precision::F32, device).expect("a model") {
        AnyDecoder::Mixtral(mut model) => {
            model.norm.gamma = spoilt(&model.norm.gamma, x);
            AnyDecoder::Mixtral(model)
        }
        AnyDecoder::DeepSeek(mut model) => {
            model.norm.gamma = spoilt(&model.norm.gamma, x);
            AnyDecoder::DeepSeek(model)
        }
        other => panic!("{case}: {other}"),
    }
}

#[track_caller]
fn assert_first<T: std::fmt::Debug>(result: Result<T, NotFinite>, place: &str) {
    let error = result.expect_err("no number is a choice");
    assert_eq!(error.place, place);
    assert!(error.n_bad > 0);
}

#[test]
fn decoders_choose_nothing_by_what_is_no_number() {
    let device = Device::flex();
    for (case, x) in [
        ("mixtral_base", f32::NAN),
        ("mixtral_base", f32::INFINITY),
        ("dsv3_mtp", f32::NAN),
    ] {
        let model = decoder(case, x, &device);
        for sampling in samplings() {
            let mut emitted = Vec::new();
            let ran = Generator::new(&model, sampling, &device).run(&[1, 15, 7], 8, |token| {
                emitted.push(token.id);
                true
            });
            assert_first(ran, "token 1 after the prompt");
            assert_eq!(emitted, [1, 15, 7]);
            let prompts = [vec![1, 15, 7], vec![3]];
            let ran = Generator::new(&model, sampling, &device).run_batch(&prompts, 8);
            assert_first(ran, "token 1 after the prompt 1");
        }
    }
}

#[test]
fn drafts_are_not_chosen_by_what_is_no_number() {
    let device = Device::flex();
    let checkpoint = PublishedCheckpoint::open(&fixture("dsv3_mtp")).expect("a checkpoint");
    let AnyDecoder::DeepSeek(mut model) =
        checkpoint.load(Precision::F32, &device).expect("a model")
    else {
        panic!("a DeepSeek");
    };
    model.mtp[0].norm.gamma = spoilt(&model.mtp[0].norm.gamma, f32::NAN);
    let greedy = samplings()[0];
    let mut generator = Generator::new(&model, greedy, &device).speculative();
    let ran = generator.run(&[1, 15, 7], 8, |_| true);
    assert_first(ran, "the draft of token 2 after the prompt");
    // the model itself is whole
    let ran = Generator::new(&model, greedy, &device).run(&[1, 15, 7], 8, |_| true);
    ran.expect("finite scores");
}

#[test]
fn an_encoder_with_a_decoder_chooses_nothing_either() {
    let device = Device::flex();
    let checkpoint = SwitchCheckpoint::open(&fixture("switch_capacity")).expect("a checkpoint");
    for x in [f32::NAN, f32::INFINITY] {
        let mut model = checkpoint.load(Precision::F32, &device).expect("a model");
        model.decoder.norm.gamma = spoilt(&model.decoder.norm.gamma, x);
        for sampling in samplings() {
            let mut generator = SwitchGenerator::new(&model, sampling, 0, &device).banned(&[5]);
            let ran = generator.run(&[3, 4, 1], 4, |_| true);
            assert_first(ran, "token 1 after the prompt");
        }
    }
}

/// The fixture with the first element of a tensor in F32 replaced.
fn with_element(case: &str, tensor: &str, x: f32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in fs::read_dir(fixture(case)).expect("a fixture") {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name");
        let mut bytes = fs::read(&path).expect("the file");
        if path.extension().is_some_and(|e| e == "safetensors")
            && !path.ends_with("goldens.safetensors")
        {
            let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
            let header: serde_json::Value =
                serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
            if let Some(start) = header[tensor]["data_offsets"][0].as_u64() {
                let at = 8 + length + start as usize;
                bytes[at..at + 4].copy_from_slice(&x.to_le_bytes());
            }
        }
        fs::write(folder.path().join(name), bytes).expect("a copy");
    }
    folder
}

#[test]
fn a_published_file_with_such_a_number_is_refused_by_its_tensor() {
    let device = Device::flex();
    let cases = [
        ("mixtral_base", "model.norm.weight", f32::NAN),
        ("mixtral_base", "lm_head.weight", f32::INFINITY),
        (
            "dsv3_fp8",
            "model.layers.0.self_attn.o_proj.weight_scale_inv",
            f32::NAN,
        ),
        (
            "switch_capacity",
            "encoder.final_layer_norm.weight",
            f32::NEG_INFINITY,
        ),
        ("experts_choose", "head/bias", f32::NAN),
    ];
    for (case, tensor, x) in cases {
        let folder = with_element(case, tensor, x);
        let target = folder.path().join("target");
        let checkpoint = AnyCheckpoint::open(folder.path()).expect("a checkpoint");
        for result in [
            checkpoint.to_native(&target, &device),
            checkpoint.rewrite(&target, &Device::flex()),
        ] {
            match result {
                Err(CheckpointError::NotFinite {
                    tensor: found,
                    element: 0,
                    ..
                }) => assert_eq!(found, tensor),
                other => panic!("{case}: {other:?}"),
            }
            assert!(!target.exists());
        }
    }
}
