//! Every published family held to its reference implementation, and that the check can fail.

use burn::tensor::Device;
use moe_checkpoint::verify::{Goldens, Scope, Verification, VerifyError, verify};
use moe_checkpoint::{
    HostTensor, HostValues, PublishedCheckpoint, from_native, read_tensors, to_native,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The fixtures, and how many quantities each is held to.
const CASES: &[(&str, usize)] = &[
    ("mixtral_base", 29),
    ("mixtral_swa", 29),
    ("olmoe_base", 30),
    ("olmoe_clip_gqa", 30),
    ("qwen3_base", 36),
    ("qwen3_sparse_step_tied", 33),
    ("llama_base", 18),
    ("dsv1_norm_batchaux_freq2", 32),
    ("dsv1_seqaux", 32),
    ("dsv2_group_q", 30),
    ("dsv2_lite_greedy_noq", 30),
    ("dsv3_fp8", 9),
    ("dsv3_groups_yarn", 30),
    ("dsv3_mtp", 23),
];

fn fixture(case: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("tests/fixtures").join(case)
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
    for (case, n_quantities) in CASES {
        let folder = fixture(case);
        let verification = check(&folder, &folder.join("goldens.safetensors"));
        assert_passes(case, &verification);
        assert_eq!(verification.quantities.len(), *n_quantities, "{case}");
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

/// Tensors by name: shape, dtype as in a header, bytes.
type Stored = BTreeMap<String, (Vec<usize>, &'static str, Vec<u8>)>;

/// The tensors of a file.
fn read(path: &Path) -> Stored {
    let tensors = read_tensors(path).expect("tensors").into_iter();
    let stored = |tensor: HostTensor| match tensor.values {
        HostValues::Floats(values) => {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            (tensor.shape, "F32", bytes)
        }
        HostValues::Ints(values) => (tensor.shape, "I64", of_ints(&values)),
    };
    tensors
        .map(|(name, tensor)| (name, stored(tensor)))
        .collect()
}

fn of_ints(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn write(path: &Path, tensors: &Stored) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, dtype, bytes)) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        let info = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
        header.insert(name.clone(), info);
        data.extend(bytes);
    }
    let header = serde_json::to_vec(&header).expect("a header");
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], &header, &data].concat()).expect("a file");
}

/// Holds a fixture to goldens that were changed, with norms that were changed.
fn changed(
    case: &str,
    scope: Scope,
    change: impl Fn(&mut Stored),
    change_norms: impl Fn(String) -> Option<String>,
) -> Result<Verification, VerifyError> {
    let (folder, source) = (tempfile::tempdir().expect("a folder"), fixture(case));
    let path = folder.path().join("goldens.safetensors");
    let mut tensors = read(&source.join("goldens.safetensors"));
    change(&mut tensors);
    write(&path, &tensors);
    let norms = fs::read_to_string(source.join("goldens.json")).expect("norms");
    if let Some(norms) = change_norms(norms) {
        fs::write(folder.path().join("goldens.json"), norms).expect("norms");
    }
    let checkpoint = PublishedCheckpoint::open(&source).expect("a whole checkpoint");
    let goldens = Goldens::read(&path).expect("goldens");
    verify(&checkpoint, &goldens, scope, &Device::flex())
}

fn forward(case: &str, change: impl Fn(&mut Stored)) -> Result<Verification, VerifyError> {
    changed(case, Scope::ForwardOnly, change, Some)
}

#[track_caller]
fn assert_fails(verification: &Result<Verification, VerifyError>, name: &str, problem: &str) {
    let verification = verification.as_ref().expect("a comparison");
    let failed = verification.quantities.iter().filter(|q| !q.passed);
    let failed: Vec<_> = failed
        .map(|q| (q.name.as_str(), q.problem.as_deref()))
        .collect();
    assert_eq!(failed, [(name, Some(problem))]);
}

