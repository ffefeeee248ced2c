//! Data that a run goes on with, or is scored by: the data that it began with.

use super::{Event, Observer, RunError, RunFolder, Silent, from};
use crate::config::RunConfig;
use crate::data::{DataConfig, Vocab, VocabKind};
use crate::task::TaskData;
use std::sync::atomic::AtomicBool;

/// Refuses other data than the one that the run began with.
pub(super) fn check_data(folder: &RunFolder, then: &str, now: &str) -> Result<(), RunError> {
    if then == now {
        return Ok(());
    }
    Err(RunError::DataChanged {
        folder: folder.path().to_owned(),
        then: then.to_owned(),
        now: now.to_owned(),
    })
}

/// The data of a run that another rank has opened.
///
/// # Errors
///
/// Returns an error if this rank does not see the run folder, or the same data.
pub(crate) fn open_shared(
    config: &RunConfig,
    folder: &RunFolder,
    hash: &str,
) -> Result<TaskData, RunError> {
    let stop = AtomicBool::new(false);
    let (data, here) = load_data(config, folder, &mut Silent, &stop)?;
    check_data(folder, hash, &here)?;
    Ok(data)
}

/// The data of a run and its hash. A vocabulary takes long to learn, so a run that has begun reads its own.
pub(super) fn load_data(
    config: &RunConfig,
    folder: &RunFolder,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<(TaskData, String), RunError> {
    let has_vocab = match &config.data {
        DataConfig::Text(text) => text.vocab == VocabKind::Bpe,
        DataConfig::Pairs(_) => true,
        DataConfig::Images(_) => false,
    };
    // the hash is written after the vocabulary, so with both the vocabulary is whole
    let has_begun = folder.data_hash().exists() && folder.vocabulary().exists();
    let vocab = if !has_vocab {
        None
    } else if has_begun {
        Some(Vocab::load(folder.vocabulary())?)
    } else {
        from::vocabulary(config)?
    };
    observer.on(Event::Loading {
        data: &config.data,
        vocab_size: (has_vocab && vocab.is_none()).then(|| config.vocab_size()),
    });
    let data = TaskData::load_again(config, vocab.as_ref(), stop)?;
    let hash = data.fingerprint(stop)?;
    Ok((data, hash))
}
