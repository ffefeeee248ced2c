//! Every published family held to its reference implementation, and that the check can fail.

use burn::tensor::Device;
use moe_models::checkpoint::{PublishedCheckpoint, from_native, to_native};
use moe_train::verify::{Goldens, Scope, Verification, verify};
use std::fs;
use std::path::{Path, PathBuf};

const CASES: &[&str] = &[
    "mixtral_base",
    "mixtral_swa",
    "dsv1_norm_batchaux_freq2",
    "dsv1_seqaux",
    "dsv2_group_q",
    "dsv2_lite_greedy_noq",
    "dsv3_fp8",
    "dsv3_groups_yarn",
    "dsv3_mtp",
];

fn fixture(case: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../moe-models");
    models.join("tests/fixtures").join(case)
}

fn check(folder: &Path, goldens: &Path) -> Verification {
    let checkpoint = PublishedCheckpoint::open(folder).expect("a whole checkpoint");
    let goldens = Goldens::read(goldens).expect("goldens");
    verify(&checkpoint, &goldens, Scope::Everything, &Device::flex()).expect("a comparison")
}

fn assert_passes(case: &str, verification: &Verification) {
    for quantity in &verification.quantities {
        assert!(quantity.passed, "{case}: {quantity:?}");
    }
    assert!(verification.passed(), "{case}");
    assert_eq!(verification.unchecked, Vec::<String>::new(), "{case}");
}

#[test]
fn every_family_equals_its_reference() {
    for case in CASES {
        let folder = fixture(case);
        assert_passes(case, &check(&folder, &folder.join("goldens.safetensors")));
    }
}

#[test]
fn another_configuration_fails() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = fixture("dsv3_groups_yarn");
    for name in ["config.json", "model.safetensors"] {
        fs::copy(source.join(name), folder.path().join(name)).expect("a copy");
    }
    let path = folder.path().join("config.json");
    let text = fs::read_to_string(&path).expect("the configuration");
    let changed = text.replace(
        "\"routed_scaling_factor\": 2.5",
        "\"routed_scaling_factor\": 2.4",
    );
    assert_ne!(text, changed);
    fs::write(&path, changed).expect("the changed configuration");
    let verification = check(folder.path(), &source.join("goldens.safetensors"));
    assert!(!verification.passed());
    let failed = verification
        .quantities
        .iter()
        .find(|quantity| !quantity.passed);
    assert!(
        failed.is_some_and(|quantity| quantity.name == "logits"),
        "{failed:?}"
    );
}

/// The bytes of every tensor by name.
fn tensors(folder: &Path) -> Vec<(String, Vec<usize>, String, Vec<u8>)> {
    let mut all = Vec::new();
    for file in fs::read_dir(folder).expect("the folder") {
        let path = file.expect("a file").path();
        let is_tensors = path.extension().is_some_and(|e| e == "safetensors");
        if !is_tensors || path.ends_with("goldens.safetensors") {
            continue;
        }
        let bytes = fs::read(&path).expect("the file");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
        let header: serde_json::Value =
            serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
        for (name, info) in header.as_object().expect("an object") {
            if name == "__metadata__" {
                continue;
            }
            let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
            let list = |key: &str| -> Vec<usize> {
                info[key]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(number)
                    .collect()
            };
            let offsets = list("data_offsets");
            let data = bytes[8 + length + offsets[0]..8 + length + offsets[1]].to_vec();
            all.push((name.clone(), list("shape"), info["dtype"].to_string(), data));
        }
    }
    all.sort();
    all
}

#[test]
fn converting_there_and_back_gives_the_same_bytes() {
    for case in CASES
        .iter()
        .filter(|case| !["dsv3_fp8", "dsv3_mtp"].contains(*case))
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let source = fixture(case);
        let checkpoint = PublishedCheckpoint::open(&source).expect("a whole checkpoint");
        to_native(&checkpoint, &ours, &Device::flex()).expect("our files");
        from_native(&ours, &theirs, &Device::flex()).expect("their files");
        assert_eq!(tensors(&theirs), tensors(&source), "{case}");
        let configs = [&source, &theirs].map(|f| fs::read(f.join("config.json")).expect("a file"));
        assert_eq!(configs[0], configs[1], "{case}");
        let again = to_native(&checkpoint, &ours, &Device::flex()).expect_err("it exists");
        assert!(again.to_string().contains("exists"), "{again}");
    }
}
