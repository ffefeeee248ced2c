//! Decoders whose matrices are held in fewer bits.

mod bf16;
mod blocks;

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_checkpoint::{Precision, PublishedCheckpoint};
use moe_models::{AnyDecoder, Decoder, DecoderInput};

fn load(name: &str, precision: Precision) -> AnyDecoder {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let checkpoint = PublishedCheckpoint::open(&folder).expect("a fixture");
    checkpoint
        .load(precision, &Device::flex())
        .expect("a model")
}

fn tokens(length: usize) -> Tensor<2, Int> {
    let ids: Vec<i64> = (0..length as i64).map(|i| (i * 7 + 3) % 19).collect();
    Tensor::from_data(TensorData::new(ids, [1, length]), &Device::flex())
}

fn logits(model: &AnyDecoder) -> TensorData {
    model
        .forward(DecoderInput::new(tokens(12)))
        .logits
        .into_data()
}
