//! The module that predicts further tokens (DeepSeek-V3, arXiv 2412.19437, section 2.2).

use super::VerifyError;
use super::checker::Checker;
use super::forward::{HIDDEN, LOGITS, LOSS, check_routing};
use super::objective::next_token_loss;
use burn::tensor::{Int, Tensor};
use moe_models::{AnyDecoder, Decoder, DecoderOutput};

/// Compares `mtp.*` and `main.loss`.
pub(super) fn check(
    checker: &mut Checker<'_>,
    model: &AnyDecoder,
    output: &DecoderOutput,
    tokens: Tensor<2, Int>,
) -> Result<(), VerifyError> {
    let Some(logits) = output.further.first() else {
        return Ok(());
    };
    note_missing_depths(checker, output.further.len());
    let [batch, rows, _] = logits.dims();
    let ahead = tokens.clone().narrow(1, 1, rows);
    let ids: Vec<i64> = ahead.to_data().iter::<i64>().collect();
    checker.ids("mtp.next_ids", &[batch, rows], &ids);
    check_positions(checker, [batch, rows])?;

    let before = output.hidden.clone().narrow(1, 0, rows);
    checker.tensor("mtp.prev_hidden", before.clone(), HIDDEN);
    check_joined(checker, model, ahead.clone(), before);
    if let Some(hidden) = output
        .trace
        .as_ref()
        .and_then(|trace| trace.further.first())
    {
        checker.tensor("mtp.hidden_after_shared_head_norm", hidden.clone(), HIDDEN);
    }
    checker.tensor("mtp.logits", logits.clone(), LOGITS);
    // the routings of the modules come after those of the layers, nearest first
    if let Some(routing) = output.routings.get(model.n_moe_layers()) {
        check_routing(checker, |what| format!("mtp.{what}"), routing);
    }
    checker.tensor("mtp.loss", next_token_loss(logits.clone(), ahead), LOSS);
    checker.tensor(
        "main.loss",
        next_token_loss(output.logits.clone(), tokens),
        LOSS,
    );
    Ok(())
}

/// Notes the depths that the goldens have nothing of.
fn note_missing_depths(checker: &mut Checker<'_>, n_depths: usize) {
    let has_first = checker.goldens.get("mtp.logits").is_some();
    let first = if has_first { 2 } else { 1 };
    for depth in first..=n_depths {
        checker.missing(format!(
            "logits of the module that predicts at depth {depth}"
        ));
    }
}

/// Compares `mtp.eh_proj_out`: the next token's embedding and the stream, joined.
fn check_joined(
    checker: &mut Checker<'_>,
    model: &AnyDecoder,
    ahead: Tensor<2, Int>,
    before: Tensor<3>,
) {
    if let AnyDecoder::DeepSeek(model) = model {
        let module = &model.mtp[0];
        let embedded = model.embedding.forward(ahead);
        let halves = vec![
            module.embedding_norm.forward(embedded),
            module.hidden_norm.forward(before),
        ];
        let joined = module.projection.forward(Tensor::cat(halves, 2));
        checker.tensor("mtp.eh_proj_out", joined, HIDDEN);
    }
}

/// Compares `mtp.position_ids`, up to where they start: rotary positions are relative, the reference
/// counts from 1 and we from 0.
fn check_positions(checker: &mut Checker<'_>, shape: [usize; 2]) -> Result<(), VerifyError> {
    let name = "mtp.position_ids";
    if let Some(positions) = checker.goldens.ids(name)? {
        let start = positions.ids[0];
        let row = || (0..shape[1] as i64).map(|t| start + t);
        let ours: Vec<i64> = (0..shape[0]).flat_map(|_| row()).collect();
        checker.ids(name, &shape, &ours);
    }
    Ok(())
}
