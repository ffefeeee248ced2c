//! Greedy generation of a batch from a cache.

use super::VerifyError;
use super::checker::Checker;
use super::goldens::{Goldens, Ids};
use crate::PublishedCheckpoint;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use moe_attention::Positions;
use moe_models::{AnyDecoder, Decoder, DecoderInput};

/// Compares the continuations of prompts, `gen.*`, and of prompts padded on the left, `gen_leftpad.*`.
pub(super) fn check(
    checker: &mut Checker<'_>,
    model: &AnyDecoder,
    checkpoint: &PublishedCheckpoint,
    device: &Device,
) -> Result<(), VerifyError> {
    let vocab_size = checkpoint.config().common().vocab_size;
    for kind in ["gen", "gen_leftpad"] {
        let name = |what: &str| format!("{kind}.{what}");
        let Some(text) = Text::read(checker.goldens, kind, vocab_size)? else {
            continue;
        };
        checker.input(&name("prompt_ids"));
        checker.input(&name("attention_mask"));
        let ours = text.continuations(model, checkpoint.ends(), device);
        let shape = [text.expected.batch, text.expected.length];
        checker.ids(&name("new_ids"), &shape, &ours);
    }
    Ok(())
}

/// Prompts `[B, P]`, which of their tokens are padding, and the reference's continuations `[B, N]`.
struct Text {
    prompts: Ids,
    padding: Vec<bool>,
    expected: Ids,
}

impl Text {
    /// The prompts and continuations of a kind, if the goldens have both.
    fn read(goldens: &Goldens, kind: &str, vocab_size: usize) -> Result<Option<Self>, VerifyError> {
        let name = |what: &str| format!("{kind}.{what}");
        let prompts = goldens.tokens(&name("prompt_ids"), vocab_size)?;
        let expected = goldens.tokens(&name("new_ids"), vocab_size)?;
        let (Some(prompts), Some(expected)) = (prompts, expected) else {
            return Ok(None);
        };
        if expected.batch != prompts.batch {
            return Err(goldens.problem(format!(
                "{kind}.new_ids has {} rows, and {kind}.prompt_ids {}",
                expected.batch, prompts.batch
            )));
        }
        let padding = goldens.padding(&name("attention_mask"), &prompts)?;
        let padding = padding.unwrap_or_else(|| vec![false; prompts.ids.len()]);
        let mut rows = padding.chunks(prompts.length);
        if rows.any(|row| row.ends_with(&[true])) {
            return Err(goldens.problem(format!(
                "{kind}.attention_mask ends a prompt with padding; prompts are padded on the left"
            )));
        }
        Ok(Some(Self {
            prompts,
            padding,
            expected,
        }))
    }

    /// The likeliest continuations, `[B, N]` row by row. After a token that ends a text the reference
    /// writes padding, whatever it is: its own ids stand for ours from there on.
    fn continuations(&self, model: &AnyDecoder, ends: &[u32], device: &Device) -> Vec<i64> {
        let batch = self.prompts.batch;
        let mut cache = model.new_cache();
        let mut rows: Vec<Vec<i64>> = vec![Vec::new(); batch];
        let mut pending = self.prompts.ids.clone();
        for n in 0..self.expected.length {
            let input = self.input(pending, n, device);
            let output = model.forward_cache(input, &mut cache);
            let [_, length, _] = output.logits.dims();
            let last = output.logits.narrow(1, length - 1, 1);
            let best: Vec<i64> = last.argmax(2).into_data().iter::<i64>().collect();
            for (row, (best, expected)) in
                rows.iter_mut().zip(best.iter().zip(self.expected.rows()))
            {
                let ended = row
                    .iter()
                    .any(|id| ends.iter().any(|&end| i64::from(end) == *id));
                row.push(if ended { expected[n] } else { *best });
            }
            pending = rows.iter().map(|row| row[n]).collect();
        }
        rows.concat()
    }

    /// The prompts, or the tokens of step `n`.
    fn input(&self, tokens: Vec<i64>, n: usize, device: &Device) -> DecoderInput {
        let batch = self.prompts.batch;
        let length = tokens.len() / batch;
        let data = TensorData::new(tokens, [batch, length]);
        let input = DecoderInput::new(Tensor::<2, Int>::from_data(data, device));
        if !self.padding.contains(&true) {
            return input;
        }
        let marks = self.padding.chunks(self.prompts.length);
        let marks: Vec<bool> = marks
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(false, n)))
            .collect();
        let data = TensorData::new(marks, [batch, self.prompts.length + n]);
        let mask = Tensor::<2, Bool>::from_data(data, device);
        let input = input.positions(Positions::of_padded(mask, length));
        match n {
            0 => input.padding(self.padding.clone().into()),
            _ => input,
        }
    }
}
