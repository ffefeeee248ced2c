//! The Switch Transformer held to its reference implementation, and that the check can fail.

use burn::tensor::Device;
use moe_checkpoint::SwitchCheckpoint;
use moe_checkpoint::verify::{Goldens, Scope, Verification, VerifyError, verify_switch};
use std::fs;
use std::path::{Path, PathBuf};

/// The fixtures, and how many quantities each is held to.
const CASES: &[(&str, usize)] = &[("switch_capacity", 48), ("switch_untied_all_sparse", 32)];

fn fixture(case: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("tests/fixtures").join(case)
}

fn check(folder: &Path, scope: Scope) -> Result<Verification, VerifyError> {
    let checkpoint = SwitchCheckpoint::open(folder).expect("a whole checkpoint");
    let goldens = Goldens::read(&folder.join("goldens.safetensors")).expect("goldens");
    verify_switch(&checkpoint, &goldens, scope, &Device::flex())
}

/// A copy of a fixture.
fn copy(case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(fixture(case)).expect("the fixture") {
        let path = file.expect("a file").path();
        let bytes = fs::read(&path).expect("a file");
        let name = path.file_name().expect("a name");
        fs::write(folder.path().join(name), bytes).expect("a copy");
    }
    folder
}

/// Offset of a tensor's bytes in a file.
fn place(file: &[u8], tensor: &str) -> usize {
    let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    let start = header[tensor]["data_offsets"][0]
        .as_u64()
        .expect("it is there");
    8 + length + start as usize
}

/// Overwrites the first bytes of a tensor.
fn overwrite(path: &Path, tensor: &str, bytes: &[u8]) {
    let mut file = fs::read(path).expect("the file");
    let start = place(&file, tensor);
    file[start..start + bytes.len()].copy_from_slice(bytes);
    fs::write(path, file).expect("the file");
}

fn failed(verification: &Verification) -> Vec<&str> {
    let quantities = verification.quantities.iter().filter(|q| !q.passed);
    quantities.map(|q| q.name.as_str()).collect()
}

#[test]
fn both_stacks_equal_their_reference() {
    for (case, n_quantities) in CASES {
        let verification = check(&fixture(case), Scope::Everything).expect("a comparison");
        assert!(verification.passed(), "{case}: {:?}", failed(&verification));
        assert_eq!(verification.unchecked, Vec::<String>::new(), "{case}");
        assert_eq!(verification.quantities.len(), *n_quantities, "{case}");
    }
}

#[test]
fn a_changed_weight_fails_from_its_layer_on() {
    let folder = copy("switch_capacity");
    let model = folder.path().join("model.safetensors");
    let weight = "encoder.block.2.layer.1.mlp.wo.weight";
    overwrite(&model, weight, &1f32.to_le_bytes());
    let verification = check(folder.path(), Scope::ForwardOnly).expect("a comparison");
    let failed = failed(&verification);
    for name in [
        "logits",
        "encoder.ffn_out.2",
        "encoder.hidden.3",
        "decoder.hidden.1",
    ] {
        assert!(failed.contains(&name), "{name}: {failed:?}");
    }
    for name in ["encoder.hidden.2", "encoder.ffn_out.1", "decoder.hidden.0"] {
        assert!(!failed.contains(&name), "{name}: {failed:?}");
    }
}

#[test]
fn another_capacity_fails() {
    let folder = copy("switch_capacity");
    let path = folder.path().join("config.json");
    let text = fs::read_to_string(&path).expect("the configuration");
    let changed = text.replace("\"expert_capacity\": 3", "\"expert_capacity\": 4");
    assert_ne!(text, changed);
    fs::write(&path, changed).expect("the configuration");
    let verification = check(folder.path(), Scope::ForwardOnly).expect("a comparison");
    let failed = failed(&verification);
    assert!(
        failed.contains(&"encoder.dispatch.1") && failed.contains(&"logits"),
        "{failed:?}"
    );
    // written token by token nothing is dropped in the decoder, and what it reads has changed all the same
    assert!(!failed.contains(&"encoder.router_logits.1"), "{failed:?}");
}

#[test]
fn goldens_that_do_not_fit_are_refused_by_name() {
    for (tensor, id, what) in [
        (
            "input_ids",
            96i64,
            "input_ids has the id 96, and the vocabulary has 0 to 95",
        ),
        (
            "labels",
            -1,
            "labels has the id -1, and the vocabulary has 0 to 95, and -100",
        ),
        ("attention_mask", 2, "attention_mask has 2"),
    ] {
        let folder = copy("switch_capacity");
        let goldens = folder.path().join("goldens.safetensors");
        overwrite(&goldens, tensor, &id.to_le_bytes());
        let error = check(folder.path(), Scope::ForwardOnly)
            .expect_err(what)
            .to_string();
        assert!(error.contains(what), "{error}");
    }
}
