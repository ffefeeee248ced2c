//! What is accepted as a checkpoint, and what is refused with the names of file and tensor.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use moe_checkpoint::published::{
    KNOWN_MODELS, KNOWN_SWITCH_MODELS, PublishedConfig, PublishedSwitch,
};
use moe_checkpoint::{
    CheckpointError, HostValues, Layout, Precision, PublishedCheckpoint, PublishedFamily,
    read_tensors,
};
use moe_models::{AnyDecoder, Decoder, DecoderInput};
use moe_router::AnyRouter;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(case)
}

#[derive(Clone)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

type Tensors = BTreeMap<String, Stored>;

/// All tensors of a fixture.
fn tensors(case: &str) -> Tensors {
    let mut all = Tensors::new();
    for file in fs::read_dir(fixture(case)).expect("a fixture") {
        let path = file.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if !(name.starts_with("model") && name.ends_with(".safetensors")) {
            continue;
        }
        let bytes = fs::read(&path).expect("the file");
        for (name, view) in SafeTensors::deserialize(&bytes).expect("tensors").tensors() {
            let (dtype, shape) = (view.dtype(), view.shape().to_vec());
            let bytes = view.data().to_vec();
            all.insert(
                name,
                Stored {
                    dtype,
                    shape,
                    bytes,
                },
            );
        }
    }
    all
}

/// A checkpoint of a fixture's configuration with these tensors in one file.
fn checkpoint(case: &str, tensors: &Tensors) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(
        fixture(case).join("config.json"),
        folder.path().join("config.json"),
    )
    .expect("a copy");
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
        (name, view.expect("a tensor"))
    });
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).expect("a file");
    folder
}

fn error(case: &str, tensors: &Tensors) -> CheckpointError {
    let folder = checkpoint(case, tensors);
    PublishedCheckpoint::open(folder.path()).expect_err("it is refused")
}

fn logits(folder: &Path) -> Vec<f32> {
    let device = Device::flex();
    let checkpoint = PublishedCheckpoint::open(folder).expect("a checkpoint");
    let model = checkpoint.load(Precision::F32, &device).expect("a model");
    let tokens = Tensor::<2, Int>::from_data([[5, 6, 7, 8, 9, 10, 11]], &device);
    let logits = model.forward(DecoderInput::new(tokens)).logits;
    logits.into_data().try_into_vec().expect("f32 logits")
}

const GATE: &str = "model.layers.1.block_sparse_moe.gate.weight";

#[test]
fn missing_left_over_misshapen_and_mistyped_tensors_are_named() {
    let whole = tensors("mixtral_base");
    let mut missing = whole.clone();
    missing.remove(GATE);
    assert!(
        matches!(error("mixtral_base", &missing), CheckpointError::Missing { tensor, .. } if tensor == GATE)
    );

    let mut extra = whole.clone();
    extra.insert("model.layers.2.x".to_owned(), whole[GATE].clone());
    assert!(
        matches!(error("mixtral_base", &extra), CheckpointError::Extra { tensor, .. } if tensor == "model.layers.2.x")
    );

    let mut misshapen = whole.clone();
    let gate = misshapen.get_mut(GATE).expect("the gate");
    gate.shape.reverse(); // as many elements, transposed
    let text = error("mixtral_base", &misshapen).to_string();
    assert!(
        text.contains(GATE) && text.contains("[32, 4]") && text.contains("[4, 32]"),
        "{text}"
    );
    assert!(text.contains("model.safetensors"), "{text}");

    let mut mistyped = whole.clone();
    mistyped.get_mut(GATE).expect("the gate").dtype = Dtype::I32;
    assert!(
        matches!(error("mixtral_base", &mistyped), CheckpointError::Dtype { tensor, .. } if tensor == GATE)
    );
}

#[test]
fn old_rotary_frequencies_are_passed_over() {
    let mut tensors = tensors("mixtral_base");
    let any = tensors[GATE].clone();
    tensors.insert(
        "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(),
        any,
    );
    let folder = checkpoint("mixtral_base", &tensors);
    PublishedCheckpoint::open(folder.path()).expect("a checkpoint");
}

#[test]
fn copies_must_be_copies() {
    let mut tied = tensors("mixtral_swa");
    let embedding = tied["model.embed_tokens.weight"].clone();
    tied.insert("lm_head.weight".to_owned(), embedding);
    let folder = checkpoint("mixtral_swa", &tied);
    PublishedCheckpoint::open(folder.path()).expect("a copy of the embedding may be there");
    tied.get_mut("lm_head.weight").expect("the head").bytes[0] ^= 1;
    assert!(
        matches!(error("mixtral_swa", &tied), CheckpointError::NotACopy { tensor, .. } if tensor == "lm_head.weight")
    );

    let name = "model.layers.2.shared_head.head.weight";
    let mut further = tensors("dsv3_mtp");
    further.get_mut(name).expect("the copy").bytes[5] ^= 1;
    assert!(
        matches!(error("dsv3_mtp", &further), CheckpointError::NotACopy { tensor, .. } if tensor == name)
    );
}

