//! The forward pass: logits, the residual stream, what each layer adds, and the routings.

use super::VerifyError;
use super::checker::Checker;
use super::goldens::Ids;
use super::objective::{injected, pooled};
use super::quantity::Tolerance;
use crate::published::PublishedConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::{AnyDecoder, Decoder, DecoderInput, DecoderOutput};
use moe_router::{Plan, Routing, to_vec};

pub(super) const LOGITS: Tolerance = Tolerance::Scaled(1e-4);
pub(super) const HIDDEN: Tolerance = Tolerance::Scaled(5e-5);
pub(super) const LOSS: Tolerance = Tolerance::Relative(1e-5);

/// Token ids on a device.
pub(super) fn tokens(ids: &Ids, device: &Device) -> Tensor<2, Int> {
    let data = TensorData::new(ids.ids.clone(), [ids.batch, ids.length]);
    Tensor::from_data(data, device)
}

/// Compares a pass over whole sequences.
pub(super) fn check(checker: &mut Checker<'_>, config: &PublishedConfig, output: &DecoderOutput) {
    checker.tensor("logits", output.logits.clone(), LOGITS);
    if let Some(trace) = &output.trace {
        let layers = [
            ("hidden", &trace.hidden),
            ("attn_out", &trace.attention),
            ("mlp_out", &trace.feed_forward),
        ];
        for (name, tensors) in layers {
            for (i, tensor) in tensors.iter().enumerate() {
                checker.tensor(&format!("{name}.{i}"), tensor.clone(), HIDDEN);
            }
        }
    }
    let mixtures = mixtures(config);
    for (layer, routing) in mixtures.iter().zip(&output.routings) {
        check_routing(checker, |what| format!("{what}.{layer}"), routing);
    }
    for (layer, loss) in mixtures.iter().zip(injected(config, &output.routings)) {
        checker.tensor(&format!("aux_loss.{layer}"), loss, LOSS);
    }
    if config.pooled_balance().is_some() {
        checker.tensor("aux_loss", pooled(&output.routings), LOSS);
    }
}

/// The layers that are mixtures of experts.
pub(super) fn mixtures(config: &PublishedConfig) -> Vec<usize> {
    let layers = 0..config.common().num_hidden_layers;
    layers.filter(|&layer| config.is_mixture(layer)).collect()
}

/// Compares a routing, the choice of each token in the order of experts.
pub(super) fn check_routing(
    checker: &mut Checker<'_>,
    name: impl Fn(&str) -> String,
    routing: &Routing,
) {
    checker.tensor(&name("router_logits"), routing.logits.clone(), LOGITS);
    let Plan::Sparse(plan) = &routing.plan else {
        return;
    };
    let assignments = &plan.assignments;
    let mut order: Vec<usize> = (0..assignments.len()).collect();
    order.sort_by_key(|&n| (assignments.tokens()[n], assignments.experts()[n]));
    let weights = to_vec(plan.weights.clone());
    let experts: Vec<i64> = order
        .iter()
        .map(|&n| i64::from(assignments.experts()[n]))
        .collect();
    let weights: Vec<f32> = order.iter().map(|&n| weights[n]).collect();
    let n_tokens = routing.n_tokens();
    let shape = [n_tokens, assignments.len() / n_tokens.max(1)];
    checker.ids(&name("topk_idx"), &shape, &experts);
    checker.floats(&name("topk_weight"), &shape, &weights, HIDDEN);
}

/// Compares a pass over sequences padded on the right, at the positions that are not padding.
pub(super) fn check_masked(
    checker: &mut Checker<'_>,
    config: &PublishedConfig,
    model: &AnyDecoder,
    ids: &Ids,
    inputs: Tensor<2, Int>,
) -> Result<(), VerifyError> {
    let mask = "masked.attention_mask";
    let Some(padding) = checker.goldens.padding(mask, ids)? else {
        return Ok(());
    };
    let compared = ["masked.logits", "masked.aux_loss"];
    if compared
        .iter()
        .all(|name| checker.goldens.get(name).is_none())
    {
        return Ok(()); // the mask stays unchecked: nothing is compared with what it gives
    }
    checker.input(mask);
    let seen: Vec<bool> = padding.iter().map(|padded| !padded).collect();
    let output = model.forward(DecoderInput::new(inputs).padding(padding.into()));
    checker.rows("masked.logits", output.logits, &seen, LOGITS);
    if config.pooled_balance().is_some() {
        checker.tensor("masked.aux_loss", pooled(&output.routings), LOSS);
    }
    Ok(())
}
