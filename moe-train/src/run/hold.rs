//! The hold of a process on a run folder: a lock of the system, or a lease where the file system has no locks. A file
//! beside it names the process for those who look from outside.

use super::files::{file_error, write_json};
use super::manifest::{hostname, job, now_s};
use super::{Event, Observer, RunError, RunFolder};
use moe_checkpoint::disk;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, FileTimes, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The age from which a lease that its owner has not touched counts for nothing.
pub const LEASE: Duration = Duration::from_mins(10);

/// The shortest time between two touches.
const TOUCH_EVERY: Duration = Duration::from_secs(5);

/// Attempts to take a hold, and the time between two of them.
const LOOKS: usize = 5;
const LOOK: Duration = Duration::from_millis(10);

/// The most bytes of the file that names the owner.
const MOST: u64 = 1 << 16;

/// The means by which a process holds a run folder.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// A lock of the system, which ends with the process, however that ends.
    #[default]
    Flock,
    /// The owner's file, which counts for nothing once it is older than [`LEASE`]: for file systems without locks.
    Lease,
}

/// The process that holds a run folder, as `owner.json` says. A process that was killed leaves the file behind.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name of its machine.
    pub host: String,
    /// Its number on that machine.
    pub pid: u32,
    /// The start of its hold, seconds since 1970.
    pub started_at: u64,
    /// The job of the cluster that it is part of, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The means by which it holds the folder.
    pub lock: Lock,
}

impl Owner {
    /// This process.
    fn this(lock: Lock) -> Self {
        Self {
            host: hostname(),
            pid: process::id(),
            started_at: now_s(),
            job: job(),
            lock,
        }
    }

