//! Files that commands write.

use anyhow::Context;
use moe_models::disk;
use std::path::Path;

/// What is wrong with a file to write, if its folder does not exist.
pub fn missing_folder(flag: &str, file: &Path) -> Option<String> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let missing = folder.filter(|folder| !folder.is_dir())?;
    let (file, missing) = (file.display(), missing.display());
    Some(format!(
        "{flag} {file}: there is no folder `{missing}`; create it first"
    ))
}

/// Writes a file, which appears whole or not at all.
pub fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    disk::write_whole(path, text.as_bytes()).with_context(|| {
        format!(
            "cannot write `{}`; check the folder's permissions",
            path.display()
        )
    })
}