#[test]
fn modules_that_predict_further_may_be_left_out_whole() {
    let mut tensors = tensors("dsv3_mtp");
    let whole = logits(&fixture("dsv3_mtp"));
    tensors.remove("model.layers.2.embed_tokens.weight");
    tensors.remove("model.layers.2.shared_head.head.weight");
    assert_eq!(logits(checkpoint("dsv3_mtp", &tensors).path()), whole);
    tensors.retain(|name, _| !name.starts_with("model.layers.2."));
    assert_eq!(logits(checkpoint("dsv3_mtp", &tensors).path()), whole);
    let kept = "model.layers.2.enorm.weight";
    tensors.insert(kept.to_owned(), self::tensors("dsv3_mtp")[kept].clone());
    assert!(matches!(
        error("dsv3_mtp", &tensors),
        CheckpointError::Missing { .. }
    ));
}

/// The numbers of a tensor in f32.
fn floats(stored: &Stored) -> Vec<f32> {
    let words = stored.bytes.as_chunks().0.iter();
    words.map(|word| f32::from_le_bytes(*word)).collect()
}

/// The scores of the rows of a residual stream: RMS norm, then the head, each in f64.
fn scores(stream: &[f32], tensors: &Tensors, eps: f64) -> Vec<f64> {
    let (gamma, head) = (
        floats(&tensors["model.norm.weight"]),
        floats(&tensors["lm_head.weight"]),
    );
    let width = gamma.len();
    let of_row = |row: &[f32]| -> Vec<f64> {
        let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
        let rms = (squares / width as f64 + eps).sqrt();
        let normed: Vec<f64> = row
            .iter()
            .zip(&gamma)
            .map(|(x, g)| f64::from(*x) / rms * f64::from(*g))
            .collect();
        let scores = head.chunks(width).map(|weights| {
            let products = normed.iter().zip(weights);
            products.map(|(x, w)| x * f64::from(*w)).sum()
        });
        scores.collect()
    };
    stream.chunks(width).flat_map(of_row).collect()
}

/// The stream before the first mixture is the reference's own, `hidden.1` of the goldens of the whole model.
#[test]
fn a_model_cut_to_its_dense_layers_runs_as_the_reference() {
    for case in [
        "dsv1_seqaux",
        "dsv2_group_q",
        "dsv2_lite_greedy_noq",
        "dsv3_groups_yarn",
        "dsv3_mtp",
    ] {
        let mut tensors = tensors(case);
        let is_cut = |name: &str| name.starts_with("model.layers.");
        tensors.retain(|name, _| !is_cut(name) || name.starts_with("model.layers.0."));
        let folder = checkpoint(case, &tensors);
        let path = folder.path().join("config.json");
        let text = fs::read(&path).expect("the configuration");
        let mut config: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(config["first_k_dense_replace"], 1, "{case}");
        config["num_hidden_layers"] = 1.into();
        fs::write(&path, config.to_string()).expect("the configuration");

        let device = Device::flex();
        let cut = PublishedCheckpoint::open(folder.path()).expect("a dense model");
        let model = cut.load(Precision::F32, &device).expect("a dense model");
        assert_eq!((model.n_layers(), model.n_moe_layers()), (1, 0), "{case}");
        let goldens = read_tensors(&fixture(case).join("goldens.safetensors")).expect("goldens");
        let (ids, hidden) = (&goldens["input_ids"], &goldens["hidden.1"]);
        let (HostValues::Ints(tokens), HostValues::Floats(stream)) = (&ids.values, &hidden.values)
        else {
            panic!("{case}: ids, and numbers");
        };
        let shape = [ids.shape[0], ids.shape[1]];
        let tokens = TensorData::new(tokens.clone(), shape);
        let tokens = Tensor::<2, Int>::from_data(tokens, &device);
        let logits = model.forward(DecoderInput::new(tokens)).logits;
        let logits: Vec<f32> = logits.into_data().try_into_vec().expect("f32 logits");
        let eps = config["rms_norm_eps"].as_f64().expect("a number");
        let expected = scores(stream, &tensors, eps);
        assert_eq!(logits.len(), expected.len(), "{case}");
        for (ours, theirs) in logits.iter().zip(&expected) {
            let error = (f64::from(*ours) - theirs).abs();
            assert!(error < 1e-4, "{case}: {ours}, not {theirs}");
        }
    }
}

