//! Damaged configurations and tokenizers: each an error or something that works, never a panic.

mod fuzzing;

use burn::tensor::Device;
use fuzzing::{mutate_bytes, mutate_json, mutations};
use moe_checkpoint::published::{PublishedConfig, PublishedSwitch, PublishedVmoe};
use moe_checkpoint::{AnyCheckpoint, Precision, PublishedTokenizer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Fixtures of every family.
const CASES: [&str; 12] = [
    "mixtral_swa",
    "olmoe_base",
    "qwen3_sparse_step_tied",
    "llama_base",
    "dsv1_norm_batchaux_freq2",
    "dsv2_group_q",
    "dsv3_fp8",
    "dsv3_mtp",
    "switch_capacity",
    "experts_choose",
    "softmoe_bf16_ref",
    "vmoe_last1_noise_bpr_drop",
];

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(case)
}

/// Runs each seed and returns how many gave a result; a panic fails with its seed.
fn run(n: u64, mut attempt: impl FnMut(u64, &mut ChaCha8Rng) -> bool) -> u64 {
    let mut n_good = 0;
    for seed in 0..n {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let good = catch_unwind(AssertUnwindSafe(|| attempt(seed, &mut rng)));
        n_good += u64::from(good.unwrap_or_else(|_| panic!("seed {seed} panics")));
    }
    n_good
}

/// Counts a configuration, as `moe inspect` does.
fn count(text: &[u8], model_type: Option<&str>) -> bool {
    let path = Path::new("config.json");
    match model_type {
        Some(PublishedSwitch::MODEL_TYPE) => {
            PublishedSwitch::parse(text, path).is_ok_and(|config| {
                let is_countable = config.check_counts(512, path).is_ok();
                is_countable && config.account(512).params_total > 0
            })
        }
        None => PublishedVmoe::parse(text, path).is_ok_and(|config| config.model().n_tokens() > 0),
        Some(_) => PublishedConfig::parse(text, path).is_ok_and(|config| {
            let is_countable = config.check(512, path).is_ok();
            is_countable && config.account(512).params_total > 0
        }),
    }
}

#[test]
fn damaged_configurations_are_errors_or_models() {
    let device = Device::flex();
    let n = mutations(4_000);
    let folders: Vec<(tempfile::TempDir, Value)> = CASES
        .iter()
        .map(|case| {
            let folder = tempfile::tempdir().expect("a folder");
            let weights = "model.safetensors";
            fs::copy(fixture(case).join(weights), folder.path().join(weights)).expect("a copy");
            let text = fs::read(fixture(case).join("config.json")).expect("a configuration");
            (folder, serde_json::from_slice(&text).expect("JSON"))
        })
        .collect();
    let n_good = run(n, |seed, rng| {
        let (folder, config) = &folders[seed as usize % folders.len()];
        let mut config = config.clone();
        let model_type = config["model_type"].as_str().map(str::to_owned);
        for _ in 0..rng.random_range(1..3) {
            mutate_json(&mut config, rng);
        }
        let mut text = config.to_string().into_bytes();
        if rng.random_range(0..4) == 0 {
            mutate_bytes(&mut text, rng);
        }
        count(&text, model_type.as_deref());
        let path = folder.path().join("config.json");
        let _ = fs::remove_file(&path);
        fs::write(&path, &text).expect("a configuration");
        let loaded = AnyCheckpoint::open(folder.path()).and_then(|checkpoint| {
            let precision = Precision::F32;
            match checkpoint {
                AnyCheckpoint::Text(checkpoint) => checkpoint.load(precision, &device).map(drop),
                AnyCheckpoint::Pairs(checkpoint) => checkpoint.load(precision, &device).map(drop),
                AnyCheckpoint::Images(checkpoint) => checkpoint.load(precision, &device).map(drop),
            }
        });
        match loaded {
            Ok(()) => true,
            Err(error) => {
                let error = error.to_string();
                assert!(!error.contains("bug in moe"), "seed {seed}: {error}");
                false
            }
        }
    });
    assert!((1..n).contains(&n_good), "{n_good} of {n} load");
}

/// Tokenizers of every kind of model, with the parts around it.
fn tokenizers() -> Vec<Value> {
    let around = |model: Value, parts: [Value; 3]| {
        let [pre_tokenizer, post_processor, decoder] = parts;
        json!({"version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [{"id": 0, "content": "<pad>", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder,
            "model": model})
    };
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": true});
    let template = json!({"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<pad>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<pad>": {"id": "<pad>", "ids": [0], "tokens": ["<pad>"]}}});
    let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always",
        "split": true});
    let bpe = json!({"type": "BPE", "dropout": null, "unk_token": "<pad>",
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
        "byte_fallback": false, "ignore_merges": false,
        "vocab": {"<pad>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5},
        "merges": [["a", "b"], ["ab", "c"]]});
    let unigram = json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
        "vocab": [["<pad>", 0.0], ["\u{2581}", -1.0], ["a", -2.0], ["b", -2.5], ["ab", -3.0]]});
    let word_piece = json!({"type": "WordPiece", "unk_token": "<pad>",
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": {"<pad>": 0, "a": 1, "##b": 2}});
    let word_level = json!({"type": "WordLevel", "unk_token": "<pad>",
        "vocab": {"<pad>": 0, "ab": 1, "abc": 2}});
    vec![
        around(bpe, [byte_level.clone(), template.clone(), byte_level]),
        around(unigram, [metaspace.clone(), Value::Null, metaspace]),
        around(
            word_piece,
            [
                json!({"type": "BertPreTokenizer"}),
                json!({"type": "BertProcessing", "sep": ["<pad>", 0], "cls": ["<pad>", 0]}),
                json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
            ],
        ),
        around(
            word_level,
            [
                json!({"type": "WhitespaceSplit"}),
                template,
                json!({"type": "Sequence", "decoders": [{"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
            ],
        ),
    ]
}

#[test]
fn damaged_tokenizers_are_errors_or_tokenizers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenizer.json");
    let use_it = |text: &[u8]| {
        let _ = fs::remove_file(&path);
        fs::write(&path, text).expect("a file");
        let Ok(Some(tokenizer)) = PublishedTokenizer::read(folder.path()) else {
            return false;
        };
        let ids = tokenizer.encode("ab abc <pad> \u{e9}");
        let mut stream = tokenizer.stream();
        for id in ids.unwrap_or_default().into_iter().chain([0, 3, 99]) {
            stream.push(id);
        }
        stream.finish();
        true
    };
    let wholes = tokenizers();
    for whole in &wholes {
        assert!(use_it(whole.to_string().as_bytes()), "{whole}");
    }
    // the library takes for granted that a decoder is JSON
    assert!(!use_it(br#"{"version":"1.0","decoder":{"type"}}"#));
    let n = mutations(6_000);
    let n_good = run(n, |seed, rng| {
        let mut tokenizer = wholes[seed as usize % wholes.len()].clone();
        for _ in 0..rng.random_range(0..3) {
            mutate_json(&mut tokenizer, rng);
        }
        let mut text = tokenizer.to_string().into_bytes();
        if rng.random_range(0..2) == 0 {
            mutate_bytes(&mut text, rng);
        }
        use_it(&text)
    });
    assert!((1..n).contains(&n_good), "{n_good} of {n} are tokenizers");
}