    /// Reads a folder's file; `None` if there is none, or none that is whole.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let bytes = disk::read_at_most(path, MOST).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Tells whether a file is a lease that still counts. One that is being written has no owner yet and counts.
pub(super) fn is_leased(path: &Path) -> bool {
    let Ok(modified) = fs::metadata(path).and_then(|found| found.modified()) else {
        return false;
    };
    // no age where the clock of another machine is ahead
    let age = SystemTime::now().duration_since(modified);
    let is_old = age.is_ok_and(|age| age >= LEASE);
    !is_old && Owner::read(path).is_none_or(|owner| owner.lock == Lock::Lease)
}

/// Tells whether a process has the lock of the system.
pub(super) fn is_flocked(path: &Path) -> bool {
    let Ok(file) = disk::open_regular(path) else {
        return false;
    };
    // shared, so that two processes that look do not take each other for the one that trains
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// A hold on a run folder, which ends when this is dropped. A lock of the system ends with the process as well.
#[derive(Debug)]
pub struct Hold {
    owner: Owner,
    path: PathBuf,
    folder: PathBuf,
    touched: Instant,
    /// Given back after the owner's file is gone.
    lock: Option<File>,
}

impl Hold {
    /// Takes the hold of a folder that exists.
    pub(super) fn take(folder: &RunFolder, lock: Lock) -> Result<Self, RunError> {
        let mut hold = Self {
            owner: Owner::this(lock),
            path: folder.owner_file(),
            folder: folder.path().to_owned(),
            touched: Instant::now(),
            lock: None,
        };
        if lock == Lock::Lease {
            hold.lease(&folder.lock())?;
        } else {
            hold.lock = Some(hold.flock(&folder.lock())?);
        }
        Ok(hold)
    }

    /// Takes the lock of the system and then writes the owner's file.
    fn flock(&self, path: &Path) -> Result<File, RunError> {
        let file = disk::lock_file(path).map_err(file_error("open", path))?;
        for _ in 0..LOOKS {
            match file.try_lock() {
                Ok(()) if is_leased(&self.path) => break,
                Ok(()) => {
                    write_json(&self.path, &self.owner)?;
                    return Ok(file);
                }
                // held for a run, or for the instant that a look at it takes
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK),
                Err(TryLockError::Error(source)) => {
                    let path = path.to_owned();
                    return Err(RunError::NoLocks { path, source });
                }
            }
        }
        Err(RunError::Busy(self.folder.clone()))
    }

    /// Creates the owner's file, which one process alone can, or takes the place of a lease that has run out.
    fn lease(&self, lock: &Path) -> Result<(), RunError> {
        let text = serde_json::to_string_pretty(&self.owner).expect("plain data is JSON");
        for _ in 0..LOOKS {
            if is_flocked(lock) || is_leased(&self.path) {
                break;
            }
            self.set_aside()?;
            match disk::write_new(&self.path, text.as_bytes()) {
                Ok(()) => return Ok(()),
                Err(source) if source.kind() == ErrorKind::AlreadyExists => thread::sleep(LOOK),
                Err(source) => return Err(file_error("write", &self.path)(source)),
            }
        }
        Err(RunError::Busy(self.folder.clone()))
    }

    /// Removes a lease that has run out. If another process has just renewed it, it gets its file back.
    fn set_aside(&self) -> Result<(), RunError> {
        let name = format!(".owner-{}-{}", self.owner.host, self.owner.pid);
        let aside = self.folder.join(name);
        match fs::rename(&self.path, &aside) {
            Ok(()) => {}
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(file_error("move", &self.path)(source)),
        }
        if is_leased(&aside) {
            // a link, since a rename would replace what a third process may have created
            let _ = fs::hard_link(&aside, &self.path);
        }
        fs::remove_file(&aside).map_err(file_error("remove", &aside))
    }

    /// Touches the owner's file, and makes sure that a lease was not taken over while this process stood still.
    ///
    /// # Errors
    ///
    /// Returns an error if another process holds the folder now.
    pub fn refresh(&mut self) -> Result<(), RunError> {
        if self.touched.elapsed() < TOUCH_EVERY {
            return Ok(());
        }
        self.touched = Instant::now();
        self.touch()
    }

    fn touch(&self) -> Result<(), RunError> {
        let is_lease = self.owner.lock == Lock::Lease;
        if is_lease && Owner::read(&self.path).as_ref() != Some(&self.owner) {
            return Err(RunError::Lost(self.folder.clone()));
        }
        let times = FileTimes::new().set_modified(SystemTime::now());
        let touched = disk::open_regular(&self.path).and_then(|file| file.set_times(times));
        if is_lease {
            touched.map_err(file_error("touch", &self.path))?;
        }
        // beside a lock of the system the file is there to be looked at, and nothing depends on it
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // the file of another owner stays
        if Owner::read(&self.path).as_ref() == Some(&self.owner) {
            let _ = fs::remove_file(&self.path);
        }
        // a child that was just started has a copy of the file until it runs its own program, and with it the lock
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

/// An observer that refreshes a hold while an evaluation goes on, which may take longer than a lease.
pub(super) struct Holding<'a> {
    pub(super) hold: &'a mut Hold,
    pub(super) observer: &'a mut dyn Observer,
}

impl Observer for Holding<'_> {
    fn on(&mut self, event: Event<'_>) {
        // a lease that was lost shows before the next file is written
        let _ = self.hold.refresh();
        self.observer.on(event);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(runs.path().join("seed-0"));
        (runs, folder)
    }

    #[test]
    fn a_hold_ends_though_a_child_has_a_copy_of_its_file() {
        let (_runs, folder) = folder();
        fs::create_dir_all(folder.path()).unwrap();
        let hold = Hold::take(&folder, Lock::Flock).unwrap();
        let copy = hold.lock.as_ref().unwrap().try_clone().unwrap();
        drop(hold);
        assert!(!is_flocked(&folder.lock()));
        drop(copy);
    }

    fn grow_old(path: &Path) {
        let old = SystemTime::now() - LEASE - Duration::from_secs(1);
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(old).unwrap();
    }

    #[test]
    fn either_hold_keeps_both_kinds_out_and_names_its_owner() {
        for held in [Lock::Flock, Lock::Lease] {
            let (_runs, folder) = folder();
            let hold = folder.hold(held).unwrap();
            assert!(folder.is_locked());
            let owner = folder.owner().unwrap();
            assert_eq!((owner.pid, owner.lock), (process::id(), held));
            for other in [Lock::Flock, Lock::Lease] {
                let error = folder.hold(other).unwrap_err();
                assert!(matches!(error, RunError::Busy(_)), "{held:?}: {error}");
            }
            drop(hold);
            assert!(!folder.is_locked() && folder.owner().is_none());
        }
    }

    #[test]
    fn a_lease_that_has_run_out_is_taken_over_and_its_owner_notices() {
        let (_runs, folder) = folder();
        let mut first = folder.hold(Lock::Lease).unwrap();
        first.owner.pid += 1;
        fs::write(
            folder.owner_file(),
            serde_json::to_vec(&first.owner).unwrap(),
        )
        .unwrap();
        grow_old(&folder.owner_file());
        assert!(!folder.is_locked());
        let second = folder.hold(Lock::Lease).unwrap();
        assert!(folder.is_locked());
        // it stood still for longer than a lease
        first.touched -= 2 * TOUCH_EVERY;
        assert!(matches!(first.refresh(), Err(RunError::Lost(_))));
        drop(first);
        assert_eq!(folder.owner(), Some(second.owner.clone()));
        drop(second);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "the folder of checkpoints alone: {left:?}");
    }

    #[test]
    fn a_lease_that_is_refreshed_goes_on() {
        let (_runs, folder) = folder();
        let mut hold = folder.hold(Lock::Lease).unwrap();
        grow_old(&folder.owner_file());
        assert!(!folder.is_locked());
        hold.touched -= 2 * TOUCH_EVERY;
        hold.refresh().unwrap();
        assert!(folder.is_locked());
    }

    #[test]
    fn what_a_killed_process_left_holds_nothing() {
        let (_runs, folder) = folder();
        let hold = folder.hold(Lock::Flock).unwrap();
        let left = fs::read(folder.owner_file()).unwrap();
        drop(hold);
        fs::write(folder.owner_file(), left).unwrap();
        assert!(!folder.is_locked());
        drop(folder.hold(Lock::Lease).unwrap());
    }
}
