//! V-MoE, experts that choose and Soft-MoE held to their reference implementation, and that the check can
//! fail.

use burn::tensor::Device;
use moe_checkpoint::verify::{Goldens, Scope, Verification, verify_any};
use moe_checkpoint::{AnyCheckpoint, HostValues, Precision, VmoeCheckpoint, read_tensors};
use std::fs;
use std::path::{Path, PathBuf};

/// The fixtures, and how many quantities each is held to.
const CASES: &[(&str, usize)] = &[
    ("experts_choose", 27),
    ("softmoe_bf16_ref", 26),
    ("vmoe_last1_noise_bpr_drop", 26),
];

fn fixture(case: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("tests/fixtures").join(case)
}

fn check(folder: &Path, goldens: &Path, scope: Scope) -> Verification {
    let checkpoint = AnyCheckpoint::open(folder).expect("a whole checkpoint");
    let goldens = Goldens::read(goldens).expect("goldens");
    verify_any(&checkpoint, &goldens, scope, &Device::flex()).expect("a comparison")
}

#[test]
fn every_vision_model_equals_its_reference() {
    for (case, n_quantities) in CASES {
        let folder = fixture(case);
        let goldens = folder.join("goldens.safetensors");
        let verification = check(&folder, &goldens, Scope::Everything);
        for quantity in &verification.quantities {
            assert!(quantity.passed, "{case}: {quantity:?}");
        }
        assert!(verification.passed(), "{case}");
        assert_eq!(verification.unchecked, Vec::<String>::new(), "{case}");
        assert_eq!(verification.quantities.len(), *n_quantities, "{case}");
    }
}

/// The room for numbers rounded the other way, against what is measured: with `--nocapture` it prints both.
#[test]
fn few_numbers_are_rounded_the_other_way() {
    let folder = fixture("softmoe_bf16_ref");
    let goldens = folder.join("goldens.safetensors");
    let verification = check(&folder, &goldens, Scope::Everything);
    let mut largest = 0f64;
    for quantity in &verification.quantities {
        let error = quantity.error.expect("it is compared");
        let share = quantity.share_off;
        println!(
            "{:60} {error:9.2e} {share:?} {:?}",
            quantity.name, quantity.tolerance
        );
        largest = largest.max(share.unwrap_or(0.0));
    }
    assert!(largest <= 0.025, "{largest}: half of what is allowed");
}

#[test]
fn without_training_its_goldens_are_known_and_not_compared() {
    let folder = fixture("experts_choose");
    let goldens = folder.join("goldens.safetensors");
    let verification = check(&folder, &goldens, Scope::ForwardOnly);
    assert_eq!(verification.unchecked, Vec::<String>::new());
    assert!(verification.passed());
    let names = verification.quantities.iter().map(|q| q.name.as_str());
    assert!(names.clone().any(|name| name == "logits"));
    assert!(names.clone().all(|name| !name.starts_with("train")));
}

/// A copy of a fixture's checkpoint whose configuration is changed.
fn changed_config(case: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = fixture(case);
    let weights = "model.safetensors";
    fs::copy(source.join(weights), folder.path().join(weights)).expect("a copy");
    let text = fs::read_to_string(source.join("config.json")).expect("the configuration");
    let changed = text.replace(from, to);
    assert_ne!(text, changed);
    fs::write(folder.path().join("config.json"), changed).expect("the configuration");
    folder
}

#[test]
fn another_configuration_fails_where_it_matters() {
    let cases = [
        (
            "vmoe_last1_noise_bpr_drop",
            "\"batch_priority\": true",
            "\"batch_priority\": false",
            "dispatch_weights/encoderblock_3",
        ),
        (
            "vmoe_last1_noise_bpr_drop",
            "\"noise_std\": 1.0",
            "\"noise_std\": 1.1",
            "combine_weights_gse/encoderblock_3",
        ),
        (
            "vmoe_last1_noise_bpr_drop",
            "\"load_loss_weight\": 0.2",
            "\"load_loss_weight\": 0.201",
            "auxiliary_loss/encoderblock_3",
        ),
        (
            "experts_choose",
            "\"capacity_factor\": 1.0",
            "\"capacity_factor\": 0.8",
            "dispatch_weights/encoderblock_2",
        ),
        // without the rounding to bf16
        (
            "softmoe_bf16_ref",
            "\"f32_soft_dispatch\": false",
            "\"f32_soft_dispatch\": true",
            "moe_out/encoderblock_2",
        ),
    ];
    for (case, from, to, name) in cases {
        let folder = changed_config(case, from, to);
        let goldens = fixture(case).join("goldens.safetensors");
        let verification = check(folder.path(), &goldens, Scope::ForwardOnly);
        let quantity = verification.quantities.iter().find(|q| q.name == name);
        assert!(quantity.is_some_and(|q| !q.passed), "{case}: {quantity:?}");
    }
}

