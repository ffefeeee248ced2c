//! GGUF files that the library of llama.cpp's converter wrote hold the published checkpoints that they were made of.

use burn::tensor::Device;
use moe_checkpoint::gguf::{BlockType, SUPER_BLOCK};
use moe_checkpoint::{
    AnyCheckpoint, CheckpointError, HostValues, Precision, PublishedCheckpoint, PublishedTokenizer,
    read_tensors,
};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(name)
}

fn gguf(name: &str) -> PathBuf {
    fixture("gguf").join(format!("{name}.gguf"))
}

const CASES: [&str; 6] = [
    "llama_base",
    "mixtral_base",
    "dsv2_group_q",
    "dsv3_mtp",
    "qwen3_base",
    "olmoe_clip_gqa",
];

#[test]
fn models_and_tensors_are_the_published_ones() {
    let device = Device::flex();
    for case in CASES {
        let open = |path: PathBuf| PublishedCheckpoint::open(&path).expect(case);
        let (theirs, ours) = (open(fixture(case)), open(gguf(case)));
        let model = |checkpoint: &PublishedCheckpoint| format!("{:#?}", checkpoint.model());
        assert_eq!(model(&ours), model(&theirs), "{case}");
        assert_eq!(ours.ends(), theirs.ends(), "{case}");
        assert_eq!(ours.config().common().unread, [""; 0], "{case}");
        for entry in theirs.layout().entries() {
            let values = |checkpoint: &PublishedCheckpoint| {
                let read = checkpoint.tensor(&entry.name, &device);
                read.expect("a tensor").expect("it is there")
            };
            assert_eq!(values(&ours), values(&theirs), "{case}: {}", entry.name);
        }
        ours.load(Precision::F32, &device).expect("the model loads");
    }
}

#[test]
fn a_file_is_converted_there_and_back() {
    let device = Device::flex();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let checkpoint = AnyCheckpoint::open(&gguf("llama_base")).expect("a whole file");
    let written = checkpoint.to_native(&at("ours"), &device);
    assert!(written.expect("it is written").copied.is_empty());
    let native = PublishedCheckpoint::open(&at("ours")).expect("our files");
    native
        .rewrite(&at("again"), &device)
        .expect("published files");
    let again = read_tensors(&at("again/model.safetensors")).expect("tensors");
    let original = read_tensors(&fixture("llama_base/model.safetensors")).expect("tensors");
    assert_eq!(again, original);
}

#[test]
fn blocks_are_decoded_as_the_reference_does() {
    let tensors = read_tensors(&fixture("gguf/blocks.safetensors")).expect("the blocks");
    for kind in BlockType::ALL
        .into_iter()
        .filter(|kind| kind.n_values() > 1)
    {
        let of = |what: &str| &tensors[&format!("{}.{what}", kind.name())].values;
        let (HostValues::Ints(bytes), HostValues::Floats(expected)) = (of("bytes"), of("values"))
        else {
            panic!("bytes and numbers");
        };
        let bytes: Vec<u8> = bytes.iter().map(|byte| *byte as u8).collect();
        let mut values = vec![0.0; 4 * kind.n_values()];
        kind.decode(&bytes, &mut values);
        assert!(values.len() <= 4 * SUPER_BLOCK);
        assert_eq!(&values, expected, "{}", kind.name());
    }
}

#[test]
fn vocabularies_give_the_ids_of_the_libraries_that_learned_them() {
    let text = fs::read(fixture("gguf/vocabularies.json")).expect("the ids");
    let expected: Value = serde_json::from_slice(&text).expect("it is JSON");
    let texts: Vec<&str> = expected["texts"]
        .as_array()
        .expect("texts")
        .iter()
        .flat_map(Value::as_str)
        .collect();
    for (name, ids) in expected["ids"].as_object().expect("ids by vocabulary") {
        let read = PublishedTokenizer::read(&gguf(&format!("vocabulary_{name}")));
        let tokenizer = read.expect("a vocabulary").expect("it is there");
        for (text, ids) in texts.iter().zip(ids.as_array().expect("ids by text")) {
            let found = tokenizer.encode(text).expect("a text");
            assert_eq!(serde_json::json!(found), *ids, "{name}: {text:?}");
            let plain = text.replace("<|end|>", if name == "llama" { "<|end|>" } else { "" });
            assert_eq!(tokenizer.decode(&found), plain, "{name}");
        }
    }
}

/// A copy of a file with some of its text replaced by as many bytes.
fn changed(case: &str, from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(gguf(case)).expect("the file");
    let windows = bytes.windows(from.len());
    let at: Vec<usize> = windows
        .enumerate()
        .filter(|(_, w)| *w == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in at {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.gguf");
    fs::write(&path, bytes).expect("a copy");
    (folder, path)
}

#[test]
fn what_is_not_read_is_named() {
    let cases = [
        (
            "llama",
            "gemma",
            "the architecture is \"gemma\"; those that are read from GGUF files are llama",
        ),
        (
            "token_embd.weight",
            "token_embd.height",
            "no matrix token_embd.weight",
        ),
        (
            "blk.0.attn_q.weight",
            "blk.0.attn_q.weighs",
            "lacks the tensor model.layers.0.self_attn.q_proj.weight",
        ),
        (
            "attention.head_count",
            "attention.head_counX",
            "num_attention_heads",
        ),
    ];
    for (from, to, expected) in cases {
        let (_folder, path) = changed("llama_base", from, to);
        let error = AnyCheckpoint::open(&path).expect_err(expected).to_string();
        assert!(
            error.contains("x.gguf") && error.contains(expected),
            "{error}"
        );
    }
    let (_folder, path) = changed("llama_base", "llama.vocab_size", "llama.vocab_kind");
    let checkpoint = AnyCheckpoint::open(&path).expect("a key more");
    assert_eq!(checkpoint.unread(), ["vocab_kind"]);
}

#[test]
fn vocabularies_that_are_not_read_are_named() {
    let cases = [
        (
            "smollm",
            "smollx",
            "is \"smollx\", and those that are read are default",
        ),
        ("gpt2", "bert", "tokenizer.ggml.model is bert"),
    ];
    for (from, to, expected) in cases {
        let (_folder, path) = changed("vocabulary_smollm", from, to);
        let error = PublishedTokenizer::read(&path).expect_err(expected);
        assert!(matches!(error, CheckpointError::Gguf(_)));
        let error = error.to_string();
        assert!(
            error.contains("moe convert") && error.contains(expected),
            "{error}"
        );
    }
    assert!(
        PublishedTokenizer::read(&gguf("llama_base"))
            .expect("a file")
            .is_none()
    );
}
