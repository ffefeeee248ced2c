//! `moe convert`: between published checkpoints and our own files.

use crate::exit::{OrUsage, Status, Usage};
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, ValueEnum};
use moe_models::checkpoint::{
    AnyCheckpoint, AnyNative, PublishedCheckpoint, check_target, is_native,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The arguments of `moe convert`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe convert checkpoints/mixtral ours\n  moe convert ours published-again"
)]
pub struct ConvertArgs {
    /// A published checkpoint, or a folder that this command wrote
    source: PathBuf,
    /// The folder to write; nothing may be there
    target: PathBuf,
    /// The files to write. Default: the other kind
    #[arg(long, value_name = "KIND")]
    to: Option<Kind>,
}

/// The kinds of checkpoints.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// config.json and model.safetensors, a tensor for each expert
    Published,
    /// config.json and model.bpk, one tensor for all experts
    Native,
}

/// What is converted, opened and checked.
#[allow(clippy::large_enum_variant)] // one of them a command
enum Source {
    Published(AnyCheckpoint),
    Native(AnyNative),
}

impl Source {
    fn open(folder: &Path, kind: Kind) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Native => Self::Native(AnyNative::open(folder)?),
            Kind::Published => Self::Published(AnyCheckpoint::open(folder)?),
        })
    }
}

/// Converts a checkpoint. From published to published it goes tensor by tensor; else the whole model is in
/// memory.
pub fn run(args: &ConvertArgs, shared: &Shared) -> anyhow::Result<Status> {
    let from = match is_native(&args.source) {
        true => Kind::Native,
        false if PublishedCheckpoint::is_at(&args.source) => Kind::Published,
        false => {
            return Err(Usage::error(format!(
                "`{}` is no checkpoint: it has no config.json",
                args.source.display()
            )));
        }
    };
    let to = args.to.unwrap_or(match from {
        Kind::Published => Kind::Native,
        Kind::Native => Kind::Published,
    });
    if from == to && from == Kind::Native {
        return Err(Usage::error(format!(
            "`{}` has our own files already; copy the folder, or give --to published",
            args.source.display()
        )));
    }
    check_target(&args.target).or_usage()?;
    let device = shared.open_device()?;
    let source = Source::open(&args.source, from)?;
    if shared.dry_run {
        print(&format!("would write {}", shown(&args.target)))?;
        return Ok(Status::Done);
    }
    match (source, to) {
        (Source::Native(native), _) => native.publish(&args.target, &device.device)?,
        (Source::Published(checkpoint), Kind::Native) => {
            checkpoint.to_native(&args.target, &device.device)?;
        }
        (Source::Published(checkpoint), Kind::Published) => checkpoint.rewrite(&args.target)?,
    }
    if shared.json {
        print_json(&json!({ "source": args.source, "target": args.target }))?;
    } else {
        print(&format!("wrote {}", shown(&args.target)))?;
    }
    let path = shown(&args.target);
    shared.next(&match to {
        Kind::Published => format!("inspect {path}"),
        Kind::Native => format!("convert {path} PUBLISHED"),
    });
    Ok(Status::Done)
}