/// The experts of a layer as transformers 5 fuses them: gate rows, then up rows.
fn fuse(tensors: &mut Tensors, from: &str, to: &str, names: [&str; 3], n_experts: usize) {
    let mut take = |e: usize, name: &str| {
        let name = format!("{from}.experts.{e}.{name}.weight");
        tensors.remove(&name).expect("an expert's matrix")
    };
    let (mut gate_up, mut down) = (Vec::new(), Vec::new());
    let mut shapes = (Vec::new(), Vec::new());
    for e in 0..n_experts {
        let gate = take(e, names[0]);
        gate_up.extend(gate.bytes);
        gate_up.extend(take(e, names[1]).bytes);
        let matrix = take(e, names[2]);
        down.extend(matrix.bytes);
        shapes = (
            vec![n_experts, 2 * gate.shape[0], gate.shape[1]],
            vec![n_experts, matrix.shape[0], matrix.shape[1]],
        );
    }
    let dtype = Dtype::F32;
    let fused = [
        ("gate_up_proj", shapes.0, gate_up),
        ("down_proj", shapes.1, down),
    ];
    for (name, shape, bytes) in fused {
        tensors.insert(
            format!("{to}.experts.{name}"),
            Stored {
                dtype,
                shape,
                bytes,
            },
        );
    }
}

#[test]
fn fused_experts_are_the_same_model() {
    let mut mixtral = tensors("mixtral_base");
    for layer in 0..2 {
        let layer = format!("model.layers.{layer}");
        let (from, to) = (format!("{layer}.block_sparse_moe"), format!("{layer}.mlp"));
        fuse(&mut mixtral, &from, &to, ["w1", "w3", "w2"], 4);
        let gate = mixtral
            .remove(&format!("{from}.gate.weight"))
            .expect("the gate");
        mixtral.insert(format!("{to}.gate.weight"), gate);
    }
    let folder = checkpoint("mixtral_base", &mixtral);
    assert_eq!(logits(folder.path()), logits(&fixture("mixtral_base")));

    let mut deepseek = tensors("dsv3_groups_yarn");
    for layer in 1..3 {
        let mlp = format!("model.layers.{layer}.mlp");
        fuse(
            &mut deepseek,
            &mlp,
            &mlp,
            ["gate_proj", "up_proj", "down_proj"],
            8,
        );
    }
    let folder = checkpoint("dsv3_groups_yarn", &deepseek);
    assert_eq!(logits(folder.path()), logits(&fixture("dsv3_groups_yarn")));
}

#[test]
fn the_bias_of_the_choice_keeps_32_bits() {
    let device = Device::flex();
    let folder = fixture("dsv3_groups_yarn");
    let checkpoint = PublishedCheckpoint::open(&folder).expect("a checkpoint");
    let bias_and_gate = |precision| {
        let model = checkpoint.load(precision, &device).expect("a model");
        let AnyDecoder::DeepSeek(model) = model else {
            panic!("a DeepSeek");
        };
        let experts = model.layers[1].feed_forward.experts().expect("a mixture");
        match &experts.router {
            AnyRouter::DeepSeekV3(router) => [
                router.bias.val().into_data(),
                router.gate.weight.val().into_data(),
            ],
            _ => panic!("the published router"),
        }
    };
    let [whole, _] = bias_and_gate(Precision::F32);
    for (precision, dtype) in [(Precision::Bf16, DType::BF16), (Precision::F16, DType::F16)] {
        let [bias, gate] = bias_and_gate(precision);
        bias.assert_eq(&whole, true);
        assert_eq!(gate.dtype(), dtype);
    }
}

#[test]
fn files_cut_short_are_damaged() {
    let folder = checkpoint("mixtral_base", &tensors("mixtral_base"));
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).expect("the file");
    for length in [0, 7, 8, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).expect("a shorter file");
        let error = PublishedCheckpoint::open(folder.path()).expect_err("it is cut");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
    // a header said to be larger than the file
    let huge = [&u64::MAX.to_le_bytes()[..], &bytes[8..]].concat();
    fs::write(&path, huge).expect("a file");
    let error = PublishedCheckpoint::open(folder.path()).expect_err("it is damaged");
    assert!(matches!(error, CheckpointError::Damaged { .. }), "{error}");
}

