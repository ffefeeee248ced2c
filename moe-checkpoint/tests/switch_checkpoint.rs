//! Published Switch models: what is accepted, what is refused by name, and that writing gives the same
//! bytes.

use burn::tensor::Device;
use moe_checkpoint::{AnyCheckpoint, CheckpointError, Precision, SwitchCheckpoint};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(case)
}

/// Shape and bytes by name; all are F32.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn tensors(folder: &Path) -> Tensors {
    let bytes = fs::read(folder.join("model.safetensors")).expect("the file");
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    let stored = |view: TensorView<'_>| (view.shape().to_vec(), view.data().to_vec());
    file.tensors()
        .into_iter()
        .map(|(name, view)| (name, stored(view)))
        .collect()
}

/// A fixture's configuration with these tensors.
fn folder(case: &str, tensors: &Tensors) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let config = fixture(case).join("config.json");
    fs::copy(config, folder.path().join("config.json")).expect("a copy");
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name, view.expect("a whole tensor"))
    });
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).expect("a file");
    folder
}

fn error(case: &str, change: impl Fn(&mut Tensors)) -> String {
    let mut tensors = tensors(&fixture(case));
    change(&mut tensors);
    let folder = folder(case, &tensors);
    let error = SwitchCheckpoint::open(folder.path()).expect_err("it was changed");
    assert!(!matches!(error, CheckpointError::Layout(_)), "{error}");
    error.to_string()
}

#[test]
fn writing_gives_the_same_bytes() {
    for case in ["switch_capacity", "switch_untied_all_sparse"] {
        let source = fixture(case);
        let checkpoint = SwitchCheckpoint::open(&source).expect("a whole checkpoint");
        let model = checkpoint.load(Precision::Stored, &Device::flex());
        let model = model.expect("a model");
        let folder = tempfile::tempdir().expect("a folder");
        let (copied, written) = (folder.path().join("copied"), folder.path().join("written"));
        checkpoint
            .rewrite(&copied, &Device::flex())
            .expect("a copy");
        checkpoint.write(&model, &written).expect("a copy");
        for target in [&copied, &written] {
            assert!(tensors(target) == tensors(&source), "{case}");
            let config = |folder: &Path| fs::read(folder.join("config.json")).expect("a file");
            assert_eq!(config(target), config(&source), "{case}");
        }
        let again = checkpoint
            .rewrite(&copied, &Device::flex())
            .expect_err("it exists");
        assert!(again.to_string().contains("exists"), "{again}");
    }
}

#[test]
fn copies_of_the_one_table_are_checked_and_kept() {
    let case = "switch_capacity";
    let mut all = tensors(&fixture(case));
    let table = all["shared.weight"].clone();
    for name in [
        "encoder.embed_tokens.weight",
        "decoder.embed_tokens.weight",
        "lm_head.weight",
    ] {
        all.insert(name.to_owned(), table.clone());
        let changed = error(case, |tensors| {
            let mut other = table.clone();
            other.1[3] ^= 1;
            tensors.insert(name.to_owned(), other);
        });
        assert!(changed.contains("model.safetensors"), "{changed}");
        assert!(
            changed.contains(&format!("{name} should be a copy of shared.weight")),
            "{changed}"
        );
    }
    let source = folder(case, &all);
    let checkpoint = SwitchCheckpoint::open(source.path()).expect("a whole checkpoint");
    let model = checkpoint
        .load(Precision::F32, &Device::flex())
        .expect("a model");
    let target = tempfile::tempdir().expect("a folder");
    let (copied, written) = (target.path().join("copied"), target.path().join("written"));
    checkpoint
        .rewrite(&copied, &Device::flex())
        .expect("a copy");
    checkpoint.write(&model, &written).expect("a copy");
    assert!(tensors(&copied) == all && tensors(&written) == all);
}

#[test]
fn errors_name_file_and_tensor() {
    let wi = "decoder.block.1.layer.2.mlp.experts.expert_3.wi.weight";
    let missing = error("switch_capacity", |tensors| {
        tensors.remove(wi);
    });
    assert!(
        missing.contains(&format!("model.safetensors lacks the tensor {wi} [32, 24]")),
        "{missing}"
    );
    let shape = error("switch_capacity", |tensors| {
        tensors.get_mut(wi).expect("it").0 = vec![24, 32];
    });
    assert!(
        shape.contains(&format!(
            "{wi} is [24, 32], and config.json makes it [32, 24]"
        )),
        "{shape}"
    );
    let extra = error("switch_capacity", |tensors| {
        let bias = (vec![1], vec![0; 4]);
        tensors.insert(
            "encoder.block.1.layer.1.mlp.router.classifier.bias".to_owned(),
            bias,
        );
    });
    assert!(
        extra.contains("has no place for the tensor encoder.block.1"),
        "{extra}"
    );
    let untied = error("switch_untied_all_sparse", |tensors| {
        tensors.remove("decoder.embed_tokens.weight");
    });
    assert!(
        untied.contains("lacks the tensor decoder.embed_tokens.weight"),
        "{untied}"
    );
}

#[test]
fn the_kind_of_a_folder_is_told_by_its_configuration() {
    let open = |case: &str| AnyCheckpoint::open(&fixture(case)).expect("a whole checkpoint");
    assert!(matches!(open("switch_capacity"), AnyCheckpoint::Pairs(_)));
    assert!(matches!(open("mixtral_base"), AnyCheckpoint::Text(_)));
}
