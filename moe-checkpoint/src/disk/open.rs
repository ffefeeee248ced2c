//! Opening and reading what may come from anywhere: ordinary files only, never more than was asked for.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Opens an ordinary file for reading. A link is followed; a folder, device, pipe or socket is an error, and a
/// pipe is not waited for.
///
/// # Errors
///
/// Returns the system's error, or one that says what the path names instead of a file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    without_waiting(options.read(true));
    regular(options.open(path)?)
}

/// Reads an ordinary file of at most `limit` bytes.
///
/// # Errors
///
/// As [`open_regular`], and if the file holds more.
pub fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(too_long(limit));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // a file of /proc has no length, and any file can grow
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_long(limit));
    }
    Ok(bytes)
}

/// Reads an ordinary file of at most `limit` bytes of UTF-8.
///
/// # Errors
///
/// As [`read_at_most`], and with the place of the first byte that is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read_at_most(path, limit)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let what = format!("it is not UTF-8 at byte {at}");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

/// Opens a file for appending, and makes one where there is none. A link in its place is not followed.
///
/// # Errors
///
/// Returns the system's error, or one that says what the path names instead of a file.
pub fn append_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    without_following(options.append(true).create(true));
    regular(options.open(path).map_err(named_link)?)
}

/// Opens a file that processes lock, and makes an empty one where there is none. What it holds stays, and a
/// link in its place is not followed.
///
/// # Errors
///
/// As [`append_regular`].
pub fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    without_following(options.read(true).write(true).create(true).truncate(false));
    regular(options.open(path).map_err(named_link)?)
}

/// Passes an open file on if it is an ordinary one.
fn regular(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(file);
    }
    let what = format!("it is {}, not an ordinary file", kind(&metadata));
    Err(io::Error::other(what))
}

/// The word for what a path names.
pub(super) fn kind(metadata: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if metadata.is_dir() {
        "a folder"
    } else if metadata.is_file() {
        "a file"
    } else {
        "something else"
    }
}

fn too_long(limit: u64) -> io::Error {
    let limit = match limit {
        0..1_048_576 => format!("{limit} bytes"),
        _ => format!("{} MiB", limit >> 20),
    };
    let what = format!("it holds more than {limit}, the most that is read here");
    io::Error::new(io::ErrorKind::FileTooLarge, what)
}

#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NONBLOCK);
}

#[cfg(unix)]
fn without_following(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
}

#[cfg(not(unix))]
fn without_waiting(_: &mut OpenOptions) {}

#[cfg(not(unix))]
fn without_following(_: &mut OpenOptions) {}

/// The error of a link that was not followed, in words: the system says "too many levels".
fn named_link(error: io::Error) -> io::Error {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ELOOP) {
        return io::Error::other("it is a link, and a link is not followed here");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a");
        fs::write(&path, b"abc\xff").expect("a file");
        assert_eq!(read_at_most(&path, 4).expect("4 bytes"), b"abc\xff");
        let error = read_at_most(&path, 3).expect_err("4 bytes");
        assert_eq!(
            error.to_string(),
            "it holds more than 3 bytes, the most that is read here"
        );
        let error = read_text(&path, 4).expect_err("not text");
        assert_eq!(error.to_string(), "it is not UTF-8 at byte 3");
        assert!(read_at_most(folder.path(), 9).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_but_files_is_opened_and_no_pipe_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.expect("mkfifo").success());
        std::os::unix::fs::symlink("/dev/zero", at("zero")).expect("a link");
        for (path, what) in [
            (at("pipe"), "a pipe"),
            (at("zero"), "a device"),
            (folder.path().to_owned(), "a folder"),
        ] {
            let error = open_regular(&path).expect_err("no file").to_string();
            assert_eq!(error, format!("it is {what}, not an ordinary file"));
            assert!(append_regular(&path).is_err(), "{path:?}");
            assert!(lock_file(&path).is_err(), "{path:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_with_the_name_of_a_log_or_lock_are_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("mine"), "mine").expect("a file");
        std::os::unix::fs::symlink(at("mine"), at("link")).expect("a link");
        for opened in [append_regular(&at("link")), lock_file(&at("link"))] {
            let error = opened.expect_err("a link").to_string();
            assert_eq!(error, "it is a link, and a link is not followed here");
        }
        assert_eq!(fs::read(at("mine")).expect("it is there"), b"mine");
        drop(lock_file(&at("mine")).expect("a file"));
        assert_eq!(fs::read(at("mine")).expect("it is there"), b"mine");
    }
}
