//! Writing a file whole, after a look at what has its name.

use super::open::kind;
use super::{builder, parent, sync_name};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file. An ordinary file, and one that is not there yet, appears whole or not at all: its bytes go
/// to a new file beside it, synced before it takes the name. Links are followed. A device, a pipe and what
/// `/proc` or `/dev/stdout` lead to are written to as they are, and never replaced.
///
/// # Errors
///
/// Returns the system's error; a file at `path` is then as it was, and the new file is gone. A folder, a pipe
/// that nobody reads, and another user's file in a folder like `/tmp` are errors. A process that is killed
/// leaves a file `.moe-*.part`.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_with(path, |out| out.write_all(bytes))
}

/// Writes a file in pieces that need not be in memory together, otherwise as [`write_whole`] does. `fill` writes
/// them; what it returns is passed on.
///
/// # Errors
///
/// As [`write_whole`], and the error of `fill`, after which a file at `path` is as it was.
pub fn write_whole_with<T, E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    match Place::of(path)? {
        Place::Stream => write_stream(path, fill),
        Place::File { path, there } => write_file(&path, there.as_ref(), fill),
    }
}

/// Writes a file that must not be there yet, for folders that nobody else sees before they are whole.
///
/// # Errors
///
/// Returns the system's error, also where the name is taken, by a link too.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(bytes)
}

/// Says whether [`write_whole`] could take a path, as far as that can be seen without writing.
///
/// # Errors
///
/// As [`write_whole`], for a folder, and for a file whose folder does not exist.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match Place::of(path)? {
        Place::Stream => Ok(()),
        Place::File { path, .. } if parent(&path).is_dir() => Ok(()),
        Place::File { path, .. } => {
            let what = format!("there is no folder `{}`", parent(&path).display());
            Err(io::Error::new(io::ErrorKind::NotFound, what))
        }
    }
}

/// Kind of thing that a path leads to.
enum Place {
    /// A device, a pipe, or a file that a process has open.
    Stream,
    /// An ordinary file, or a free name, with all links resolved.
    File {
        path: PathBuf,
        there: Option<Metadata>,
    },
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let path = resolve(path)?;
        if path.starts_with("/proc") {
            return Ok(Self::Stream);
        }
        let there = match fs::metadata(&path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match there {
            Some(metadata) if metadata.is_dir() => Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder",
            )),
            Some(metadata) if !metadata.is_file() => Ok(Self::Stream),
            there => Ok(Self::File { path, there }),
        }
    }
}

/// Follows links, also one whose target does not exist yet, up to the first name below `/proc`: what stands
/// there is no path, but a file that a process has open.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        if let (Some(name), Ok(folder)) = (path.file_name(), parent(&path).canonicalize()) {
            path = folder.join(name);
        }
        if path.starts_with("/proc") {
            return Ok(path);
        }
        match fs::read_link(&path) {
            Ok(target) => path = parent(&path).join(target),
            Err(_) => return Ok(path), // no link, or nothing there
        }
    }
    Err(io::Error::other("it is a link that leads to itself"))
}

fn write_file<T, E: From<io::Error>>(
    path: &Path,
    there: Option<&Metadata>,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let folder = parent(path);
    let mut file = builder(0o666).tempfile_in(folder)?;
    if let Some(there) = there {
        keep_owner_and_mode(path, there, file.as_file())?;
    }
    let filled = filled(file.as_file_mut(), fill)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_name(folder);
    Ok(filled)
}

/// Lets `fill` write to an open file, in few calls of the system.
fn filled<T, E: From<io::Error>>(
    file: &mut File,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let mut out = BufWriter::new(file);
    let filled = fill(&mut out)?;
    out.flush()?;
    Ok(filled)
}

