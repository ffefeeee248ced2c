//! A large trace is shown in bounded memory.
//!
//! `MOE_ASSIGNMENTS=N` shows N assignments instead of two million, and prints how fast and with how much memory.

#![allow(clippy::unwrap_used)]

use moe_checkpoint::trace::{LayerChunk, TraceChunk, TraceMeta, TraceReader, TraceWriter};
use moe_lab::analyze::CommunicationOptions;
use moe_lab::trace::{ShowOptions, show};
use std::path::Path;
use std::time::Instant;

const N_LAYERS: usize = 16;
const N_EXPERTS: usize = 64;
const TOP_K: usize = 8;

/// Tokens that are written at a time.
const STEP: usize = 1 << 15;

/// The most memory of the process for these sizes, however many the tokens, MiB.
const MOST_MIB: u64 = 256;

/// Tokens of a few thousand kinds, each with experts of its own that move with the layer.
fn chunk(start: usize, n_tokens: usize) -> TraceChunk {
    let id = |t: usize| (start + t) * 2_654_435_761 % 65_537 % 9_973;
    let layer = |layer: usize| {
        let row =
            |t: usize| (0..TOP_K).map(move |k| ((id(t) + 7 * k + 3 * layer) % N_EXPERTS) as i32);
        LayerChunk {
            width: TOP_K,
            experts: (0..n_tokens).flat_map(row).collect(),
            ..LayerChunk::default()
        }
    };
    TraceChunk {
        n_tokens,
        tokens: Some((0..n_tokens).map(|t| id(t) as u32).collect()),
        labels: Some(
            (0..n_tokens)
                .map(|t| ((start + t) / 4096 % 9) as i32)
                .collect(),
        ),
        layers: (0..N_LAYERS).map(layer).collect(),
        ..TraceChunk::default()
    }
}

fn write(path: &Path, n_tokens: usize) {
    let meta = TraceMeta {
        n_experts: N_EXPERTS,
        d_model: Some(2048),
        ..TraceMeta::default()
    };
    let mut writer = TraceWriter::new(path, meta);
    for start in (0..n_tokens).step_by(STEP) {
        writer
            .add(&chunk(start, STEP.min(n_tokens - start)))
            .unwrap();
    }
    writer.finish().unwrap();
}

/// The most memory that this process had, MiB; none where the system does not say it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}

#[test]
fn a_large_trace_is_shown_in_bounded_memory() {
    let n: usize = std::env::var("MOE_ASSIGNMENTS").map_or(2_000_000, |n| n.parse().unwrap());
    let n_tokens = n / (N_LAYERS * TOP_K);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    write(&path, n_tokens);
    let options = ShowOptions {
        communication: Some(CommunicationOptions {
            worlds: vec![8, 16, 32, 64],
            per_node: 8,
            element_bytes: 2,
            tokens_per_rank: None,
            links: None,
            flops: None,
        }),
        d_model: None,
        n_threads: 2,
    };
    let start = Instant::now();
    let shown = show(&TraceReader::open(&path).unwrap(), &options).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let n_shown = (n_tokens * N_LAYERS * TOP_K) as u64;
    assert_eq!(shown.n_assignments, n_shown);
    assert_eq!(shown.communication.unwrap().worlds.len(), 4);
    let computed: f64 = shown.layers.iter().flat_map(|layer| &layer.computed).sum();
    assert_eq!(computed, n_shown as f64);
    let peak = peak_mib();
    let memory = peak.map_or("unknown".to_owned(), |peak| format!("{peak} MiB"));
    println!(
        "{n_shown} assignments in {seconds:.2} s: {:.1} million a second, peak memory {memory}",
        n_shown as f64 / seconds / 1e6
    );
    assert!(peak.is_none_or(|peak| peak < MOST_MIB), "{peak:?} MiB");
}
