//! The data of a run, of any task.

use crate::config::RunConfig;
use crate::data::{
    Batch, Batches, DataConfig, DataError, DataSummary, ImageBatch, ImageBatches, ImageData,
    ImageSummary, PairBatch, PairBatches, PairData, Split, TextData, Vocab,
};
use serde::Serialize;
use std::sync::atomic::AtomicBool;

/// The data of a run.
#[derive(Debug, Clone)]
pub enum TaskData {
    /// Text.
    Text(TextData),
    /// Images with labels.
    Images(ImageData),
    /// Pairs of texts.
    Pairs(PairData),
}

/// Training batches in a row.
#[derive(Debug, Clone)]
pub enum TaskBatches<'a> {
    /// Windows of text.
    Text(Batches<'a>),
    /// Images.
    Images(ImageBatches<'a>),
    /// Pairs of texts.
    Pairs(PairBatches<'a>),
}

/// One micro-batch, on the host.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskBatch {
    /// Windows of text.
    Text(Batch),
    /// Images.
    Images(ImageBatch),
    /// Pairs of texts.
    Pairs(PairBatch),
}

/// The sizes of a run's data.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TaskSummary {
    /// Sizes of text, or of pairs of texts.
    Text(DataSummary),
    /// Sizes of images.
    Images(ImageSummary),
}

impl TaskData {
    /// Reads the data of a configuration; a vocabulary is learned from its train parts.
    ///
    /// # Errors
    ///
    /// What is wrong with the data; [`DataError::Interrupted`] soon after `stop` is set.
    pub fn load(config: &RunConfig, stop: &AtomicBool) -> Result<Self, DataError> {
        let seq_length = config.train.seq_length;
        match &config.data {
            DataConfig::Text(text) => TextData::load(text, seq_length, stop).map(Self::Text),
            DataConfig::Images(images) => ImageData::load(images, stop).map(Self::Images),
            DataConfig::Pairs(pairs) => {
                PairData::load(pairs, seq_length, None, stop).map(Self::Pairs)
            }
        }
    }

    /// As [`load`](Self::load), with the vocabulary of an earlier run, if its data has one.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_again(
        config: &RunConfig,
        vocab: Option<&Vocab>,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        let seq_length = config.train.seq_length;
        match (&config.data, vocab) {
            (DataConfig::Text(text), Some(vocab)) => {
                let corpus = text.corpus(stop)?;
                TextData::new(corpus, vocab.clone(), seq_length, stop).map(Self::Text)
            }
            (DataConfig::Pairs(pairs), vocab) => {
                PairData::load(pairs, seq_length, vocab, stop).map(Self::Pairs)
            }
            _ => Self::load(config, stop),
        }
    }

    /// Training batches of `batch_size` sequences or images from `consumed` of them on: a pure function of
    /// the data and the arguments.
    pub fn batches(&self, seed: u64, consumed: u64, batch_size: usize) -> TaskBatches<'_> {
        match self {
            Self::Text(text) => TaskBatches::Text(text.sampler(seed).batches(consumed, batch_size)),
            Self::Images(images) => TaskBatches::Images(images.batches(seed, consumed, batch_size)),
            Self::Pairs(pairs) => TaskBatches::Pairs(pairs.batches(seed, consumed, batch_size)),
        }
    }

    /// The number of windows, images or pairs of a part in an evaluation of all of it.
    pub fn n_eval(&self, split: Split) -> usize {
        match self {
            Self::Text(text) => text.eval_windows(split, text.seq_length() / 2, None).len(),
            Self::Images(images) => images.part(split).len(),
            Self::Pairs(pairs) => pairs.n_eval(split),
        }
    }

    /// The vocabulary, of texts.
    pub fn vocab(&self) -> Option<&Vocab> {
        match self {
            Self::Text(text) => Some(text.vocab()),
            Self::Images(_) => None,
            Self::Pairs(pairs) => Some(pairs.vocab()),
        }
    }

    /// A hash of all data.
    ///
    /// # Errors
    ///
    /// [`DataError::Interrupted`] soon after `stop` is set.
    pub fn fingerprint(&self, stop: &AtomicBool) -> Result<String, DataError> {
        match self {
            Self::Text(text) => text.fingerprint(stop),
            Self::Images(images) => images.fingerprint(stop),
            Self::Pairs(pairs) => pairs.fingerprint(stop),
        }
    }

    /// The sizes.
    pub fn describe(&self) -> TaskSummary {
        match self {
            Self::Text(text) => TaskSummary::Text(text.describe()),
            Self::Images(images) => TaskSummary::Images(images.describe()),
            Self::Pairs(pairs) => TaskSummary::Text(pairs.describe()),
        }
    }
}

impl TaskBatches<'_> {
    /// The next batch.
    pub fn draw(&mut self) -> TaskBatch {
        match self {
            Self::Text(batches) => TaskBatch::Text(batches.draw()),
            Self::Images(batches) => TaskBatch::Images(batches.draw()),
            Self::Pairs(batches) => TaskBatch::Pairs(batches.draw()),
        }
    }
}

impl TaskBatch {
    /// The number of predictions that the loss is the mean of: tokens, images, or tokens of targets that are
    /// not padding.
    pub fn n_targets(&self) -> usize {
        match self {
            Self::Text(batch) => batch.targets.len(),
            Self::Images(batch) => batch.labels.len(),
            Self::Pairs(batch) => batch.pairs.iter().map(|pair| pair.target.len()).sum(),
        }
    }
}