#[test]
fn another_shape_or_type_fails() {
    let reshaped = forward("mixtral_base", |t| {
        t.get_mut("logits").expect("it").0 = vec![1, 40, 96];
    });
    assert_fails(&reshaped, "logits", "[1, 40, 96], not [2, 20, 96]");
    let whole = |name: &'static str| {
        forward("mixtral_base", move |t| {
            let tensor = t.get_mut(name).expect("it");
            tensor.1 = "I64";
            tensor.2 = vec![0; 2 * tensor.2.len()];
        })
    };
    for name in ["masked.logits", "logits"] {
        assert_fails(&whole(name), name, "whole numbers in place of numbers");
    }
}

#[test]
fn a_mask_that_leaves_nothing_fails_and_one_without_logits_is_unchecked() {
    let empty = forward("mixtral_base", |t| {
        t.get_mut("masked.attention_mask").expect("it").2.fill(0);
        t.remove("masked.aux_loss");
    });
    assert_fails(&empty, "masked.logits", "there is nothing to compare");
    let alone = forward("mixtral_base", |t| {
        t.remove("masked.logits");
        t.remove("masked.aux_loss");
    });
    let unchecked = alone.expect("a comparison").unchecked;
    assert_eq!(unchecked, ["masked.attention_mask"]);
}

#[test]
fn missing_norms_are_not_passed_over() {
    let check = |norms: &dyn Fn(String) -> Option<String>| {
        let verification = changed("mixtral_base", Scope::Everything, |_| {}, norms);
        let verification = verification.expect("a comparison");
        assert!(verification.passed());
        verification.unchecked
    };
    let (gradients, parameters) = (
        "grad_norm of 41 of 41 tensors, the first lm_head.weight",
        "param_norm_after_5 of 41 of 41 tensors, the first lm_head.weight",
    );
    assert_eq!(check(&|_| None), [gradients, parameters]);
    let renamed = |text: String| Some(text.replace("\"grad_norm\"", "\"grad_norms\""));
    assert_eq!(check(&renamed), [gradients]);
    let without_one = |text: String| {
        let mut norms: serde_json::Value = serde_json::from_str(&text).expect("norms");
        let all = norms["param_norm_after_5"]
            .as_object_mut()
            .expect("by name");
        all.remove("model.norm.weight").expect("it was there");
        Some(norms.to_string())
    };
    assert_eq!(
        check(&without_one),
        ["param_norm_after_5 of 1 of 41 tensors, the first model.norm.weight"]
    );
}

#[test]
fn goldens_that_do_not_fit_are_refused_by_name() {
    let set = |name: &'static str, shape: [usize; 2], id: i64| {
        move |t: &mut Stored| {
            let ids = vec![id; shape[0] * shape[1]];
            t.insert(name.to_owned(), (shape.to_vec(), "I64", of_ints(&ids)));
        }
    };
    let cases = [
        (
            set("input_ids", [2, 20], 96),
            "input_ids has the id 96, and the vocabulary has 0 to 95",
        ),
        (set("input_ids", [2, 20], -1), "input_ids has the id -1"),
        (
            set("gen.prompt_ids", [2, 8], 96),
            "gen.prompt_ids has the id 96",
        ),
        (
            set("gen.prompt_ids", [2, 8], -1),
            "gen.prompt_ids has the id -1",
        ),
        (
            set("gen.new_ids", [2, 20], -100),
            "gen.new_ids has the id -100",
        ),
        (
            set("gen.new_ids", [1, 20], 1),
            "gen.new_ids has 1 rows, and gen.prompt_ids 2",
        ),
        (
            set("gen_leftpad.prompt_ids", [2, 8], 96),
            "gen_leftpad.prompt_ids has the id 96",
        ),
        (
            set("gen_leftpad.attention_mask", [2, 7], 1),
            "gen_leftpad.attention_mask is [2, 7], and its tokens [2, 8]",
        ),
        (
            set("gen_leftpad.attention_mask", [2, 8], 0),
            "gen_leftpad.attention_mask ends a prompt with padding",
        ),
        (
            set("masked.attention_mask", [2, 19], 1),
            "masked.attention_mask is [2, 19], and its tokens [2, 20]",
        ),
        (
            set("masked.attention_mask", [2, 20], 2),
            "masked.attention_mask has 2",
        ),
    ];
    for (change, what) in cases {
        let error = forward("mixtral_base", change).expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    }
    let single = changed(
        "mixtral_base",
        Scope::Everything,
        set("input_ids", [2, 1], 1),
        Some,
    );
    let error = single.expect_err("no next token").to_string();
    assert!(error.contains("input_ids has one token"), "{error}");
}

