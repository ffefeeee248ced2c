//! Tables that do not depend on the batch: rotary frequencies, and weights stored in FP8.

use super::VerifyError;
use super::checker::Checker;
use super::quantity::Tolerance;
use crate::{PublishedCheckpoint, e4m3_table};
use burn::tensor::Device;
use moe_models::AnyDecoder;
use moe_models::deepseek::DeepSeekAttention;

const FREQUENCY: Tolerance = Tolerance::Relative(1e-6);

/// Compares `rope.inv_freq`, `dequant.NAME` and `e4m3fn.table`.
pub(super) fn check(
    checker: &mut Checker<'_>,
    checkpoint: &PublishedCheckpoint,
    model: &AnyDecoder,
    device: &Device,
) -> Result<(), VerifyError> {
    let rotary = frequencies(model);
    checker.floats("rope.inv_freq", &[rotary.len()], rotary, FREQUENCY);
    checker.floats("e4m3fn.table", &[256], &e4m3_table(), Tolerance::Exact);
    let goldens = checker.goldens;
    for name in goldens.names() {
        let Some(tensor) = name.strip_prefix("dequant.") else {
            continue;
        };
        let entry = checkpoint.layout().entries().find(|e| e.name == tensor);
        if let (Some(entry), Some(values)) = (entry, checkpoint.tensor(tensor, device)?) {
            checker.floats(name, &entry.shape, &values, Tolerance::Exact);
        }
    }
    Ok(())
}

/// The rotary frequencies of the first layer; all layers have the same.
fn frequencies(model: &AnyDecoder) -> &[f32] {
    match model {
        AnyDecoder::Mixtral(model) => model.layers[0].attention.rope.frequencies(),
        AnyDecoder::DeepSeek(model) => match &model.layers[0].attention {
            DeepSeekAttention::Gqa(attention) => attention.rope.frequencies(),
            DeepSeekAttention::Mla(attention) => attention.rope.frequencies(),
        },
        // a family whose checkpoints are not read
        _ => &[],
    }
}
