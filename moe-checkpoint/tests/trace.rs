//! Traces as files: what is written is read again, and what is no trace is refused in words.

use moe_checkpoint::trace::{
    LayerChunk, TraceChunk, TraceError, TraceMeta, TraceReader, TraceWriter,
};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn meta() -> TraceMeta {
    TraceMeta {
        n_experts: 6,
        model: Some("a model".to_owned()),
        ..TraceMeta::default()
    }
}

fn write(path: &Path, chunks: &[TraceChunk]) -> Result<(), TraceError> {
    let mut writer = TraceWriter::new(path, meta());
    writer.set_biases(vec![Some(vec![0.5; 6]), None]);
    chunks.iter().try_for_each(|chunk| writer.add(chunk))?;
    writer.finish()
}

fn layer(n_tokens: usize, width: usize, seed: i32) -> LayerChunk {
    let places = n_tokens * width;
    let number = |i: usize| (i as i32 * 7 + seed) % 6;
    LayerChunk {
        width,
        n_experts: 6,
        experts: (0..places).map(number).collect(),
        weights: Some((0..places).map(|i| number(i) as f32 / 8.0).collect()),
        kept: Some((0..places).map(|i| number(i) != 2).collect()),
        logits: Some((0..n_tokens * 6).map(|i| number(i) as f32 - 2.5).collect()),
    }
}

fn chunk(start: usize, n_tokens: usize, widths: [usize; 2], seed: i32) -> TraceChunk {
    TraceChunk {
        start: start as u64,
        n_tokens,
        tokens: Some((0..n_tokens as u32).collect()),
        labels: Some((0..n_tokens as i32).map(|t| t % 3 - 1).collect()),
        mask: Some((0..n_tokens).map(|t| t % 5 != 4).collect()),
        group: Some(vec![seed as u32; n_tokens]),
        layers: widths.map(|width| layer(n_tokens, width, seed)).to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn all_of_a_trace_is_read_again(
        sizes in prop::collection::vec((1usize..9, 1usize..4, 1usize..4, 0i32..9), 1..5),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        let mut start = 0;
        let chunks: Vec<TraceChunk> = sizes.iter().map(|&(n, first, second, seed)| {
            let chunk = chunk(start, n, [first, second], seed);
            start += n;
            chunk
        }).collect();
        write(&path, &chunks).expect("written");
        let reader = TraceReader::open(&path).expect("a trace");
        prop_assert_eq!((reader.n_tokens(), reader.meta()), (start as u64, &meta()));
        prop_assert_eq!(reader.layers()[0].bias.as_deref(), Some(&[0.5f32; 6][..]));
        let whole: Vec<TraceChunk> = reader.chunks().map(|chunk| chunk.expect("read")).collect();
        prop_assert_eq!(whole.len(), 1);
        let mut t = 0;
        for chunk in &chunks {
            for at in 0..chunk.n_tokens {
                for (layer, read) in chunk.layers.iter().zip(&whole[0].layers) {
                    let (row, rest) = read.row(t).split_at(layer.width);
                    prop_assert_eq!(row, layer.row(at));
                    prop_assert!(rest.iter().all(|&expert| expert == -1));
                    let weights = &read.weights_of(t).expect("weights")[..layer.width];
                    prop_assert_eq!(weights, layer.weights_of(at).expect("weights"));
                    prop_assert_eq!(read.logits_of(t), layer.logits_of(at));
                    prop_assert!((0..layer.width).all(|k| read.is_kept(t, k) == layer.is_kept(at, k)));
                }
                prop_assert_eq!(whole[0].is_padding(t), chunk.is_padding(at));
                prop_assert_eq!(whole[0].group_of(t), chunk.group_of(at));
                let labels = [&whole[0], chunk].map(|chunk| chunk.labels.as_ref().expect("labels"));
                prop_assert_eq!(labels[0][t], labels[1][at]);
                t += 1;
            }
        }
    }
}

#[test]
fn the_file_is_what_other_programs_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    write(&path, &[chunk(0, 3, [2, 1], 1)]).expect("written");
    let bytes = fs::read(&path).expect("a file");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let logits = file.tensor("router_logits.1").expect("a tensor");
    assert_eq!(
        (logits.dtype(), logits.shape()),
        (safetensors::Dtype::F32, &[3, 6][..])
    );
    let experts = file.tensor("topk_idx.0").expect("a tensor");
    assert_eq!(
        (experts.dtype(), experts.shape()),
        (safetensors::Dtype::I16, &[3, 2][..])
    );
    // the header ends at a multiple of 8 bytes
    assert_eq!(
        u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) % 8,
        0
    );
}

#[test]
fn a_trace_that_fails_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    fs::write(&path, "old").expect("a file");
    let empty = write(&path, &[]).expect_err("no token").to_string();
    assert!(empty.contains("no token"), "{empty}");
    let mut other = chunk(3, 2, [2, 1], 1);
    other.labels = None;
    let error = write(&path, &[chunk(0, 3, [2, 1], 1), other]).expect_err("other tensors");
    assert!(
        error.to_string().contains("other tensors than the first"),
        "{error}"
    );
    let mut short = chunk(0, 3, [2, 1], 1);
    short.layers[1].experts.pop();
    let error = write(&path, &[short]).expect_err("a short row").to_string();
    assert!(
        error.contains("`topk_idx.1` has not 1 values for each of 3 tokens"),
        "{error}"
    );
    assert_eq!(fs::read(&path).expect("there"), b"old");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

/// A safetensors file of one tensor, which has this header and 12 bytes.
fn refused(header: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    let file = [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &[0; 12],
    ]
    .concat();
    fs::write(&path, file).expect("a file");
    TraceReader::open(&path).expect_err("no trace").to_string()
}

#[test]
fn what_is_no_trace_is_refused_in_words() {
    let words = r#""__metadata__":{"format":"moe-trace","version":"1","n_experts":"4"}"#;
    let tensor = |name: &str, dtype: &str, shape: &str| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,12]}}"#)
    };
    let with = |tensor: String| refused(&format!("{{{words},{tensor}}}"));
    let cases = [
        (
            refused(&format!("{{{}}}", tensor("topk_idx.0", "I32", "[3,1]"))),
            "no `format`",
        ),
        (
            with(tensor("lm_head", "I32", "[3,1]")),
            "no tensor `topk_idx.0`",
        ),
        (
            with(tensor("topk_idx.0", "F32", "[3,1]")),
            "of type F32; write U8",
        ),
        (
            with(tensor("topk_idx.0", "I32", "[3]")),
            "not of shape [tokens, places]",
        ),
        (
            refused(&format!(
                "{{{},{}}}",
                words.replace("\"4\"", "\"0\""),
                tensor("topk_idx.0", "I32", "[3,1]")
            )),
            "no `n_experts`",
        ),
        (
            refused(&format!(
                "{{{},{}}}",
                words.replace("\"4\"", "\"99999999\""),
                tensor("topk_idx.0", "I32", "[3,1]")
            )),
            "fewer than 65536",
        ),
    ];
    for (error, words) in cases {
        assert!(
            error.contains(words) && error.contains("docs/reference/traces.md"),
            "{error}"
        );
    }
}
