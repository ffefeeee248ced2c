//! Damaged checkpoints: 10,000 mutations, each an error or a correct load, never a panic, and never an
//! allocation out of proportion to the file.

mod counting;
mod fuzzing;

use burn::tensor::Device;
use counting::{Counting, largest};
use moe_checkpoint::{Precision, PublishedCheckpoint};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

/// The number of mutations, unless `MOE_FUZZ` says another for a long run.
const MUTATIONS: u64 = 10_000;

/// Memory of a small model's tables, whatever its file, and of the buffers that files are read into.
const SLACK: usize = 1 << 20;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONFIG: &str = r#"{"model_type": "mixtral", "vocab_size": 5, "hidden_size": 4, "intermediate_size": 3,
"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 2,
"num_experts_per_tok": 1, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "max_position_embeddings": 16,
"tie_word_embeddings": false, "sliding_window": null, "torch_dtype": "float32"}"#;

/// The tensors of that configuration, some in each type of weights.
fn tensors() -> Vec<(String, &'static str, Vec<usize>)> {
    let layer = "model.layers.0";
    let mut list = vec![
        ("model.embed_tokens.weight".to_owned(), "F32", vec![5, 4]),
        ("model.norm.weight".to_owned(), "F32", vec![4]),
        ("lm_head.weight".to_owned(), "BF16", vec![5, 4]),
        (format!("{layer}.input_layernorm.weight"), "F16", vec![4]),
        (
            format!("{layer}.post_attention_layernorm.weight"),
            "F32",
            vec![4],
        ),
        (
            format!("{layer}.self_attn.q_proj.weight"),
            "F32",
            vec![4, 4],
        ),
        (
            format!("{layer}.self_attn.k_proj.weight"),
            "F8_E4M3",
            vec![2, 4],
        ),
        (
            format!("{layer}.self_attn.k_proj.weight_scale_inv"),
            "F32",
            vec![1, 1],
        ),
        (
            format!("{layer}.self_attn.v_proj.weight"),
            "F32",
            vec![2, 4],
        ),
        (
            format!("{layer}.self_attn.o_proj.weight"),
            "F32",
            vec![4, 4],
        ),
        (
            format!("{layer}.block_sparse_moe.gate.weight"),
            "F32",
            vec![2, 4],
        ),
    ];
    for e in 0..2 {
        let expert = format!("{layer}.block_sparse_moe.experts.{e}");
        list.push((format!("{expert}.w1.weight"), "F32", vec![3, 4]));
        list.push((format!("{expert}.w2.weight"), "F32", vec![4, 3]));
        list.push((format!("{expert}.w3.weight"), "F32", vec![3, 4]));
    }
    list
}

/// A file of some of the tensors, all bytes 1.
fn file(tensors: &[(String, &'static str, Vec<usize>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut start = 0;
    for (name, dtype, shape) in tensors {
        let width = match *dtype {
            "F8_E4M3" => 1,
            "BF16" | "F16" => 2,
            _ => 4,
        };
        let end = start + width * shape.iter().product::<usize>();
        let info =
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), info);
        start = end;
    }
    let header = serde_json::Value::Object(header).to_string().into_bytes();
    let length = (header.len() as u64).to_le_bytes();
    [length.to_vec(), header, vec![1; start]].concat()
}

/// The files of a whole checkpoint: the configuration, and one file or two shards with an index.
fn checkpoint(sharded: bool) -> Vec<(&'static str, Vec<u8>)> {
    let all = tensors();
    let config = ("config.json", CONFIG.as_bytes().to_vec());
    if !sharded {
        return vec![config, ("model.safetensors", file(&all))];
    }
    let names = ["model-1.safetensors", "model-2.safetensors"];
    let (first, second) = all.split_at(9);
    let places = first
        .iter()
        .map(|t| (t, names[0]))
        .chain(second.iter().map(|t| (t, names[1])));
    let map: serde_json::Map<String, serde_json::Value> = places
        .map(|(tensor, shard)| (tensor.0.clone(), shard.into()))
        .collect();
    let index = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": map});
    vec![
        config,
        (
            "model.safetensors.index.json",
            index.to_string().into_bytes(),
        ),
        (names[0], file(first)),
        (names[1], file(second)),
    ]
}

