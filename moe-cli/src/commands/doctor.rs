//! `moe doctor`: is this machine ready, and do locks work where runs go?

mod limit;
mod locks;

use crate::backends::{BACKENDS, OpenDevice};
use crate::exit::Status;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use burn::tensor::{Device, Tensor};
use clap::Args;
use limit::Limit;
use moe_train::run::BURN_VERSION;
use moe_view::{pairs, significant};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The side of the square matrices that are multiplied.
const SIDE: usize = 1024;

/// The arguments of `moe doctor`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  moe doctor --device cuda\n  moe doctor --runs /shared/runs")]
pub struct DoctorArgs {
    /// Say whether a lock of this file is free, and nothing else: the other process of the check of locks
    #[arg(long, value_name = "FILE", hide = true)]
    try_lock: Option<PathBuf>,
}

/// One thing that was looked at.
#[derive(Serialize, Debug)]
struct Check {
    name: &'static str,
    ok: bool,
    found: String,
}

/// Prints what was found; not healthy if something is broken.
pub fn run(args: &DoctorArgs, shared: &Shared) -> anyhow::Result<Status> {
    if let Some(path) = &args.try_lock {
        print(locks::state_of(path))?;
        return Ok(Status::Done);
    }
    let mut checks = vec![
        Check::good("moe", env!("CARGO_PKG_VERSION").to_owned()),
        Check::good("burn", BURN_VERSION.to_owned()),
        Check::good(
            "system",
            format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
        threads(),
        Check::good("SIMD", simd_features().join(" ")),
        backends(),
    ];
    match shared.open_device() {
        Ok(device) => checks.extend(device_checks(&device)),
        Err(error) => checks.push(Check::bad("device", error.to_string())),
    }
    checks.push(write_access(&shared.runs));
    checks.push(locks::check(&shared.runs));

    let is_healthy = checks.iter().all(|check| check.ok);
    if shared.json {
        print_json(&serde_json::json!({ "ok": is_healthy, "checks": checks }))?;
    } else {
        print(&table(&checks))?;
    }
    if !is_healthy {
        return Ok(Status::Unhealthy);
    }
    shared.next("train configs/quickstart.toml");
    Ok(Status::Done)
}

impl Check {
    fn good(name: &'static str, found: String) -> Self {
        Self {
            name,
            ok: true,
            found,
        }
    }

    fn bad(name: &'static str, found: String) -> Self {
        Self {
            name,
            ok: false,
            found,
        }
    }
}

fn table(checks: &[Check]) -> String {
    let rows: Vec<(&str, String)> = checks
        .iter()
        .map(|check| {
            let mark = if check.ok { "ok    " } else { "BROKEN" };
            (check.name, format!("{mark}  {}", check.found))
        })
        .collect();
    pairs(&rows)
}

fn threads() -> Check {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let limit = std::env::var("RAYON_NUM_THREADS").ok();
    let limit = limit.map_or(String::new(), |n| format!(", RAYON_NUM_THREADS={n}"));
    Check::good("threads", format!("{available}{limit}"))
}

fn backends() -> Check {
    let compiled = BACKENDS.iter().filter(|backend| backend.is_compiled());
    let names: Vec<&str> = compiled.map(|backend| backend.name).collect();
    if names.is_empty() {
        let remedy = "none is built in; build with --features flex";
        Check::bad("backends", remedy.to_owned())
    } else {
        Check::good("backends", names.join(" "))
    }
}

fn device_checks(device: &OpenDevice) -> Vec<Check> {
    vec![
        Check::good("device", device.name.clone()),
        matrix_product(device),
        gradient(&device.device),
    ]
}

/// Ones times ones has `SIDE` everywhere; 2 n^3 FLOP, the best of five after one to warm up.
fn matrix_product(device: &OpenDevice) -> Check {
    let OpenDevice { device, name } = device;
    let ones = Tensor::<2>::ones([SIDE, SIDE], device);
    let mut best = f64::INFINITY;
    let mut sum = 0.0;
    for _ in 0..6 {
        let start = Instant::now();
        let product = ones.clone().matmul(ones.clone());
        // reading a number back waits for the device
        sum = product.slice([0..1, 0..1]).into_scalar::<f32>();
        best = best.min(start.elapsed().as_secs_f64());
    }
    if sum != SIDE as f32 {
        return Check::bad(
            "matrix product",
            format!("{sum}, not {SIDE}: the device computes wrongly"),
        );
    }
    let gflop_per_s = 2.0 * (SIDE as f64).powi(3) / best / 1e9;
    let limit = if name == "flex" {
        Limit::of_this_machine(rayon::current_num_threads())
    } else {
        None
    };
    Check::good(
        "matrix product",
        format!(
            "{} GFLOP/s (f32, {SIDE} x {SIDE}){}",
            significant(gflop_per_s, 3),
            limit.map_or(String::new(), |limit| beside(gflop_per_s, limit))
        ),
    )
}

/// The share of the processor's limit, with a warning where it is small.
fn beside(gflop_per_s: f64, limit: Limit) -> String {
    let share = gflop_per_s / limit.gflop_per_s();
    let warning = if share < 0.5 {
        "; WARNING: below half, other work may be running"
    } else {
        ""
    };
    let percent = significant(100.0 * share, 2);
    format!(", {percent} % of this processor's {limit}{warning}")
}

/// The derivative of x * x at 3 is 6.
fn gradient(device: &Device) -> Check {
    let x = Tensor::<1>::from_floats([3.0], &device.clone().autodiff()).require_grad();
    let gradients = (x.clone() * x.clone()).backward();
    let found = x
        .grad(&gradients)
        .map(|gradient| gradient.into_scalar::<f32>());
    match found {
        Some(6.0) => Check::good("gradient", "d(x x)/dx = 6 at 3".to_owned()),
        other => Check::bad(
            "gradient",
            format!("{other:?}, not 6: the device differentiates wrongly"),
        ),
    }
}

/// The folder of runs, or the nearest above it that is there.
fn existing(runs: &Path) -> &Path {
    let folders = runs.ancestors().filter(|path| *path != Path::new(""));
    let mut exists = folders.filter(|folder| folder.is_dir());
    exists.next().unwrap_or(Path::new("."))
}

/// Writes and deletes a file where runs go, or would go.
fn write_access(runs: &Path) -> Check {
    let folder = existing(runs);
    // a name that nobody can foresee, and no link is followed
    let written = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(b"moe"));
    let runs = runs.display();
    match written {
        Ok(()) => Check::good("runs folder", format!("{runs} can be written")),
        Err(error) => Check::bad(
            "runs folder",
            format!("{runs} cannot be written: {error}; choose another with --runs DIR"),
        ),
    }
}

#[cfg(target_arch = "x86_64")]
fn simd_features() -> Vec<&'static str> {
    let features = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    features
        .iter()
        .filter(|(_, found)| *found)
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(target_arch = "aarch64")]
fn simd_features() -> Vec<&'static str> {
    vec!["neon"]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn simd_features() -> Vec<&'static str> {
    vec!["unknown"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_share_of_the_limit_is_warned_of() {
        let Some(limit) = Limit::of_this_machine(1) else {
            return;
        };
        let words = |share: f64| beside(share * limit.gflop_per_s(), limit);
        assert!(words(0.8).starts_with(", 80 % of this processor's "));
        assert!(!words(0.8).contains("WARNING"));
        assert!(words(0.4).ends_with("; WARNING: below half, other work may be running"));
    }

    #[test]
    fn the_version_of_burn_is_the_pinned_one() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"={BURN_VERSION}\"")));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_broken() {
        // a file is in the place of the folder
        let file = tempfile::NamedTempFile::new().expect("there is room for an empty file");
        assert!(write_access(file.path().parent().expect("it lies in a folder")).ok);
        assert!(!write_access(Path::new("/proc/moe")).ok);
    }
}