#[test]
fn one_changed_weight_fails() {
    let (case, tensor) = (
        "experts_choose",
        "Encoder/encoderblock_3/Moe/Mlp/Dense_1/bias",
    );
    let source = fixture(case);
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(
        source.join("config.json"),
        folder.path().join("config.json"),
    )
    .expect("a copy");
    let weights = source.join("model.safetensors");
    let mut bytes = fs::read(&weights).expect("the weights");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: serde_json::Value =
        serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let start = header[tensor]["data_offsets"][0].as_u64().expect("a place") as usize;
    let place = 8 + length + start;
    let value = f32::from_le_bytes(bytes[place..place + 4].try_into().expect("4 bytes"));
    bytes[place..place + 4].copy_from_slice(&(value + 1e-3).to_le_bytes());
    fs::write(folder.path().join("model.safetensors"), bytes).expect("the changed weights");
    let goldens = source.join("goldens.safetensors");
    let verification = check(folder.path(), &goldens, Scope::Everything);
    let failed: Vec<&str> = verification
        .quantities
        .iter()
        .filter(|quantity| !quantity.passed)
        .map(|quantity| quantity.name.as_str())
        .collect();
    assert_eq!(
        failed.first(),
        Some(&"block_out/encoderblock_3"),
        "{failed:?}"
    );
    assert!(failed.contains(&"moe_out/encoderblock_3"), "{failed:?}");
    assert!(!failed.contains(&"moe_out/encoderblock_2"), "{failed:?}");
}

#[test]
fn what_is_missing_is_named() {
    let folder = changed_config("experts_choose", "\"mlp_dim\": 32", "\"mlp_dim\": 33");
    let error = AnyCheckpoint::open(folder.path()).expect_err("another width");
    let text = error.to_string();
    assert!(
        text.contains("model.safetensors") && text.contains("Dense_0/kernel is [24, 32]"),
        "{text}"
    );
    let folder = changed_config(
        "experts_choose",
        "\"classifier\": \"gap\"",
        "\"classifier\": \"map\"",
    );
    let error = AnyCheckpoint::open(folder.path()).expect_err("no probe");
    assert!(
        error
            .to_string()
            .contains("lacks the tensor MapHead/probe [1, 1, 24]"),
        "{error}"
    );
    let folder = changed_config(
        "experts_choose",
        "\"attention_qk_norm\": true",
        "\"attention_qk_norm\": false",
    );
    let error = AnyCheckpoint::open(folder.path()).expect_err("a norm without a place");
    assert!(
        error.to_string().contains("no place for the tensor"),
        "{error}"
    );
}

/// Names, shapes and bits of all tensors.
fn tensors(folder: &Path) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let tensors = read_tensors(&folder.join("model.safetensors")).expect("tensors");
    let bits = |values: HostValues| match values {
        HostValues::Floats(values) => values.into_iter().map(f32::to_bits).collect(),
        HostValues::Ints(_) => panic!("weights are no whole numbers"),
    };
    let tensors = tensors.into_iter();
    tensors
        .map(|(name, tensor)| (name, tensor.shape, bits(tensor.values)))
        .collect()
}

#[test]
fn writing_gives_the_same_bytes() {
    for (case, _) in CASES {
        let source = fixture(case);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let checkpoint = VmoeCheckpoint::open(&source).expect("a whole checkpoint");
        let (copy, written) = (folder.path().join("copy"), folder.path().join("written"));
        checkpoint.rewrite(&copy, &Device::flex()).expect("a copy");
        let model = checkpoint.load(Precision::Stored, &Device::flex());
        let model = model.expect("a model");
        checkpoint.write(&model, &written).expect("its files");
        for target in [&copy, &written] {
            assert_eq!(tensors(target), tensors(&source), "{case}");
            let configs =
                [&source, target].map(|f| fs::read(f.join("config.json")).expect("a file"));
            assert_eq!(configs[0], configs[1], "{case}");
        }
        let (ours, back) = (folder.path().join("ours"), folder.path().join("back"));
        checkpoint
            .to_native(&ours, &Device::flex())
            .expect("our files");
        let native = VmoeCheckpoint::open(&ours).expect("our files");
        native.rewrite(&back, &Device::flex()).expect("their files");
        assert_eq!(tensors(&back), tensors(&source), "{case}");
        let again = checkpoint.write(&model, &copy).expect_err("it exists");
        assert!(again.to_string().contains("exists"), "{again}");
    }
}
