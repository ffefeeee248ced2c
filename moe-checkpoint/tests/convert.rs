//! Converting checkpoints: what is written, what stays, and what is never touched.

use burn::tensor::Device;
use moe_checkpoint::{
    AnyCheckpoint, CheckpointError, PublishedCheckpoint, check_target, from_native, to_native,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(case)
}

fn open(folder: &Path) -> PublishedCheckpoint {
    PublishedCheckpoint::open(folder).expect("a checkpoint")
}

/// The type and bytes of each tensor of `model.safetensors`.
fn tensors(folder: &Path) -> BTreeMap<String, (Dtype, Vec<u8>)> {
    let bytes = fs::read(folder.join("model.safetensors")).expect("the file");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let tensor =
        |(name, view): (String, TensorView<'_>)| (name, (view.dtype(), view.data().to_vec()));
    tensors.tensors().into_iter().map(tensor).collect()
}

fn config(folder: &Path) -> Value {
    let text = fs::read(folder.join("config.json")).expect("the file");
    serde_json::from_slice(&text).expect("JSON")
}

/// A copy of the fixture with the module that predicts further, without its tensors.
fn without_further(at: &Path) {
    let source = fixture("dsv3_mtp");
    fs::create_dir(at).expect("a folder");
    fs::copy(source.join("config.json"), at.join("config.json")).expect("a copy");
    let bytes = fs::read(source.join("model.safetensors")).expect("the file");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors").tensors();
    let kept = tensors
        .into_iter()
        .filter(|(name, _)| !name.starts_with("model.layers.2."));
    safetensors::serialize_to_file(kept, None, &at.join("model.safetensors")).expect("a file");
}

#[test]
fn a_copy_without_further_modules_goes_there_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    without_further(&at("source"));
    let source = open(&at("source"));
    to_native(&source, &at("ours"), &Device::flex()).expect("our files");
    from_native(&at("ours"), &at("theirs"), &Device::flex()).expect("their files");
    source
        .rewrite(&at("again"), &Device::flex())
        .expect("their files");
    for copy in ["theirs", "again"] {
        assert_eq!(tensors(&at(copy)), tensors(&at("source")), "{copy}");
        let mut expected = config(&at("source"));
        expected["num_nextn_predict_layers"] = json!(0);
        assert_eq!(config(&at(copy)), expected, "{copy}");
    }
}

/// FP8 with ragged blocks, and a module with copies of embedding and head.
const WITH_MORE: [&str; 2] = ["dsv3_fp8", "dsv3_mtp"];

#[test]
fn fp8_and_copies_go_there_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for case in WITH_MORE {
        let at = |name: &str| folder.path().join(case).join(name);
        to_native(&open(&fixture(case)), &at("ours"), &Device::flex()).expect("our files");
        from_native(&at("ours"), &at("theirs"), &Device::flex()).expect("their files");
        assert_eq!(tensors(&at("theirs")), tensors(&fixture(case)), "{case}");
        assert_eq!(config(&at("theirs")), config(&fixture(case)), "{case}");
    }
    let fp8 = |(dtype, _): &(Dtype, Vec<u8>)| *dtype == Dtype::F8_E4M3;
    assert!(tensors(&fixture("dsv3_fp8")).values().any(fp8));
}

/// A fixture's files with these tensors besides.
fn with_tensors(at: &Path, case: &str, more: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>) {
    fs::create_dir_all(at).expect("a folder");
    let source = fixture(case);
    fs::copy(source.join("config.json"), at.join("config.json")).expect("a copy");
    let bytes = fs::read(source.join("model.safetensors")).expect("the file");
    let mut tensors = SafeTensors::deserialize(&bytes).expect("tensors").tensors();
    tensors.retain(|(name, _)| more.iter().all(|(other, ..)| other != name));
    let more = more.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor");
        (name.clone(), view)
    });
    let path = at.join("model.safetensors");
    safetensors::serialize_to_file(tensors.into_iter().chain(more), None, &path).expect("a file");
}

/// There and back, whole and tensor by tensor.
fn assert_there_and_back(source: &Path, at: impl Fn(&str) -> PathBuf) {
    let checkpoint = AnyCheckpoint::open(source).expect("a checkpoint");
    let device = Device::flex();
    checkpoint.to_native(&at("ours"), &device).expect("ours");
    let native = AnyCheckpoint::open(&at("ours")).expect("our files");
    native.rewrite(&at("theirs"), &device).expect("theirs");
    checkpoint
        .rewrite(&at("again"), &Device::flex())
        .expect("theirs");
    for copy in ["theirs", "again"] {
        assert!(
            tensors(&at(copy)) == tensors(source),
            "{}",
            source.display()
        );
        assert_eq!(config(&at(copy)), config(source), "{}", source.display());
    }
}

#[test]
fn every_family_goes_there_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for case in [
        "mixtral_swa",
        "dsv3_fp8",
        "switch_capacity",
        "switch_untied_all_sparse",
        "vmoe_last1_noise_bpr_drop",
        "softmoe_bf16_ref",
    ] {
        assert_there_and_back(&fixture(case), |name| folder.path().join(case).join(name));
    }
}

