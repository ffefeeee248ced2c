//! Files beside the tensors of a checkpoint: a conversion carries small ones along and says what it
//! leaves.

use super::CheckpointError;
use super::error::file_error;
use super::tensor_files::INDEX;
use crate::disk::{read_at_most, write_new};
use crate::gguf::{Gguf, is_gguf};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// Larger files are left: no text that belongs to a model is as large.
const LARGEST: u64 = 64 << 20;

/// The kinds of files that say something about a model: tokenizers, templates, settings, licences.
const KINDS: [&str; 5] = ["json", "txt", "model", "jinja", "md"];

/// The files beside the tensors, by their names: those that a conversion copied, and those that it left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Files that were copied.
    pub copied: Vec<String>,
    /// Files and folders that were left.
    pub left: Vec<String>,
}

/// Copies the small files beside the tensors of a checkpoint; of a GGUF file its vocabulary.
pub(super) fn carry(from: &Path, to: &Path) -> Result<Carried, CheckpointError> {
    if is_gguf(from) {
        return vocabulary(from, to);
    }
    let mut carried = Carried::default();
    for entry in fs::read_dir(from).map_err(file_error("read", from))? {
        let path = entry.map_err(file_error("read", from))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        if is_converted(&name) {
            continue;
        }
        if !is_small(&path) {
            carried.left.push(name);
            continue;
        }
        let bytes = read_at_most(&path, LARGEST).map_err(file_error("read", &path))?;
        let target = to.join(&name);
        write_new(&target, &bytes).map_err(file_error("write", &target))?;
        carried.copied.push(name);
    }
    carried.copied.sort();
    carried.left.sort();
    Ok(carried)
}

/// Writes the vocabulary of a GGUF file as `tokenizer.json`; one of a kind that is not read is left.
fn vocabulary(from: &Path, to: &Path) -> Result<Carried, CheckpointError> {
    const NAME: &str = "tokenizer.json";
    let mut carried = Carried::default();
    match Gguf::open(from)?.tokenizer_text() {
        Ok(None) => {}
        Ok(Some(text)) => {
            let target = to.join(NAME);
            write_new(&target, &text).map_err(file_error("write", &target))?;
            carried.copied.push(NAME.to_owned());
        }
        Err(_) => carried.left.push("the vocabulary".to_owned()),
    }
    Ok(carried)
}

/// Holds for files that are written anew: the configuration and the tensors.
fn is_converted(name: &str) -> bool {
    let is_shard = name.starts_with("model-") && name.ends_with(".safetensors");
    let known = [
        "config.json",
        "model.safetensors",
        INDEX,
        "model.bpk",
        "published.safetensors",
    ];
    is_shard || known.contains(&name)
}

/// Holds for ordinary files that say something about a model. Goldens say something about its tensors in
/// one layout, and their numbers lie in another file.
fn is_small(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_text = match path.extension().and_then(OsStr::to_str) {
        Some(kind) => KINDS.contains(&kind.to_ascii_lowercase().as_str()),
        None => ["LICENSE", "NOTICE"].contains(&&*name),
    };
    let metadata = fs::metadata(path);
    let is_file = metadata.is_ok_and(|m| m.is_file() && m.len() <= LARGEST);
    is_text && is_file && name != "goldens.json"
}
