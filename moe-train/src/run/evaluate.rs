use super::EvalMetrics;
use super::score_images::score_images;
use super::score_pairs::score_pairs;
use super::score_text::score_text;
use crate::data::Split;
use crate::task::{AnyModel, TaskData};
use burn::tensor::Device;

/// How a part of the data is scored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) split: Split,
    /// The most windows or images; none means all.
    pub(super) most: Option<usize>,
    pub(super) batch_size: usize,
}

impl Scope {
    /// The metrics of an evaluation before its numbers.
    pub(super) fn empty(&self) -> EvalMetrics {
        EvalMetrics {
            step: 0,
            split: self.split.to_string(),
            whole: self.most.is_none(),
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

/// Scores a part of the data with the model in evaluation: at most `most` evenly spaced windows of text or
/// images, if given.
///
/// # Panics
///
/// Panics if the data is of another task than the model.
pub fn evaluate(
    model: &AnyModel,
    data: &TaskData,
    split: Split,
    most: Option<usize>,
    batch_size: usize,
    device: &Device,
) -> EvalMetrics {
    let scope = Scope {
        split,
        most,
        batch_size,
    };
    match (model, data) {
        (AnyModel::Decoder(model), TaskData::Text(data)) => score_text(model, data, &scope, device),
        (AnyModel::Vision(model), TaskData::Images(data)) => {
            score_images(model, data, &scope, device)
        }
        (AnyModel::Switch(model), TaskData::Pairs(data)) => {
            score_pairs(model, data, &scope, device)
        }
        _ => panic!("the data is of another task than the model"),
    }
}
