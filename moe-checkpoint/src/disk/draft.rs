//! Folders that appear whole or not at all.

use super::{builder, parent, sync, sync_name};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Makes a folder with what `fill` writes into it, which appears whole or not at all. `fill` makes files, no folders.
///
/// # Errors
///
/// Returns the system's error, that of `fill`, and one for a folder that is there and not empty.
pub fn write_folder<T, E: From<io::Error>>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let draft = Draft::new(target)?;
    let filled = fill(draft.path())?;
    draft.publish()?;
    Ok(filled)
}

/// As [`write_folder`], in place of a folder that is there, which is deleted once the new one is whole.
///
/// # Errors
///
/// As [`write_folder`]; the folder is then as it was. A process that is killed between the two names leaves the old
/// folder in one called `.moe-*.part`.
pub fn replace_folder<T, E: From<io::Error>>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let draft = Draft::new(target)?;
    let filled = fill(draft.path())?;
    let aside = builder(0o777).tempdir_in(parent(target))?;
    let old = aside.path().join("old");
    fs::rename(target, &old)?;
    if let Err(error) = draft.publish() {
        fs::rename(&old, target)?;
        return Err(error.into());
    }
    Ok(filled)
}

/// A folder that is filled under a name of its own and then takes the name that it was made for. Dropped
/// before that, it is deleted, and so are the folders above it that were made for it.
pub(crate) struct Draft {
    folder: TempDir,
    /// Dropped after `folder`, which lies in them.
    above: NewFolders,
    target: PathBuf,
}

impl Draft {
    pub(crate) fn new(target: &Path) -> io::Result<Self> {
        let above = NewFolders::create(parent(target))?;
        Ok(Self {
            folder: builder(0o777).tempdir_in(parent(target))?,
            above,
            target: target.to_owned(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Syncs the files and gives the folder its name. A folder that has the name and is not empty stays
    /// as it is: this is an error then.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        for file in fs::read_dir(self.folder.path())? {
            sync(&file?.path())?;
        }
        sync(self.folder.path())?;
        fs::rename(self.folder.path(), &self.target)?;
        let _ = self.folder.keep(); // the path that it had
        sync_name(parent(&self.target));
        for made in std::mem::take(&mut self.above.0) {
            sync_name(parent(&made));
        }
        Ok(())
    }
}

/// Folders that were made, the outermost first; those that are empty are removed when this is dropped.
struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    fn create(folder: &Path) -> io::Result<Self> {
        let mut made = Self(Vec::new());
        let missing: Vec<&Path> = folder.ancestors().take_while(|f| !f.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => made.0.push(folder.to_owned()),
                Err(_) if folder.is_dir() => {} // another process was faster
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // one that somebody has put something into stays
            let _ = fs::remove_dir(folder);
        }
    }
}