/// Values that break things: sizes, types, paths, structure.
const TOKENS: &[&str] = &[
    "0",
    "-1",
    "1e309",
    "18446744073709551615",
    "9223372036854775807",
    "4294967296",
    "1048576",
    "null",
    "\"\"",
    "true",
    "[]",
    "{}",
    "\"../x\"",
    "\"/etc/passwd\"",
    "\"F64\"",
    "\"F8_E4M3\"",
    "\"I64\"",
    "NaN",
    "\"deepseek_v3\"",
    "1048577",
    "3",
    "2",
];

fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..7) {
        0 => bytes[at] = rng.random(),
        1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes.truncate(at),
        3 => bytes.extend_from_slice(&[0; 9][..rng.random_range(1..9)]),
        4 => {
            let head = at.min(7); // the length of the header
            bytes[head] = rng.random();
        }
        5 => {
            let end = (at + rng.random_range(1..20)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => replace_value(bytes, at, rng),
    }
}

/// Replaces what stands between a colon or comma and the next comma or brace.
fn replace_value(bytes: &mut Vec<u8>, at: usize, rng: &mut ChaCha8Rng) {
    let Some(start) = bytes[at..].iter().position(|b| b":,[".contains(b)) else {
        return;
    };
    let start = at + start + 1;
    let Some(length) = bytes[start..].iter().position(|b| b",}]".contains(b)) else {
        return;
    };
    let token = TOKENS[rng.random_range(0..TOKENS.len())];
    bytes.splice(start..start + length, token.bytes());
}

fn write(folder: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        // some file systems wait for the disk when a file is cut and written anew
        let _ = fs::remove_file(&path);
        fs::write(path, bytes).expect("a temporary file");
    }
}

#[test]
fn damaged_checkpoints_are_errors_or_whole() {
    let device = Device::flex();
    let single = tempfile::tempdir().expect("a temporary folder");
    let sharded = tempfile::tempdir().expect("a temporary folder");
    let load = |folder: &Path| {
        let checkpoint = PublishedCheckpoint::open(folder)?;
        checkpoint.load(Precision::F32, &device)
    };
    let wholes = [checkpoint(false), checkpoint(true)];
    for (folder, whole) in [single.path(), sharded.path()].into_iter().zip(&wholes) {
        write(folder, whole);
        load(folder).expect("the whole checkpoint loads");
    }

    let mut loaded = 0;
    let n = fuzzing::mutations(MUTATIONS);
    for seed in 0..n {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let is_sharded = seed % 2 == 1;
        let folder = if is_sharded {
            sharded.path()
        } else {
            single.path()
        };
        let whole = &wholes[usize::from(is_sharded)];
        let victim = rng.random_range(0..whole.len());
        let mut bytes = whole[victim].1.clone();
        for _ in 0..rng.random_range(1..4) {
            mutate(&mut bytes, &mut rng);
        }
        write(folder, &[(whole[victim].0, bytes.clone())]);
        let size: usize = whole.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + bytes.len();
        let (read, largest) = largest(|| load(folder));
        match read {
            Ok(_) => loaded += 1,
            Err(error) => assert!(!error.to_string().is_empty(), "seed {seed}"),
        }
        assert!(
            largest <= 2 * size + SLACK,
            "seed {seed}: {largest} bytes for {size}"
        );
        write(folder, &[(whole[victim].0, whole[victim].1.clone())]);
    }
    // damage to values alone is not visible, so some load
    assert!((1..n / 2).contains(&loaded), "{loaded} loaded");
}
