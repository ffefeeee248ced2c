//! Where, when and with what a run was made: everything that may differ between two equal runs.

use moe_checkpoint::disk;
use moe_parallel::Mesh;
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
    /// The name of the machine.
    #[serde(default)]
    pub hostname: String,
    /// The job of the cluster that the process was part of, such as `slurm 17_3` for task 3 of array 17.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The widest vector instructions of the processor: avx512, avx2, neon or none. The same program gives the
    /// same bits where this and the processor's family are the same.
    #[serde(default)]
    pub simd: String,
    /// The number of threads that the processor offers.
    pub threads: usize,
    /// The command line.
    pub argv: Vec<String>,
    /// The processes that made the run together, or its last continuation, if there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<World>,
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

/// Processes that made a run together. Its numbers do not depend on them.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct World {
    /// The number of processes.
    pub ranks: usize,
    /// The number of them among which the experts of a layer were shared out.
    pub expert_parallel: usize,
    /// The engine: `mpi` or `threads`.
    pub engine: String,
    /// Seconds that the first process spent in exchanges of rows, waiting included.
    pub exchange_s: f64,
    /// Seconds of them in which it waited for the last process to come.
    pub waited_s: f64,
    /// Bytes of rows that it sent to others.
    pub sent_bytes: u64,
    /// Its own training tokens, whose rows they are.
    pub own_tokens: u64,
}

impl World {
    /// The processes of a mesh, if there are several.
    pub(super) fn of(mesh: &Mesh) -> Option<Self> {
        mesh.is_shared().then(|| Self {
            ranks: mesh.world.size(),
            expert_parallel: mesh.experts.size(),
            engine: mesh.world.engine().to_owned(),
            exchange_s: 0.0,
            waited_s: 0.0,
            sent_bytes: 0,
            own_tokens: 0,
        })
    }
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
            hostname: hostname(),
            job: job(),
            simd: simd().to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            argv: argv.to_vec(),
            started_at: now_s(),
            ..Self::default()
        }
    }

    /// The kind of device that the numbers come from: runs of two kinds may differ in their last digits. The processor
    /// counts on every device, since routers choose experts on it.
    pub fn kind_of_device(&self) -> String {
        let device = self.device.split(':').next().unwrap_or_default();
        format!("{device} on {}, {}", self.host, self.simd)
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

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

/// The name of this machine; "" if the system does not tell.
pub(crate) fn hostname() -> String {
    let told = disk::read_text(Path::new("/proc/sys/kernel/hostname"), 1 << 10).ok();
    let told = told.or_else(|| stdout_of("hostname", &[]));
    told.map_or(String::new(), |name| name.trim().to_owned())
}

/// The job of the cluster that this process is part of.
pub(super) fn job() -> Option<String> {
    job_of(|name| std::env::var(name).ok())
}

/// The job by its variables. A task of an array is named by the array: the last task has the array's own number
/// as its own.
fn job_of(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let of_array = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
    let slurm = of_array.map(|(array, task)| format!("{array}_{task}"));
    if let Some(job) = slurm.or_else(|| variable("SLURM_JOB_ID")) {
        return Some(format!("slurm {job}"));
    }
    let index = variable("JOB_COMPLETION_INDEX")?;
    Some(format!("kubernetes {index}"))
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
    stdout_of("git", &["rev-parse", "HEAD"]).unwrap_or_default()
}

/// The output of a command that succeeds.
fn stdout_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.trim().to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_an_array_is_named_by_the_array() {
        let job = |variables: &[(&str, &str)]| {
            let found = |name: &str| variables.iter().find(|(other, _)| *other == name);
            job_of(|name| found(name).map(|(_, value)| (*value).to_owned()))
        };
        let alone = ("SLURM_JOB_ID", "9");
        let task = [("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "3")];
        assert_eq!(job(&[alone]).as_deref(), Some("slurm 9"));
        assert_eq!(
            job(&[alone, task[0], task[1]]).as_deref(),
            Some("slurm 7_3")
        );
        let pod = ("JOB_COMPLETION_INDEX", "2");
        assert_eq!(job(&[pod]).as_deref(), Some("kubernetes 2"));
        assert_eq!(job(&[]), None);
    }

    #[test]
    fn devices_of_one_kind_have_one_name() {
        let kind = |device: &str, simd: &str| {
            let mut manifest = Manifest::new(device, &[]);
            manifest.simd = simd.to_owned();
            manifest.kind_of_device()
        };
        assert_eq!(kind("cuda:0", "avx2"), kind("cuda:1", "avx2"));
        assert_ne!(kind("flex", "avx2"), kind("flex", "avx512"));
    }
}
