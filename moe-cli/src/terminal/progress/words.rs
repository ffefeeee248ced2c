//! A run's data, model and evaluations in words.

use moe_models::Account;
use moe_train::data::DataConfig;
use moe_train::task::TaskSummary;
use moe_view::{counted, si, thousands};

/// The line before data is read.
pub(super) fn loading(data: &DataConfig, vocab_size: Option<usize>) -> String {
    let place = if data.is_embedded() {
        data.name()
    } else {
        data.path()
    };
    match vocab_size {
        Some(size) => format!(
            "learning a vocabulary of {} pieces from {place} ...",
            thousands(size as u64)
        ),
        None => format!("reading {place} ..."),
    }
}

/// The things that an evaluation counts.
pub(super) fn windows(data: &TaskSummary) -> &'static str {
    match data {
        TaskSummary::Text(_) => "windows",
        TaskSummary::Images(_) => "images",
    }
}

/// The data in a line.
pub(super) fn sizes(data: &TaskSummary) -> String {
    match data {
        TaskSummary::Text(text) => format!(
            "{}, {}, {} training tokens, vocabulary of {}",
            text.corpus,
            counted(text.domains.len(), "domain"),
            thousands(text.total().tokens[0] as u64),
            thousands(text.vocab_size as u64)
        ),
        TaskSummary::Images(images) => format!(
            "{}, {} classes, {} training images of {side} x {side} pixels",
            images.set,
            images.classes.len(),
            thousands(images.images[0] as u64),
            side = images.side,
        ),
    }
}

/// The size of a model.
pub(super) fn parameters(account: &Account) -> String {
    format!(
        "{} parameters, {} active a token",
        si(account.params_total as f64),
        si(account.params_active as f64)
    )
}

/// The part of the validation data that the last evaluation scores.
pub(super) fn scored(n: usize, of: usize, windows: &str) -> String {
    format!(
        "the last evaluation scores {} of {} {windows} (train.final_eval_windows)",
        thousands(n as u64),
        thousands(of as u64),
    )
}
