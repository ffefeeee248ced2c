//! Files and folders that appear whole or not at all, and files that are files and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempDir};

/// Writes a file through a new one beside it, synced before it takes the name: whatever happens, `path`
/// holds what it held before or all of `bytes`.
///
/// # Errors
///
/// Returns the system's error; `path` is then as it was, and the new file is gone. A process that is
/// killed leaves a file `.moe-*.part`.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path);
    let mut file = builder(0o666).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_name(folder);
    Ok(())
}

/// Opens a file for reading, but nothing else: opening a pipe would wait for its other end.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    check_regular(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    check_regular(&file.metadata()?)?; // the name may stand for something else by now
    Ok(file)
}

fn check_regular(metadata: &fs::Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    }
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
            let mut options = OpenOptions::new();
            options.write(true).open(file?.path())?.sync_all()?;
        }
        sync_folder(self.folder.path())?;
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

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

/// What makes names that nothing has, with the permissions that files and folders have by default.
fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".moe-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Syncs a folder whose entry was renamed. What the entry names is whole with or without this, and too
/// late to be undone, so that an error is none of the caller's.
fn sync_name(folder: &Path) {
    let _ = sync_folder(folder);
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder; // cannot be opened there
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_its_neighbours_are_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["a.html", "a.tmp", "a.html.tmp"] {
            fs::write(at(name), name).expect("a file");
        }
        write_whole(&at("a.html"), b"new").expect("a whole file");
        assert_eq!(fs::read(at("a.html")).expect("it is there"), b"new");
        assert_eq!(fs::read(at("a.tmp")).expect("it is there"), b"a.tmp");
        assert_eq!(names(folder.path()), ["a.html", "a.html.tmp", "a.tmp"]);
        write_whole(&at("none/a"), b"new").expect_err("no such folder");
        fs::create_dir(at("b")).expect("a folder");
        write_whole(&at("b"), b"new").expect_err("a folder is there");
        assert_eq!(names(folder.path()).len(), 4);
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing_and_one_that_is_published_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("a/b/c");
        let draft = Draft::new(&target).expect("a draft");
        fs::write(draft.path().join("x"), "half").expect("a file");
        drop(draft);
        assert!(names(folder.path()).is_empty());

        let (first, second) = (Draft::new(&target), Draft::new(&target));
        let [first, second] = [first, second].map(|draft| draft.expect("a draft"));
        fs::write(first.path().join("x"), "first").expect("a file");
        fs::write(second.path().join("x"), "second").expect("a file");
        first.publish().expect("nothing is there");
        second.publish().expect_err("something is there");
        assert_eq!(fs::read(target.join("x")).expect("it is there"), b"first");
        assert_eq!(names(&folder.path().join("a/b")), ["c"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mode = |path: &Path| {
            fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
        };
        let at = |name: &str| folder.path().join(name);
        fs::write(at("plain"), "").expect("a file");
        fs::create_dir(at("folder")).expect("a folder");
        write_whole(&at("whole"), b"").expect("a whole file");
        let draft = Draft::new(&at("draft")).expect("a draft");
        draft.publish().expect("nothing is there");
        assert_eq!(mode(&at("whole")), mode(&at("plain")));
        assert_eq!(mode(&at("draft")), mode(&at("folder")));
    }
}
