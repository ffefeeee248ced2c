//! `model.safetensors.index.json`: which shard each tensor is in.

use super::CheckpointError;
use super::error::file_error;
use crate::disk::{MOST_TEXT, read_at_most};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The shards of an index with the names of their tensors.
///
/// A shard is a file below the index's own folder: a name that leads elsewhere is an error. A symbolic
/// link there is followed, as downloads are often kept as links to a store of files.
pub(super) fn read_index(
    folder: &Path,
    path: &Path,
) -> Result<BTreeMap<PathBuf, Vec<String>>, CheckpointError> {
    let text = read_at_most(path, MOST_TEXT).map_err(file_error("read", path))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| problem(path, error))?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, shard) in index.weight_map {
        shards.entry(shard).or_default().push(tensor);
    }
    let shards = shards.into_iter();
    shards
        .map(|(shard, tensors)| Ok((inside(folder, path, &shard)?, tensors)))
        .collect()
}

fn inside(folder: &Path, index: &Path, shard: &str) -> Result<PathBuf, CheckpointError> {
    let mut components = Path::new(shard).components();
    let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !shard.is_empty() && components.all(below) {
        Ok(folder.join(shard))
    } else {
        Err(problem(
            index,
            format!(
                "the shard \"{shard}\" is outside the folder: it must be a relative path without \"..\""
            ),
        ))
    }
}

fn problem(path: &Path, what: impl ToString) -> CheckpointError {
    CheckpointError::Index {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
