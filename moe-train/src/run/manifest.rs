//! Where, when and with what a run was made: everything that may differ between two equal runs.

use moe_checkpoint::disk;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The version of Burn that this workspace is pinned to.
pub const BURN_VERSION: &str = "0.22.1";

/// The file `manifest.json` of a run folder.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// This workbench's version.
    pub version: String,
    /// Burn's version.
    pub burn: String,
    /// The git commit of the working directory, or "" outside of a repository.
    pub commit: String,
    /// The device.
    pub device: String,
    /// The operating system and processor architecture.
    pub host: String,
    /// The widest vector instructions of the processor: avx512, avx2, neon or none. The same program gives the
    /// same bits where this and the processor's family are the same.
    #[serde(default)]
    pub simd: String,
    /// The number of threads that the processor offers.
    pub threads: usize,
    /// The command line.
    pub argv: Vec<String>,
    /// The name and the hash of the claim that the run was made for, if it was for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Start of the run or of its last continuation, seconds since 1970.
    pub started_at: u64,
    /// Seconds of training, all continuations together.
    pub wall_s: f64,
    /// Training tokens a second over all of them.
    pub tokens_per_s: f64,
    /// The most memory that the process held, bytes; 0 where the system does not tell.
    pub peak_memory_bytes: u64,
}

impl Manifest {
    /// Records what can be said before the first step.
    pub fn new(device: &str, argv: &[String]) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            burn: BURN_VERSION.to_owned(),
            commit: git_commit(),
            device: device.to_owned(),
            host: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            simd: simd().to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            argv: argv.to_vec(),
            started_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
            ..Self::default()
        }
    }

    /// Takes the time and the memory that the run has needed.
    pub fn measured(mut self, wall_s: f64, tokens: u64) -> Self {
        self.wall_s = wall_s;
        self.tokens_per_s = if wall_s > 0.0 {
            tokens as f64 / wall_s
        } else {
            0.0
        };
        self.peak_memory_bytes = peak_memory_bytes();
        self
    }
}

/// The vector instructions that the layers' own loops are compiled for, the widest that the processor has.
fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return "avx2";
        }
    }
    if cfg!(target_arch = "aarch64") {
        "neon"
    } else {
        "none"
    }
}

fn git_commit() -> String {
    Command::new("git")
        .args(["rev-parse", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

/// The high-water mark of this process's memory, where Linux tells.
fn peak_memory_bytes() -> u64 {
    let status = disk::read_text(Path::new("/proc/self/status"), 1 << 20).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}