#[test]
fn copies_of_a_switch_table_and_its_fp8_go_there_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let bytes = fs::read(fixture("switch_capacity").join("model.safetensors")).expect("the file");
    let stored = SafeTensors::deserialize(&bytes).expect("tensors");
    let table = stored.tensor("shared.weight").expect("the table");
    let copy = |name: &str| {
        let (shape, data) = (table.shape().to_vec(), table.data().to_vec());
        (name.to_owned(), Dtype::F32, shape, data)
    };
    // 1.5 in E4M3, times 0.25 for each block: one, as the matrix is 32 x 24
    let wi = "encoder.block.1.layer.1.mlp.experts.expert_0.wi.weight";
    let shape = stored.tensor(wi).expect("an expert").shape().to_vec();
    let fp8 = vec![0x3C; shape.iter().product()];
    let scales = 0.25f32.to_le_bytes().to_vec();
    let more = vec![
        copy("encoder.embed_tokens.weight"),
        copy("lm_head.weight"),
        (wi.to_owned(), Dtype::F8_E4M3, shape, fp8),
        (format!("{wi}_scale_inv"), Dtype::F32, vec![1, 1], scales),
    ];
    with_tensors(&at("source"), "switch_capacity", more);
    assert_there_and_back(&at("source"), at);
}

#[test]
fn without_its_scales_fp8_becomes_f32_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let source = open(&fixture("dsv3_fp8"));
    to_native(&source, &at("ours"), &Device::flex()).expect("our files");
    fs::remove_file(at("ours/published.safetensors")).expect("what was kept");
    from_native(&at("ours"), &at("theirs"), &Device::flex()).expect("their files");
    let mut expected = config(&fixture("dsv3_fp8"));
    let fields = expected.as_object_mut().expect("fields");
    fields.remove("quantization_config").expect("it was FP8");
    fields.insert("torch_dtype".to_owned(), json!("float32"));
    assert_eq!(config(&at("theirs")), expected);
    let copy = open(&at("theirs"));
    for entry in source.layout().entries() {
        let read = |checkpoint: &PublishedCheckpoint| {
            checkpoint
                .tensor(&entry.name, &Device::flex())
                .expect("it is whole")
        };
        assert_eq!(read(&copy), read(&source), "{}", entry.name);
    }
}

#[test]
fn scales_that_do_not_fit_are_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    to_native(&open(&fixture("dsv3_fp8")), &at("ours"), &Device::flex()).expect("our files");
    let path = at("ours/published.safetensors");
    let bytes = fs::read(&path).expect("what was kept");
    let kept = SafeTensors::deserialize(&bytes).expect("tensors");
    let (name, scales) = kept
        .iter()
        .find(|(name, _)| name.ends_with("_scale_inv"))
        .expect("one");
    let doubled: Vec<u8> = scales
        .data()
        .as_chunks()
        .0
        .iter()
        .flat_map(|word| (f32::from_le_bytes(*word) * 1.7).to_le_bytes())
        .collect();
    let edits = [
        (
            name.to_owned(),
            scales.shape().to_vec(),
            doubled,
            "not FP8 numbers",
        ),
        (name.to_owned(), vec![1], vec![0; 4], "must be"),
        (
            "nothing_scale_inv".to_owned(),
            vec![1],
            vec![0; 4],
            "no tensor nothing",
        ),
    ];
    for (name, shape, data, what) in edits {
        let view = TensorView::new(Dtype::F32, shape, &data).expect("a tensor");
        safetensors::serialize_to_file([(name, view)], None, &path).expect("a file");
        let error = from_native(&at("ours"), &at("theirs"), &Device::flex()).expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
        assert!(!at("theirs").exists());
    }
}

#[test]
fn a_rewrite_keeps_every_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for case in ["dsv2_group_q", "mixtral_swa"].iter().chain(&WITH_MORE) {
        let target = folder.path().join(case);
        open(&fixture(case))
            .rewrite(&target, &Device::flex())
            .expect("a copy");
        assert_eq!(tensors(&target), tensors(&fixture(case)), "{case}");
        let texts = [&target, &fixture(case)].map(|f| fs::read(f.join("config.json")).expect("it"));
        assert_eq!(texts[0], texts[1], "{case}");
    }
}

#[test]
fn an_edited_configuration_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("a/b/theirs"));
    to_native(&open(&fixture("mixtral_base")), &ours, &Device::flex()).expect("our files");
    let edits = [
        ("num_experts_per_tok", json!(5)), // of 4
        ("num_attention_heads", json!(5)), // 5 does not divide 32
        ("num_hidden_layers", json!(1)),
        ("num_hidden_layers", json!(3)),
        ("hidden_size", json!(64)),
    ];
    for (key, value) in edits {
        let mut edited = config(&fixture("mixtral_base"));
        edited[key] = value;
        fs::write(ours.join("config.json"), edited.to_string()).expect("a file");
        let error = from_native(&ours, &theirs, &Device::flex()).expect_err(key);
        assert!(error.to_string().contains("ours"), "{error}");
        assert!(!folder.path().join("a").exists(), "{key}");
    }
}

#[test]
fn neighbours_are_never_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("out.part")).expect("a folder");
    fs::write(at("out.part/mine"), "mine").expect("a file");
    let source = open(&fixture("mixtral_swa"));
    to_native(&source, &at("out"), &Device::flex()).expect("our files");
    source
        .rewrite(&at("new/out"), &Device::flex())
        .expect("their files");
    assert_eq!(fs::read(at("out.part/mine")).expect("it is there"), b"mine");
    let n_entries = |path: &Path| fs::read_dir(path).expect("a folder").count();
    assert_eq!((n_entries(folder.path()), n_entries(&at("new"))), (3, 1));
}

#[test]
fn targets_where_no_folder_can_be_made_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "").expect("a file");
    check_target(&at("new/out")).expect("nothing is there");
    let error = check_target(&at("file")).expect_err("a file is there");
    assert!(matches!(error, CheckpointError::Exists(_)), "{error}");
    for (target, what) in [("file/out", "is not a folder"), ("new/..", "end in a name")] {
        let error = check_target(&at(target)).expect_err(target).to_string();
        assert!(error.contains(what), "{error}");
        let source = open(&fixture("mixtral_swa"));
        source
            .rewrite(&at(target), &Device::flex())
            .expect_err(target);
    }
    assert!(!at("new").exists());
}
