//! The tensors of the DeepSeek families.

use super::entry::Entry;
use super::layout::{TensorCopy, outer};
use crate::published::PublishedDeepSeek;

/// The entries of a model.
pub(super) fn entries(published: &PublishedDeepSeek) -> impl Iterator<Item = Entry> {
    outer(&published.common)
}

/// The second copies of embedding and head in the modules that predict further tokens.
pub(super) fn copies(_published: &PublishedDeepSeek) -> Vec<TensorCopy> {
    Vec::new()
}
