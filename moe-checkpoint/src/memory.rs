//! Memory that a process may still take, so that sizes from files are refused before they are allocated.

use crate::disk;
use std::path::Path;

/// Bytes that this process may still take: the least of what the machine has, what its control groups
/// allow and what its limit of address space (`ulimit -v`) leaves. `u64::MAX` where the system says
/// nothing, as outside of Linux.
pub fn available() -> u64 {
    let sources = [machine(), control_groups(), address_space()];
    sources.into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// Free memory and what the system would give up for it.
fn machine() -> Option<u64> {
    kilobytes(&text(Path::new("/proc/meminfo"))?, "MemAvailable:")
}

/// The files of a version of control groups.
struct Groups<'a> {
    root: &'a str,
    /// The limit.
    most: &'static str,
    /// Bytes in use, cached files included.
    used: &'static str,
    /// Cached files, of `memory.stat`: of the group and those below it.
    cached: &'static str,
}

const FIRST: Groups<'_> = Groups {
    root: "/sys/fs/cgroup/memory",
    most: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};

const SECOND: Groups<'_> = Groups {
    root: "/sys/fs/cgroup",
    most: "memory.max",
    used: "memory.current",
    cached: "inactive_file",
};

/// The least that is left in the control groups of this process and those above them.
fn control_groups() -> Option<u64> {
    let groups = text(Path::new("/proc/self/cgroup"))?;
    let left = groups.lines().filter_map(|line| {
        // number:controllers:path, and the second version names no controllers
        let mut parts = line.splitn(3, ':').skip(1);
        match (parts.next()?, parts.next()?) {
            ("", group) => SECOND.left(group),
            ("memory", group) => FIRST.left(group),
            _ => None,
        }
    });
    left.min()
}

impl Groups<'_> {
    fn left(&self, group: &str) -> Option<u64> {
        let root = Path::new(self.root);
        let group = root.join(group.trim_start_matches('/'));
        let groups = group.ancestors().take_while(|path| path.starts_with(root));
        groups.filter_map(|group| self.left_of(group)).min()
    }

    fn left_of(&self, group: &Path) -> Option<u64> {
        let most: u64 = text(&group.join(self.most))?.trim().parse().ok()?;
        let used: u64 = text(&group.join(self.used))?.trim().parse().ok()?;
        let stat = text(&group.join("memory.stat")).unwrap_or_default();
        // cached files count as used, and are given up first
        let cached = number_after(&stat, self.cached).unwrap_or(0);
        Some(most.saturating_sub(used.saturating_sub(cached)))
    }
}

/// The limit of address space less what is taken of it.
fn address_space() -> Option<u64> {
    let limits = text(Path::new("/proc/self/limits"))?;
    let most = number_after(&limits, "Max address space")?;
    let used = kilobytes(&text(Path::new("/proc/self/status"))?, "VmSize:")?;
    Some(most.saturating_sub(used))
}

fn text(path: &Path) -> Option<String> {
    disk::read_text(path, 1 << 20).ok()
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    number_after(text, name)?.checked_mul(1024)
}

/// The number after a name at the beginning of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_their_names() {
        let meminfo = "MemTotal:       16 kB\nMemAvailable:    7 kB\n";
        assert_eq!(kilobytes(meminfo, "MemAvailable:"), Some(7 * 1024));
        let limits = "Max cpu time              unlimited            unlimited            seconds\n\
                      Max address space         4096                 unlimited            bytes\n";
        assert_eq!(number_after(limits, "Max address space"), Some(4096));
        assert_eq!(number_after(limits, "Max cpu time"), None);
    }

    #[test]
    fn the_least_of_nested_groups_counts_without_what_is_cached() {
        let root = tempfile::tempdir().expect("a new folder");
        let root = root.path();
        let inner = root.join("inner");
        std::fs::create_dir(&inner).expect("a new folder");
        for (group, most, used) in [(root, "1000", "500"), (&inner, "max", "400")] {
            std::fs::write(group.join(SECOND.most), most).expect("a new file");
            std::fs::write(group.join(SECOND.used), used).expect("a new file");
        }
        std::fs::write(root.join("memory.stat"), "inactive_file 200\n").expect("a new file");
        let groups = Groups {
            root: root.to_str().expect("a name in UTF-8"),
            ..SECOND
        };
        assert_eq!(groups.left("/inner"), Some(700));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_available_is_some_and_not_more_than_the_machine_has() {
        let meminfo = text(Path::new("/proc/meminfo")).expect("Linux has it");
        let total = kilobytes(&meminfo, "MemTotal:").expect("it says so");
        let available = available();
        assert!(available > 0 && available < total, "{available} of {total}");
    }
}
