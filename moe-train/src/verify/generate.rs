//! Greedy generation from a cache, as a user would see it.

use super::VerifyError;
use super::checker::Checker;
use super::goldens::Goldens;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::{AnyDecoder, Decoder, DecoderInput};

/// Compares the continuations of prompts, `gen.*`, and of prompts padded on the left, `gen_leftpad.*`.
pub(super) fn check(
    checker: &mut Checker<'_>,
    model: &AnyDecoder,
    ends: &[u32],
    device: &Device,
) -> Result<(), VerifyError> {
    for kind in ["gen", "gen_leftpad"] {
        let name = |what: &str| format!("{kind}.{what}");
        let goldens: &Goldens = checker.goldens;
        let prompts = goldens.ids(&name("prompt_ids"))?;
        let continuations = goldens.ids(&name("new_ids"))?;
        let mask = goldens.ids(&name("attention_mask"))?;
        let (Some(prompts), Some(theirs)) = (prompts, continuations) else {
            continue;
        };
        checker.input(&name("prompt_ids"));
        checker.input(&name("attention_mask"));
        let mut ours = Vec::with_capacity(theirs.ids.len());
        for (row, prompt) in prompts.rows().enumerate() {
            let mask = mask.as_ref().and_then(|mask| mask.rows().nth(row));
            let kept = |i: &usize| mask.is_none_or(|mask| mask.get(*i) != Some(&0));
            let text: Vec<i64> = (0..prompt.len()).filter(kept).map(|i| prompt[i]).collect();
            let expected = theirs.rows().nth(row).unwrap_or_default();
            ours.extend(continuation(model, text, expected, ends, device));
        }
        checker.ids(&name("new_ids"), &ours);
    }
    Ok(())
}

/// The likeliest continuation of a prompt. After a token that ends a text the reference writes
/// padding, whatever it is: its own ids stand for ours from there on.
fn continuation(
    model: &AnyDecoder,
    prompt: Vec<i64>,
    expected: &[i64],
    ends: &[u32],
    device: &Device,
) -> Vec<i64> {
    let mut cache = model.new_cache();
    let mut pending = prompt;
    let mut ids: Vec<i64> = Vec::with_capacity(expected.len());
    while ids.len() < expected.len() {
        let shape = [1, pending.len()];
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(pending, shape), device);
        let output = model.forward_cache(DecoderInput::new(tokens), &mut cache);
        let last = output.logits.narrow(1, shape[1] - 1, 1);
        let best = last.argmax(2).into_data().iter::<i64>().next();
        let best = best.expect("a vocabulary has a token");
        ids.push(best);
        if ends.iter().any(|&end| i64::from(end) == best) {
            ids.extend(expected.iter().skip(ids.len()).copied());
        }
        pending = vec![best];
    }
    ids
}
