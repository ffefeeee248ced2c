//! Locks where runs go: two processes try one file, and the file system says what that means for other machines.

use super::{Check, existing};
use moe_checkpoint::disk;
use std::env;
use std::fs::TryLockError;
use std::path::Path;
use std::process::{Command, Stdio};

/// The most bytes of the list of mounted file systems.
const MOST: u64 = 1 << 22;

const FREE: &str = "free";
const HELD: &str = "held";

/// The way around locks that do not work.
const LEASE: &str = "add --lock lease to train, ablate and claims run";

/// The state of a file's lock, in a word or as the system's error.
pub(super) fn state_of(path: &Path) -> &'static str {
    let locked = disk::open_regular(path).map(|file| file.try_lock_shared());
    match locked {
        Ok(Ok(())) => FREE,
        Ok(Err(TryLockError::WouldBlock)) => HELD,
        Ok(Err(TryLockError::Error(_))) | Err(_) => "no answer",
    }
}

/// Takes a lock where runs go, or would go, and asks another process whether it sees it.
pub(super) fn check(runs: &Path) -> Check {
    let folder = existing(runs);
    let system = FileSystem::of(folder);
    let name = system
        .as_ref()
        .map_or("unknown", |system| system.name.as_str());
    match tried(folder) {
        Ok(()) => {
            let reach = system.as_ref().map_or(UNTRIED, FileSystem::reach);
            Check::good("locks", format!("{name}: {reach}"))
        }
        Err(problem) => Check::bad("locks", format!("{name}: {problem}; {LEASE}")),
    }
}

/// Locks a new file, and looks at it from another process.
fn tried(folder: &Path) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let file = tempfile::NamedTempFile::new_in(folder).map_err(words)?;
    file.as_file()
        .try_lock()
        .map_err(|error| format!("there are no locks ({error})"))?;
    let program = env::current_exe().map_err(words)?;
    let mut other = Command::new(program);
    other.args(["doctor", "--quiet", "--try-lock"]);
    let output = other
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .map_err(words)?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        HELD => Ok(()),
        FREE => Err("another process does not see a lock".to_owned()),
        other => Err(format!(
            "another process could not look at a lock ({other})"
        )),
    }
}

const UNTRIED: &str = "locks work between processes of this machine; with several machines, call this on another while a run goes on, \
                       and `moe runs` there must say `in training`";

/// A mounted file system.
#[derive(Debug, PartialEq)]
struct FileSystem {
    name: String,
    options: String,
}

impl FileSystem {
    /// The file system of a folder, where the system tells.
    fn of(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let mounts = disk::read_text(Path::new("/proc/self/mounts"), MOST).ok()?;
        Self::parse(&mounts, &folder)
    }

    /// The innermost mount above a folder, of lines `device folder type options ..`; of two on one folder the later one
    /// covers the other.
    fn parse(mounts: &str, folder: &Path) -> Option<Self> {
        let mut found: Option<(usize, Self)> = None;
        for line in mounts.lines() {
            let mut words = line.split(' ').skip(1);
            let (Some(at), Some(name), Some(options)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            // blanks are written so
            let at = at.replace("\\040", " ");
            let depth = Path::new(&at).components().count();
            let is_deeper = found.as_ref().is_none_or(|(other, _)| depth >= *other);
            if folder.starts_with(&at) && is_deeper {
                let (name, options) = (name.to_owned(), options.to_owned());
                found = Some((depth, Self { name, options }));
            }
        }
        found.map(|(_, system)| system)
    }

    /// The machines on which a lock that works here counts.
    fn reach(&self) -> &'static str {
        let has = |wanted: &[&str]| self.options.split(',').any(|own| wanted.contains(&own));
        match self.name.as_str() {
            "nfs" | "nfs4" if has(&["nolock", "local_lock=flock", "local_lock=all"]) => {
                "the mount keeps locks on this machine; with several machines add --lock lease"
            }
            "lustre" if has(&["localflock"]) => {
                "the mount keeps locks on this machine (localflock); with several machines add --lock lease"
            }
            "nfs" | "nfs4" | "lustre" | "gpfs" | "ceph" => {
                "locks work, and count on every machine that mounts it"
            }
            "ext4" | "ext3" | "ext2" | "xfs" | "btrfs" | "zfs" | "tmpfs" | "overlay" | "f2fs" => {
                "locks work; it is a file system of this machine alone"
            }
            _ => UNTRIED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
overlay / overlay rw,relatime 0 0
server:/home /home nfs4 rw,vers=4.2,local_lock=none 0 0
server:/old /old nfs rw,nolock,local_lock=all 0 0
mds:/scratch /scratch lustre rw,localflock 0 0
mds:/a\\040b /a\\040b lustre rw,flock 0 0
tmpfs /scratch/fast tmpfs rw 0 0
";

    #[test]
    fn a_folder_lies_on_the_innermost_mount() {
        let found = |path: &str| {
            let system = FileSystem::parse(MOUNTS, Path::new(path)).expect("a file system");
            (system.name.clone(), system.reach())
        };
        assert_eq!(found("/opt/runs").0, "overlay");
        assert_eq!(found("/homes").0, "overlay");
        assert_eq!(found("/scratch/fast/runs").0, "tmpfs");
        for (path, name, words) in [
            ("/home/me/runs", "nfs4", "every machine"),
            ("/old/runs", "nfs", "--lock lease"),
            ("/scratch/runs", "lustre", "localflock"),
            ("/a b/runs", "lustre", "every machine"),
        ] {
            let (found, reach) = found(path);
            assert_eq!(found, name, "{path}");
            assert!(reach.contains(words), "{path}: {reach}");
        }
        assert_eq!(FileSystem::parse("", Path::new("/")), None);
    }
}
