//! Counts of small traces by hand, and of one that is read in pieces.

use super::*;
use crate::trace::testing::write;
use moe_checkpoint::trace::{LayerChunk, NO_LABEL, TraceMeta};

fn options() -> ShowOptions {
    ShowOptions {
        communication: Some(CommunicationOptions {
            worlds: vec![2],
            per_node: 8,
            element_bytes: 2,
            tokens_per_rank: None,
            links: None,
            flops: None,
        }),
        d_model: None,
        n_threads: 2,
    }
}

fn meta() -> TraceMeta {
    TraceMeta {
        n_experts: 4,
        d_model: Some(16),
        labels: vec!["law".to_owned(), "prose".to_owned()],
        ..TraceMeta::default()
    }
}

/// Four tokens, one of them padding, with two experts each; the second choice of token 1 is dropped.
fn chunk() -> TraceChunk {
    let layer = LayerChunk {
        width: 2,
        experts: vec![0, 1, 1, 0, 2, 3, -1, -1],
        kept: Some(vec![true, true, true, false, true, true, false, false]),
        ..LayerChunk::default()
    };
    TraceChunk {
        n_tokens: 4,
        tokens: Some(vec![7, 9, 7, 0]),
        labels: Some(vec![0, NO_LABEL, 1, NO_LABEL]),
        mask: Some(vec![true, true, true, false]),
        group: None,
        layers: vec![layer.clone(), layer],
        ..TraceChunk::default()
    }
}

#[test]
fn counts_by_hand() {
    let written = write(&[chunk()], meta(), Vec::new());
    let shown = show(&written.reader, &options()).unwrap();
    assert_eq!(
        (shown.n_tokens, shown.n_padding, shown.n_assignments),
        (3, 1, 12)
    );
    let layer = &shown.layers[0];
    assert_eq!(layer.computed, [1.0, 2.0, 1.0, 1.0]);
    // asked for 2, 2, 1, 1 times: the largest over the mean of 1.5, less 1
    assert!((layer.max_vio - 1.0 / 3.0).abs() < 1e-12);
    assert!((layer.drop_rate - 1.0 / 6.0).abs() < 1e-12);
    assert!((layer.mean_k - 5.0 / 3.0).abs() < 1e-12);
    assert_eq!((layer.dead_experts, layer.entropy), (0, None));
    // experts 0 and 1 have label 0, 2 and 3 label 1
    let labels = layer.labels.as_ref().unwrap();
    assert_eq!(shown.labels, ["law", "prose"]);
    assert_eq!(
        labels.share,
        [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    );
    assert_eq!(labels.base, [0.5, 0.5]);
    // first experts 0, 1 and 2, and the same in the next layer
    assert_eq!(shown.chains.len(), 1);
    assert!((shown.chains[0].information.entropy - 3f64.log2()).abs() < 1e-12);
    // experts 0 and 1 are on rank 0: tokens 0 and 1 have one rank, token 2 has one too
    let world = &shown.communication.unwrap().worlds[0];
    assert_eq!((world.n_ranks, world.mean.ranks_per_token), (2, 1.0));
}

#[test]
fn router_entropies_come_from_logits() {
    let mut chunk = chunk();
    for layer in &mut chunk.layers {
        layer.n_experts = 4;
        layer.logits = Some(vec![0.5; 16]);
    }
    let written = write(&[chunk], meta(), Vec::new());
    let shown = show(&written.reader, &options()).unwrap();
    assert!((shown.layers[0].entropy.unwrap() - 1.0).abs() < 1e-6);
}

#[test]
fn pieces_add_up() {
    // 150,000 tokens that go to expert t mod 4: three pieces
    let n_tokens = 150_000;
    let chunk = TraceChunk {
        n_tokens,
        tokens: Some((0..n_tokens as u32).map(|t| t % 4 + 10).collect()),
        layers: vec![LayerChunk {
            width: 1,
            experts: (0..n_tokens as i32).map(|t| t % 4).collect(),
            ..LayerChunk::default()
        }],
        ..TraceChunk::default()
    };
    let written = write(&[chunk], meta(), Vec::new());
    assert!(written.reader.chunks().count() > 2);
    let shown = show(&written.reader, &options()).unwrap();
    let layer = &shown.layers[0];
    assert_eq!(layer.computed, [37_500.0; 4]);
    let told = layer.token_information.unwrap();
    assert!((told.bits - 2.0).abs() < 1e-3 && told.entropy == 2.0);
    let first = &layer.tokens[1][0];
    assert_eq!((first.id, first.count, first.lift), (11, 37_500.0, 4.0));
}

#[test]
fn an_expert_that_is_not_there_is_an_error() {
    let mut chunk = chunk();
    chunk.layers[1].experts[2] = 4;
    let written = write(&[chunk], meta(), Vec::new());
    let error = show(&written.reader, &options()).unwrap_err().to_string();
    assert!(
        error.contains("layer 1 sends token 1 to expert 4"),
        "{error}"
    );
}
