//! `moe verify`: holds a published checkpoint to what its reference implementation computed.

use crate::exit::{Status, Usage};
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json, say};
use clap::Args;
use moe_checkpoint::verify::{Goldens, Quantity, Scope, Tolerance, Verification, verify_any};
use moe_checkpoint::{AnyCheckpoint, PublishedCheckpoint};
use moe_view::{Align, columns};
use serde::Serialize;
use std::path::PathBuf;

/// The arguments of `moe verify`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe verify checkpoints/tiny-mixtral --goldens goldens.safetensors"
)]
pub struct VerifyArgs {
    /// The folder of a published checkpoint: config.json and safetensors files
    checkpoint: PathBuf,
    /// The reference's results, as docs/reference/goldens.md describes. Default: goldens.safetensors in the
    /// checkpoint's folder
    #[arg(long, value_name = "FILE")]
    goldens: Option<PathBuf>,
    /// Leave out gradients and training, for devices that have neither
    #[arg(long)]
    forward_only: bool,
    /// Do not fail for goldens that nothing here computes
    #[arg(long)]
    allow_unknown: bool,
}

/// The output.
#[derive(Serialize)]
struct Report<'a> {
    checkpoint: String,
    goldens: String,
    device: &'a str,
    scope: Scope,
    passed: bool,
    #[serde(flatten)]
    verification: &'a Verification,
}

/// Compares and prints each quantity; exit code 3 if one differs.
pub fn run(args: &VerifyArgs, shared: &Shared) -> anyhow::Result<Status> {
    let path = args.goldens()?;
    let checkpoint = AnyCheckpoint::open(&args.checkpoint)?;
    shared.note_unread(checkpoint.unread());
    let goldens = Goldens::read(&path)?;
    let device = shared.open_device()?;
    let scope = args.scope();
    if shared.dry_run {
        let (checkpoint, n) = (shown(&args.checkpoint), goldens.names().count());
        let (goldens, device) = (shown(&path), device.name);
        print(&format!(
            "would hold {checkpoint} to {n} tensors of {goldens} on {device}"
        ))?;
        return Ok(Status::Done);
    }
    let verification = verify_any(&checkpoint, &goldens, scope, &device.device)?;
    let forgiven = args.allow_unknown || verification.unchecked.is_empty();
    let passed = verification.passed() && forgiven;
    if shared.json {
        print_json(&Report {
            checkpoint: args.checkpoint.display().to_string(),
            goldens: path.display().to_string(),
            device: &device.name,
            scope,
            passed,
            verification: &verification,
        })?;
    } else {
        print(&quantities(&verification.quantities))?;
        print(&summary(&verification))?;
    }
    if !forgiven {
        say("goldens that nothing here computes fail: --allow-unknown passes over them");
    }
    if passed {
        Ok(Status::Done)
    } else {
        Ok(Status::BelowThreshold)
    }
}

impl VerifyArgs {
    /// The file of the goldens, of a checkpoint that is there.
    fn goldens(&self) -> anyhow::Result<PathBuf> {
        let folder = &self.checkpoint;
        if !PublishedCheckpoint::is_at(folder) {
            let what = if folder.is_dir() {
                "has no config.json, so it is no published checkpoint"
            } else {
                "is no folder; give that of a published checkpoint"
            };
            return Err(Usage::error(format!("`{}` {what}", folder.display())));
        }
        let beside = folder.join("goldens.safetensors");
        let path = self.goldens.clone().unwrap_or(beside);
        if !path.is_file() {
            return Err(Usage::error(format!(
                "there are no goldens at `{}`; give their file with --goldens",
                path.display()
            )));
        }
        Ok(path)
    }

    fn scope(&self) -> Scope {
        if self.forward_only {
            Scope::ForwardOnly
        } else {
            Scope::Everything
        }
    }
}

fn quantities(quantities: &[Quantity]) -> String {
    let rows = quantities.iter().map(|quantity| {
        let (limit, kind) = match quantity.tolerance {
            Tolerance::Scaled(limit) => (format!("{limit:.0e}"), "scaled"),
            Tolerance::Relative(limit) => (format!("{limit:.0e}"), "relative"),
            Tolerance::Rounded(limit) => (format!("{limit:.0e}"), "19 of 20"),
            Tolerance::Exact => ("0".to_owned(), "differing"),
        };
        let error = match (quantity.error, quantity.tolerance) {
            (None, _) => "-".to_owned(),
            (Some(error), Tolerance::Exact) => format!("{error}"),
            (Some(error), _) => format!("{error:.1e}"),
        };
        let verdict = match (quantity.passed, &quantity.problem) {
            (true, _) => "pass".to_owned(),
            (false, None) => "FAIL".to_owned(),
            (false, Some(problem)) => format!("FAIL: {problem}"),
        };
        vec![
            quantity.name.clone(),
            error,
            limit,
            kind.to_owned(),
            verdict,
        ]
    });
    let header = ["quantity", "largest error", "tolerance", "kind", ""];
    let header = header.map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let align = [
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Left,
        Align::Left,
    ];
    columns(&rows, &align)
}

fn summary(verification: &Verification) -> String {
    let n = verification.quantities.len();
    let failed = verification.quantities.iter().filter(|q| !q.passed).count();
    let mut text = format!("{} of {n} quantities pass", n - failed);
    if !verification.unchecked.is_empty() {
        let names = verification.unchecked.join(", ");
        text = format!("{text}\nnot checked: {names}");
    }
    text
}
