//! Reads the same tokens, images or pairs with a model on a device.

use super::{Engine, Seen};
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::switch::Switch;
use moe_models::vmoe::{Vmoe, VmoeInput};
use moe_models::{
    AnyDecoder, Decoder, DecoderInput, Generator, NotFinite, Sampling, cross_entropy, token_losses,
};
use moe_router::to_vec;
use moe_train::data::{ImageData, PairData, Split, TextData};
use moe_train::run::group_images;

/// Windows of text, all of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// The tokens of a window.
    pub length: usize,
    /// Tokens, `[N * L]`.
    pub inputs: Vec<u32>,
    /// The token after each of them.
    pub targets: Vec<u32>,
}

impl Windows {
    /// At most so many windows of a part of a text, evenly spaced over its domains.
    ///
    /// # Panics
    ///
    /// Panics if `most` is zero.
    pub fn of_text(data: &TextData, split: Split, most: usize) -> Self {
        let windows = data.eval_windows(split, 0, Some(most));
        let batch = windows.batch(0, windows.len()).batch;
        Self {
            length: batch.seq_length,
            inputs: batch.inputs,
            targets: batch.targets,
        }
    }

    /// Windows of at most `length` tokens one after the other, as many whole ones as there are; of a shorter text one
    /// window of all.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two tokens, or if `length` is zero.
    pub fn of_tokens(ids: &[u32], length: usize, most: usize) -> Self {
        assert!(ids.len() >= 2 && length > 0, "a window predicts a token");
        let length = length.min(ids.len() - 1);
        let starts = (0..(ids.len() - 1) / length).take(most).map(|n| n * length);
        let windows = |shift: usize| {
            let window = |start| ids[start + shift..start + shift + length].iter().copied();
            starts.clone().flat_map(window).collect()
        };
        Self {
            length,
            inputs: windows(0),
            targets: windows(1),
        }
    }

    /// The number of windows.
    pub fn len(&self) -> usize {
        self.inputs.len() / self.length
    }

    /// Returns `true` if there is none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }
}

/// Reads windows of text.
pub fn see_text(model: &AnyDecoder, windows: &Windows, engine: &Engine) -> Seen {
    let mut seen = Seen::default();
    let n_tokens = engine.batch * windows.length;
    let chunks = windows.inputs.chunks(n_tokens);
    for (inputs, targets) in chunks.zip(windows.targets.chunks(n_tokens)) {
        let n = inputs.len() / windows.length;
        let on_device = |ids: &[u32]| tokens(ids, [n, windows.length], &engine.device);
        let output = model.forward(DecoderInput::new(on_device(inputs)));
        seen.add_routings(&output.routings, n, n);
        seen.outputs.extend(to_vec(output.hidden));
        let [_, _, n_classes] = output.logits.dims();
        let rows = output.logits.clone().reshape([-1, n_classes as i32]);
        seen.best.extend(best_of(rows));
        let losses = token_losses(output.logits, on_device(targets));
        seen.losses.extend(to_vec(losses));
    }
    seen
}

/// Reads at most so many images of a part, evenly spaced.
pub fn see_images(
    model: &Vmoe,
    data: &ImageData,
    split: Split,
    most: usize,
    engine: &Engine,
) -> Seen {
    let mut seen = Seen::default();
    let group = group_images(&model.config);
    for scored in data.eval_batches(split, Some(most), engine.batch, group) {
        let batch = scored.batch();
        let (n, n_scored) = (batch.labels.len(), scored.n_scored);
        let output = model.forward(VmoeInput::new(batch.images(&engine.device)));
        // those behind fill the last group
        seen.add_routings(&output.routings, n, n_scored);
        let logits = output.logits;
        seen.best.extend(best_of(logits.clone()).take(n_scored));
        let [_, n_classes] = logits.dims();
        let losses = to_vec(cross_entropy(logits.clone(), batch.targets(&engine.device)));
        seen.losses.extend(&losses[..n_scored]);
        seen.outputs.extend(&to_vec(logits)[..n_scored * n_classes]);
    }
    seen
}

/// Reads at most so many pairs of texts of a part.
pub fn see_pairs(
    model: &Switch,
    data: &PairData,
    split: Split,
    most: usize,
    engine: &Engine,
) -> Seen {
    let mut seen = Seen::default();
    for batch in data.eval_batches(split, Some(most), engine.batch) {
        let output = model.forward(batch.input(&engine.device));
        let routings = [output.encoder_routings, output.decoder_routings].concat();
        let n = batch.pairs.len();
        seen.add_routings(&routings, n, n);
        let [_, _, n_classes] = output.logits.dims();
        let rows = output.logits.clone().reshape([-1, n_classes as i32]);
        seen.best.extend(best_of(rows.clone()));
        seen.outputs.extend(to_vec(rows));
        let losses = to_vec(token_losses(output.logits, batch.targets(&engine.device)));
        for (pair, losses) in batch.pairs.iter().zip(losses.chunks(batch.target_length())) {
            seen.losses.extend(&losses[..pair.target.len()]);
        }
    }
    seen
}

/// The tokens that a model writes after a prompt, the most likely at a time.
///
/// # Errors
///
/// If the scores of a token are not finite.
pub fn greedy(
    model: &AnyDecoder,
    prompt: &[u32],
    n_tokens: usize,
    device: &Device,
) -> Result<Vec<u32>, NotFinite> {
    let sampling = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let mut written = Vec::new();
    Generator::new(model, sampling, device).run(prompt, n_tokens, |token| {
        written.push(token.id);
        true
    })?;
    Ok(written.split_off(prompt.len()))
}

fn tokens(ids: &[u32], shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}

/// The place of each row's largest score, the first of equal ones, `[N]`.
fn best_of(logits: Tensor<2>) -> impl Iterator<Item = u32> {
    let best = moe_train::task::best_classes(&logits);
    best.into_iter().map(|class| class as u32)
}
