//! Damaged traces: mutations of the words, the header and the numbers, each an error or a right answer, never a panic.
//!
//! `MOE_FUZZ=N` makes N mutations instead of some hundred.

#![allow(clippy::unwrap_used)]

#[path = "../../moe-checkpoint/tests/fuzzing/mod.rs"]
mod fuzzing;

use fuzzing::{mutate_bytes, mutate_json, mutations};
use moe_checkpoint::trace::{LayerChunk, TraceChunk, TraceMeta, TraceReader, TraceWriter};
use moe_lab::analyze::CommunicationOptions;
use moe_lab::trace::{AgreeOptions, CheckOptions, ShowOptions, agree, check, show};
use moe_router::TokenChoice;
use moe_router::parts::{ExpertGroups, GroupScore, Normalise, Score};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

const N_TOKENS: usize = 24;
const N_EXPERTS: usize = 8;

/// Two layers with all that a trace may hold.
fn write(path: &Path) {
    let number = |i: usize| i * 7 % 11;
    let layer = |seed: usize| LayerChunk {
        width: 2,
        n_experts: N_EXPERTS,
        experts: (0..N_TOKENS)
            .flat_map(|t| [(t + seed) % 8, (t + seed + 1) % 8])
            .map(|e| e as i32)
            .collect(),
        weights: Some(vec![0.5; 2 * N_TOKENS]),
        kept: Some((0..2 * N_TOKENS).map(|i| number(i) != 3).collect()),
        logits: Some(
            (0..N_TOKENS * N_EXPERTS)
                .map(|i| number(i) as f32 / 4.0)
                .collect(),
        ),
    };
    let groups = ExpertGroups {
        n_groups: 4,
        topk_groups: 2,
        score: GroupScore::TopTwoSum,
    };
    let meta = TraceMeta {
        n_experts: N_EXPERTS,
        d_model: Some(16),
        labels: vec!["law".to_owned(), "prose".to_owned()],
        rule: Some(TokenChoice {
            normalise: Normalise::Sum,
            groups: Some(groups),
            capacity: Some(4),
            ..TokenChoice::new(2, Score::Sigmoid)
        }),
        ..TraceMeta::default()
    };
    let mut writer = TraceWriter::new(path, meta);
    writer.set_biases(vec![Some(vec![-0.25; N_EXPERTS]), None]);
    writer
        .add(&TraceChunk {
            n_tokens: N_TOKENS,
            tokens: Some((0..N_TOKENS as u32).map(|t| t % 5).collect()),
            labels: Some((0..N_TOKENS as i32).map(|t| t % 3 - 1).collect()),
            mask: Some((0..N_TOKENS).map(|t| t % 8 != 7).collect()),
            group: Some((0..N_TOKENS as u32).map(|t| t / 8).collect()),
            layers: vec![layer(0), layer(3)],
            ..TraceChunk::default()
        })
        .unwrap();
    writer.finish().unwrap();
}

/// A damaged copy: of the header as JSON, with its length or without, or of any bytes.
fn damaged(whole: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let (header, data) = whole[8..].split_at(length);
    if rng.random_range(0..3) == 0 {
        let mut bytes = whole.to_vec();
        mutate_bytes(&mut bytes, rng);
        return bytes;
    }
    let mut json: serde_json::Value = serde_json::from_slice(header).unwrap();
    mutate_json(&mut json, rng);
    let mut header = json.to_string().into_bytes();
    if rng.random_range(0..8) == 0 {
        mutate_bytes(&mut header, rng);
    }
    let mut data = data.to_vec();
    if rng.random_range(0..2) == 0 {
        mutate_bytes(&mut data, rng);
    }
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// The kept assignments of each expert of each layer, counted plainly.
fn counted(reader: &TraceReader) -> Vec<Vec<f64>> {
    let mut counts = vec![vec![0.0; reader.meta().n_experts]; reader.layers().len()];
    for chunk in reader.chunks() {
        let chunk = chunk.unwrap();
        for t in (0..chunk.n_tokens).filter(|&t| !chunk.is_padding(t)) {
            for (counts, layer) in counts.iter_mut().zip(&chunk.layers) {
                for (k, &expert) in layer.row(t).iter().enumerate() {
                    if expert >= 0 && layer.is_kept(t, k) {
                        counts[expert as usize] += 1.0;
                    }
                }
            }
        }
    }
    counts
}

#[test]
fn a_damaged_trace_is_an_error_or_a_right_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (sound, path) = (
        folder.path().join("a.safetensors"),
        folder.path().join("b.safetensors"),
    );
    write(&sound);
    let whole = fs::read(&sound).unwrap();
    let own = TraceReader::open(&sound).unwrap();
    let options = ShowOptions {
        communication: Some(CommunicationOptions {
            worlds: vec![2, 4],
            per_node: 2,
            element_bytes: 2,
            tokens_per_rank: None,
            links: None,
            flops: None,
        }),
        d_model: None,
        n_threads: 2,
    };
    let beside = AgreeOptions {
        any_ties: false,
        most: 1000,
        rounding: 1e-4,
        tolerance: 5e-5,
        is_causal: true,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut n_refused, mut n_shown) = (0, 0);
    for _ in 0..mutations(400) {
        fs::write(&path, damaged(&whole, &mut rng)).unwrap();
        let Ok(reader) = TraceReader::open(&path) else {
            n_refused += 1;
            continue;
        };
        let found = check(&reader, &CheckOptions::default()).unwrap();
        assert_eq!(found.laws.len(), 14);
        let _ = agree(&own, &reader, &beside);
        if let Ok(shown) = show(&reader, &options) {
            n_shown += 1;
            let computed = shown.layers.iter().map(|layer| layer.computed.clone());
            assert_eq!(computed.collect::<Vec<_>>(), counted(&reader));
        }
    }
    assert!(
        n_refused > 0 && n_shown > 0,
        "{n_refused} refused, {n_shown} shown"
    );
}
