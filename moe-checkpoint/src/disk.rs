//! The one door to the file system: files that are files and nothing else, read up to a limit, and files and
//! folders that appear whole or not at all.

// the one place that may call what clippy.toml forbids
#![allow(clippy::disallowed_methods)]

mod draft;
mod open;
mod write;

pub(crate) use draft::Draft;
pub use draft::{replace_folder, write_folder};
pub use open::{append_regular, lock_file, open_regular, read_at_most, read_text};
pub use write::{check_writable, write_new, write_whole, write_whole_with};

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use tempfile::Builder;

/// Bytes that a text beside tensors may hold: a configuration, an index, a tokenizer.
pub const MOST_TEXT: u64 = 1 << 28;

/// The begin and the end of the name of a file that is not whole yet.
const BEFORE: &str = ".moe-";
const AFTER: &str = ".part";

/// Tells the name of a file that a killed process was writing.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(BEFORE) && name.ends_with(AFTER)
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

/// Maker of names that nothing has, with the permissions that files and folders have by default.
fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(BEFORE).suffix(AFTER);
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
    let _ = sync(folder);
}

/// Waits until a file, or the names in a folder, are on the disk.
///
/// # Errors
///
/// Returns the system's error.
pub fn sync(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) && path.is_dir() {
        return Ok(()); // cannot be opened there
    }
    // a folder cannot be opened for writing, and Windows syncs no file that is not
    let mut options = OpenOptions::new();
    options.read(true).write(!path.is_dir());
    options.open(path)?.sync_all()
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

    #[test]
    fn a_folder_is_replaced_by_a_whole_one_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("a");
        let with = |text: &'static str| move |new: &Path| fs::write(new.join("x"), text);
        write_folder(&target, with("one")).expect("nothing is there");
        write_folder(&target, with("two")).expect_err("something is there");
        let half =
            |new: &Path| fs::write(new.join("y"), "half").and(Err(io::Error::other("no more")));
        let failed: io::Result<()> = replace_folder(&target, half);
        failed.expect_err("its filling failed");
        assert_eq!(fs::read(target.join("x")).expect("it is there"), b"one");
        replace_folder(&target, with("two")).expect("it may be replaced");
        assert_eq!(fs::read(target.join("x")).expect("it is there"), b"two");
        assert_eq!(names(folder.path()), ["a"]);
        replace_folder(&folder.path().join("none"), with("three")).expect_err("nothing to replace");
        assert_eq!(names(folder.path()), ["a"]);
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