/// Gives a new file the permissions of the one that it replaces, and refuses to replace another user's file
/// in a folder where each may delete his own files only, as the system does for everybody but root.
#[cfg(unix)]
fn keep_owner_and_mode(path: &Path, there: &Metadata, new: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    const STICKY: u32 = 0o1000;
    let folder = fs::metadata(parent(path))?;
    if there.uid() != new.metadata()?.uid() && folder.mode() & STICKY != 0 {
        let what = "it belongs to another user";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    new.set_permissions(there.permissions())
}

#[cfg(not(unix))]
fn keep_owner_and_mode(_: &Path, _: &Metadata, _: &File) -> io::Result<()> {
    Ok(())
}

/// Writes to what is there, without making or truncating anything.
fn write_stream<T, E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let read_by_somebody = is_read_by_somebody(path)?;
    let mut stream = OpenOptions::new().append(true).open(path)?;
    drop(read_by_somebody);
    filled(&mut stream, fill)
}

/// Opens a pipe without waiting, which fails where nobody reads it. Holding the result keeps the next open
/// from waiting.
#[cfg(unix)]
fn is_read_by_somebody(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    if kind(&fs::metadata(path)?) != "a pipe" {
        return Ok(None);
    }
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    opened.map(Some).map_err(|error| {
        if error.raw_os_error() == Some(libc::ENXIO) {
            return io::Error::other("it is a pipe that nobody reads");
        }
        error
    })
}

#[cfg(not(unix))]
fn is_read_by_somebody(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::process::Command;

    #[test]
    fn a_file_whose_filling_fails_is_as_it_was() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a");
        write_whole_with(&path, |out| out.write_all(b"old")).expect("written");
        let failed: io::Result<()> = write_whole_with(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.expect_err("it failed").to_string(), "no more");
        assert_eq!(fs::read(&path).expect("there"), b"old");
        let names = fs::read_dir(folder.path()).expect("a folder");
        assert_eq!(names.count(), 1);
    }

    #[test]
    fn a_link_stays_and_its_file_is_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("below")).expect("a folder");
        fs::write(at("below/file"), "old").expect("a file");
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(at("below/file"), mode).expect("permissions");
        symlink("below/file", at("link")).expect("a link");
        symlink("below/new", at("dangling")).expect("a link");
        write_whole(&at("link"), b"new").expect("written");
        write_whole(&at("dangling"), b"made").expect("written");
        assert_eq!(fs::read(at("below/file")).expect("there"), b"new");
        assert_eq!(fs::read(at("below/new")).expect("there"), b"made");
        let kept = fs::metadata(at("below/file")).expect("there").permissions();
        assert_eq!(kept.mode() & 0o777, 0o640);
        for link in ["link", "dangling"] {
            assert!(fs::symlink_metadata(at(link)).expect("there").is_symlink());
        }
        symlink("round", at("round")).expect("a link");
        write_whole(&at("round"), b"").expect_err("a circle");
    }

    #[test]
    fn devices_and_pipes_are_written_to_and_stay() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        symlink("/dev/null", at("null")).expect("a link");
        write_whole(&at("null"), b"gone").expect("written");
        let null = fs::metadata("/dev/null").expect("a device");
        assert!(null.file_type().is_char_device());

        assert!(
            Command::new("mkfifo")
                .arg(at("pipe"))
                .status()
                .expect("mkfifo")
                .success()
        );
        let error = write_whole(&at("pipe"), b"x").expect_err("nobody reads");
        assert_eq!(error.to_string(), "it is a pipe that nobody reads");
        let bytes = vec![7; 1 << 20]; // more than a pipe holds
        let copy = File::create(at("copy")).expect("a file");
        let mut reader = Command::new("cat");
        let mut reader = reader.arg(at("pipe")).stdout(copy).spawn().expect("cat");
        let mut tries = 0..500;
        while let Err(error) = write_whole(&at("pipe"), &bytes) {
            tries.next().unwrap_or_else(|| panic!("{error}"));
            std::thread::sleep(std::time::Duration::from_millis(10)); // until cat has opened it
        }
        assert!(reader.wait().expect("cat").success());
        assert!(fs::read(at("copy")).expect("there") == bytes);
        assert!(
            fs::metadata(at("pipe"))
                .expect("there")
                .file_type()
                .is_fifo()
        );
    }

    #[test]
    fn what_cannot_be_written_is_seen_before() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        check_writable(&at("free")).expect("a free name");
        check_writable(Path::new("/dev/stdout")).expect("a stream");
        assert!(check_writable(folder.path()).is_err());
        assert!(check_writable(&at("none/free")).is_err());
    }
}
