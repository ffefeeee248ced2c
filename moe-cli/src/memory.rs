//! Memory that this process can still take, held against what training needs.

use crate::commands::training_bytes;
use crate::exit::Usage;
use crate::shared::Shared;
use crate::terminal::bytes;
use moe_models::disk;
use moe_train::config::RunConfig;
use std::path::{Path, PathBuf};

/// Backends that compute in the memory of this machine.
const ON_THE_HOST: [&str; 3] = ["flex", "cpu", "ndarray"];

/// Refuses a configuration whose training needs more than there is, before anything is allocated.
pub fn check(config: &RunConfig, device: &str) -> anyhow::Result<()> {
    match shortage(config, device) {
        Some(words) => Err(Usage::error(words)),
        None => Ok(()),
    }
}

/// The same as a remark, for what only plans.
pub fn remark(config: &RunConfig, device: &str, shared: &Shared) {
    if let Some(words) = shortage(config, device) {
        shared.note(&words);
    }
}

fn shortage(config: &RunConfig, device: &str) -> Option<String> {
    let (needed, available) = (training_bytes(&config.account()), available()?);
    let too_much = ON_THE_HOST.contains(&device) && needed > available;
    too_much.then(|| {
        format!(
            "training needs about {} of memory, and {} are free here: make the model or train.batch_size smaller (`moe inspect` shows the parts)",
            bytes(needed),
            bytes(available)
        )
    })
}

/// Bytes that can still be taken: of the machine, the control group and the address space the least.
fn available() -> Option<u64> {
    let limits = [of_machine(), of_control_group(), of_address_space()];
    limits.into_iter().flatten().min()
}

fn text(path: impl AsRef<Path>) -> Option<String> {
    disk::read_text(path.as_ref(), 1 << 20).ok()
}

/// The number after a key at the beginning of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn of_machine() -> Option<u64> {
    Some(field(&text("/proc/meminfo")?, "MemAvailable:")?.saturating_mul(1024))
}

/// What the limits of the control groups of both versions leave, the file cache not counted as taken.
fn of_control_group() -> Option<u64> {
    let groups = text("/proc/self/cgroup")?;
    let left = |folder: &Path, limit: &str, taken: &str| {
        let number = |name: &str| text(folder.join(name))?.trim().parse::<u64>().ok();
        let cache = field(&text(folder.join("memory.stat"))?, "inactive_file ").unwrap_or(0);
        let taken = number(taken)?.saturating_sub(cache);
        Some(number(limit)?.saturating_sub(taken))
    };
    groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, group) = (parts.next()?, parts.next()?);
            let files = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
                "memory" => {
                    let folder = "/sys/fs/cgroup/memory";
                    (folder, "memory.limit_in_bytes", "memory.usage_in_bytes")
                }
                _ => return None,
            };
            let (root, limit, taken) = files;
            let inside = PathBuf::from(root).join(group.trim_start_matches('/'));
            let folders = inside
                .ancestors()
                .take_while(|folder| folder.starts_with(root));
            folders
                .filter_map(|folder| left(folder, limit, taken))
                .min()
        })
        .min()
}

fn of_address_space() -> Option<u64> {
    let limit = field(&text("/proc/self/limits")?, "Max address space")?;
    let taken = field(&text("/proc/self/status")?, "VmSize:")?;
    Some(limit.saturating_sub(taken.saturating_mul(1024)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_their_keys() {
        let text = "MemFree: 3 kB\nMemAvailable:   12 kB\n";
        assert_eq!(field(text, "MemAvailable:"), Some(12));
        assert_eq!(
            field("Max address space unlimited", "Max address space"),
            None
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_model_of_terabytes_is_refused_on_the_host_alone() {
        let overrides = ["model.d_model=65536", "experts.n_experts=65536"];
        let config = RunConfig::of_overrides(&overrides).expect("it can be counted");
        let error = check(&config, "flex")
            .expect_err("no machine has it")
            .to_string();
        assert!(error.contains("training needs about"), "{error}");
        check(&config, "cuda:1").expect("not the memory of this machine");
    }
}