#[test]
fn the_second_depth_is_unchecked_and_not_held_to_the_first() {
    let (folder, source) = (tempfile::tempdir().expect("a folder"), fixture("dsv3_mtp"));
    let mut tensors = read(&source.join("model.safetensors"));
    let first: Vec<_> = tensors
        .iter()
        .filter(|(name, _)| name.starts_with("model.layers.2."))
        .map(|(name, tensor)| (name.replacen("layers.2.", "layers.3.", 1), tensor.clone()))
        .collect();
    tensors.extend(first);
    write(&folder.path().join("model.safetensors"), &tensors);
    let config = fs::read_to_string(source.join("config.json")).expect("a configuration");
    let two = config.replace(
        "\"num_nextn_predict_layers\": 1",
        "\"num_nextn_predict_layers\": 2",
    );
    assert_ne!(two, config);
    fs::write(folder.path().join("config.json"), two).expect("a configuration");
    let verification = check(folder.path(), &source.join("goldens.safetensors"));
    assert!(verification.passed(), "{:?}", verification.quantities);
    assert_eq!(
        verification.unchecked,
        ["logits of the module that predicts at depth 2"]
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
    let cases = CASES.iter().map(|(case, _)| *case);
    for case in cases.filter(|case| !["dsv3_fp8", "dsv3_mtp"].contains(case)) {
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

/// Adds to the first element of a tensor of a checkpoint in one file.
fn plant(folder: &Path, name: &str, more: f32) {
    let path = folder.join("model.safetensors");
    let mut tensors = read(&path);
    let bytes = &mut tensors.get_mut(name).expect("the tensor").2;
    let first = f32::from_le_bytes(bytes[..4].try_into().expect("4 bytes"));
    bytes[..4].copy_from_slice(&(first + more).to_le_bytes());
    write(&path, &tensors);
}

/// One wrong number of a whole model, and no tolerance is wide enough to pass it.
#[test]
fn one_wrong_weight_fails() {
    let layer = "model.layers.1";
    let cases = [
        ("mixtral_swa", format!("{layer}.self_attn.o_proj.weight")),
        (
            "mixtral_swa",
            format!("{layer}.block_sparse_moe.gate.weight"),
        ),
        (
            "dsv1_seqaux",
            format!("{layer}.mlp.shared_experts.up_proj.weight"),
        ),
        (
            "dsv2_group_q",
            format!("{layer}.self_attn.kv_b_proj.weight"),
        ),
        ("dsv3_groups_yarn", "model.norm.weight".to_owned()),
        ("dsv3_mtp", "model.layers.2.eh_proj.weight".to_owned()),
    ];
    for (case, tensor) in cases {
        let (folder, source) = (tempfile::tempdir().expect("a folder"), fixture(case));
        for file in ["config.json", "model.safetensors"] {
            fs::copy(source.join(file), folder.path().join(file)).expect("a copy");
        }
        plant(folder.path(), &tensor, 0.01);
        let checkpoint = PublishedCheckpoint::open(folder.path()).expect("a whole checkpoint");
        let goldens = Goldens::read(&source.join("goldens.safetensors")).expect("goldens");
        let device = Device::flex();
        let verification = verify(&checkpoint, &goldens, Scope::ForwardOnly, &device);
        assert!(
            !verification.expect("a comparison").passed(),
            "{case}: {tensor}"
        );
    }
}