#[test]
fn an_index_cannot_lead_outside_its_folder() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let source = fixture("mixtral_base");
    let folder = outside.path().join("checkpoint");
    fs::create_dir(&folder).expect("a folder");
    for file in fs::read_dir(&source).expect("a fixture") {
        let path = file.expect("a file").path();
        fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("a copy");
    }
    let shard = "model-00001-of-00003.safetensors";
    fs::rename(folder.join(shard), outside.path().join(shard)).expect("the shard outside");
    let index = folder.join("model.safetensors.index.json");
    let text = fs::read_to_string(&index).expect("the index");
    let absolute = outside.path().join(shard).display().to_string();
    for place in [format!("../{shard}"), format!("x/../../{shard}"), absolute] {
        fs::write(&index, text.replace(shard, &place)).expect("the index");
        let error = PublishedCheckpoint::open(&folder).expect_err("it leads outside");
        assert!(error.to_string().contains("outside the folder"), "{error}");
    }
}

/// As download caches keep checkpoints: a folder of links to files that are elsewhere.
#[cfg(unix)]
#[test]
fn links_are_followed_one_file_or_shards_alike() {
    for case in ["mixtral_base", "mixtral_swa"] {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let (blobs, folder) = (cache.path().join("blobs"), cache.path().join("snapshots/1"));
        fs::create_dir(&blobs).expect("a folder");
        fs::create_dir_all(&folder).expect("a folder");
        for (i, file) in fs::read_dir(fixture(case)).expect("a fixture").enumerate() {
            let path = file.expect("a file").path();
            fs::copy(&path, blobs.join(i.to_string())).expect("a copy");
            let link = folder.join(path.file_name().expect("a name"));
            std::os::unix::fs::symlink(format!("../../blobs/{i}"), link).expect("a link");
        }
        assert_eq!(logits(&folder), logits(&fixture(case)));
    }
}

/// Opening a pipe for reading would wait for somebody who writes to it.
#[cfg(unix)]
#[test]
fn pipes_are_refused_and_do_not_hang() {
    let pipe = |folder: &Path, name: &str| {
        let path = folder.join(name);
        fs::remove_file(&path).expect("a file");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo").success());
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in fs::read_dir(fixture("mixtral_base")).expect("a fixture") {
        let path = file.expect("a file").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("a name"))).expect("a copy");
    }
    for name in ["model-00002-of-00003.safetensors", "config.json"] {
        pipe(folder.path(), name);
        let error = PublishedCheckpoint::open(folder.path()).expect_err("a pipe");
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("not an ordinary file"),
            "{text}"
        );
    }
}

/// As below, of the Switch Transformer.
#[test]
fn the_list_of_switch_tensors_is_a_bijection() {
    let fixtures = ["switch_capacity", "switch_untied_all_sparse"];
    let fixtures = fixtures.map(|case| PublishedSwitch::read(&fixture(case).join("config.json")));
    let known = KNOWN_SWITCH_MODELS
        .iter()
        .filter_map(|name| PublishedSwitch::known(name));
    for config in fixtures
        .into_iter()
        .map(|config| config.expect("a configuration"))
        .chain(known)
    {
        let (mut names, mut places) = (HashSet::new(), HashSet::new());
        let mut total = 0;
        for entry in config.entries() {
            total += entry.n_elements();
            assert!(names.insert(entry.name.clone()), "{}", entry.name);
            let place = (entry.parameter, entry.slot);
            assert!(places.insert(place), "{}", entry.name);
        }
        assert_eq!(total, config.account(16).params_total, "{config:?}");
    }
}

/// Every published name once, every place in our model once: with the shapes, a bijection.
#[test]
fn the_list_of_tensors_is_a_bijection() {
    let fixtures = [
        "mixtral_swa",
        "olmoe_clip_gqa",
        "qwen3_sparse_step_tied",
        "llama_base",
        "dsv1_norm_batchaux_freq2",
        "dsv2_group_q",
        "dsv3_mtp",
    ];
    let fixtures = fixtures.map(|case| PublishedConfig::read(&fixture(case).join("config.json")));
    let known = KNOWN_MODELS
        .iter()
        .filter_map(|name| PublishedConfig::known(name));
    for config in fixtures
        .into_iter()
        .map(|config| config.expect("a configuration"))
        .chain(known)
    {
        let (mut names, mut places) = (HashSet::new(), HashSet::new());
        let mut total = 0;
        for entry in Layout::new(&config).entries() {
            total += entry.n_elements();
            assert!(
                places.insert((entry.parameter, entry.slot)),
                "{}",
                entry.name
            );
            assert!(names.insert(entry.name.clone()), "{}", entry.name);
        }
        let account = config.account(16);
        assert_eq!(
            total,
            account.params_total + account.params_mtp,
            "{}",
            config.model_type()
        );
    }
}
