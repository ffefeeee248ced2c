//! The score of a model on a part of the data.

use super::score_images::score_images;
use super::score_pairs::score_pairs;
use super::score_text::score_text;
use super::{EvalMetrics, Watch};
use crate::data::Split;
use crate::task::ModelAndData;
use burn::tensor::Device;
use moe_models::NotFinite;
use moe_parallel::{Communicator, deal};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::RefCell;

/// Settings of scoring a part of the data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) split: Split,
    /// The most windows, images or pairs; none means all.
    pub(crate) most: Option<usize>,
    pub(crate) batch_size: usize,
    /// The ranks that score batches, each its own, all with the same model.
    pub(crate) world: &'a dyn Communicator,
}

impl Scope<'_> {
    /// Scores batches, each on one rank, and takes the results in order; nothing if it was told to stop.
    pub(super) fn each<T: Serialize + DeserializeOwned>(
        &self,
        n_batches: usize,
        watch: &mut Watch<'_>,
        of: usize,
        mut score: impl FnMut(usize) -> Result<T, NotFinite>,
        mut take: impl FnMut(usize, T),
    ) -> Result<Option<()>, NotFinite> {
        let first_error = RefCell::new(None);
        let score = |n: usize| {
            // among several ranks an error is known once all have scored theirs
            if first_error.borrow().is_some() {
                return None;
            }
            watch.evaluating(n * self.batch_size, of)?;
            Some(score(n))
        };
        let take = |n, scored: Result<T, NotFinite>| match scored {
            Ok(scored) if first_error.borrow().is_none() => take(n, scored),
            Ok(_) => {}
            Err(error) => _ = first_error.borrow_mut().get_or_insert(error),
        };
        let all = deal(self.world, n_batches, score, take);
        match first_error.into_inner() {
            Some(error) => Err(error),
            None => Ok(all),
        }
    }

    /// Checks the losses of a batch, the `n`-th from 0.
    pub(super) fn check(&self, losses: &[f32], n: usize) -> Result<(), NotFinite> {
        NotFinite::check_losses(losses, || self.place(n))
    }

    /// The name of a batch, the `n`-th from 0.
    pub(super) fn place(&self, n: usize) -> String {
        format!("batch {} of the {} part", n + 1, self.split)
    }

    /// The metrics of an evaluation of some windows, images or pairs of a part before its numbers.
    pub(super) fn empty(&self, n_scored: usize, n_part: usize) -> EvalMetrics {
        EvalMetrics {
            step: 0,
            split: self.split.to_string(),
            whole: n_scored == n_part,
            n_scored: Some(n_scored),
            n_part: Some(n_part),
            bits_per_byte: None,
            accuracy: None,
            exact_match: None,
            bleu: None,
            loss: f64::NAN,
            n_bytes: None,
            n_images: None,
            n_targets: None,
            domains: Default::default(),
            layers: Vec::new(),
        }
    }
}

/// Scores a part of the data with a model in evaluation: at most `most` evenly spaced windows, images or
/// pairs, if given. Nothing if it was told to stop, which is looked at before each batch.
///
/// # Errors
///
/// Returns the batch in which the model computes what is no number.
pub(crate) fn evaluate(
    of: ModelAndData<'_>,
    scope: Scope<'_>,
    device: &Device,
    watch: &mut Watch<'_>,
) -> Result<Option<EvalMetrics>, NotFinite> {
    match of {
        ModelAndData::Text(model, data) => score_text(model, data, &scope, device, watch),
        ModelAndData::Images(model, data) => score_images(model, data, &scope, device, watch),
        ModelAndData::Pairs(model, data) => score_pairs(model, data, &scope, device, watch),
    }
}
