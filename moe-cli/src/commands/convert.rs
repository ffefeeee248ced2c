//! `moe convert`: between published checkpoints and our own files.

use crate::exit::{OrUsage, Status, Usage};
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use moe_checkpoint::{
    AnyCheckpoint, Carried, PublishedCheckpoint, ReleasedVmoe, check_target, is_native,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The arguments of `moe convert`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe convert checkpoints/mixtral ours\n  moe convert ours published-again"
)]
pub struct ConvertArgs {
    /// A published checkpoint (a folder or a GGUF file), a folder that this command wrote, or the index of a released V-MoE
    /// (PREFIX.index, with its config.json beside it)
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

/// The kind of thing at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The index of a released V-MoE.
    Released,
    /// The folder of a published checkpoint.
    Published,
    /// A folder that this command wrote.
    Native,
}

impl Origin {
    fn of(path: &Path) -> anyhow::Result<Self> {
        if ReleasedVmoe::is_at(path) {
            Ok(Self::Released)
        } else if is_native(path) {
            Ok(Self::Native)
        } else if PublishedCheckpoint::is_at(path) {
            Ok(Self::Published)
        } else {
            let path = path.display();
            let what = format!("`{path}` is no checkpoint: it has no config.json");
            Err(Usage::error(what))
        }
    }

    /// The spelling as it is written, which must be what can be.
    fn target(self, asked: Option<Kind>, path: &Path) -> anyhow::Result<Kind> {
        let path = path.display();
        match (self, asked) {
            (Self::Native, Some(Kind::Native)) => Err(Usage::error(format!(
                "`{path}` has our own files already; copy the folder, or give --to published"
            ))),
            (Self::Released, Some(Kind::Native)) => Err(Usage::error(format!(
                "`{path}` is as it was released: convert it to the published layout, and that to our own"
            ))),
            (Self::Published, None | Some(Kind::Native)) => Ok(Kind::Native),
            _ => Ok(Kind::Published),
        }
    }
}

/// The source of a conversion, opened and checked.
#[allow(clippy::large_enum_variant)] // one of them a command
enum Source {
    Released(ReleasedVmoe),
    Folder(AnyCheckpoint),
}

impl Source {
    fn open(path: &Path, origin: Origin) -> anyhow::Result<Self> {
        Ok(match origin {
            Origin::Released => Self::Released(ReleasedVmoe::open(path)?),
            Origin::Published | Origin::Native => Self::Folder(AnyCheckpoint::open(path)?),
        })
    }

    fn unread(&self) -> &[String] {
        match self {
            Self::Released(_) => &[],
            Self::Folder(checkpoint) => checkpoint.unread(),
        }
    }

    fn write(self, kind: Kind, target: &Path, device: &Device) -> anyhow::Result<Carried> {
        Ok(match (self, kind) {
            (Self::Released(released), _) => {
                released.publish(target)?;
                Carried::default()
            }
            (Self::Folder(checkpoint), Kind::Native) => checkpoint.to_native(target, device)?,
            (Self::Folder(checkpoint), Kind::Published) => checkpoint.rewrite(target, device)?,
        })
    }
}

/// Converts a checkpoint. From published to published it goes tensor by tensor; else the whole model is in
/// memory.
pub fn run(args: &ConvertArgs, shared: &Shared) -> anyhow::Result<Status> {
    let origin = Origin::of(&args.source)?;
    let kind = origin.target(args.to, &args.source)?;
    check_target(&args.target).or_usage()?;
    let device = shared.open_device()?;
    let source = Source::open(&args.source, origin)?;
    if shared.dry_run {
        print(&format!("would write {}", shown(&args.target)))?;
        return Ok(Status::Done);
    }
    shared.note_unread(source.unread());
    let Carried { copied, left } = source.write(kind, &args.target, &device.device)?;
    if shared.json {
        print_json(&json!({
            "source": args.source,
            "target": args.target,
            "copied": copied,
            "left": left,
        }))?;
    } else {
        print(&format!("wrote {}", shown(&args.target)))?;
    }
    for (what, names) in [("copied", copied), ("left", left)] {
        if !names.is_empty() {
            shared.note(&format!("{what} {}", names.join(", ")));
        }
    }
    shared.next(&format!("inspect {}", shown(&args.target)));
    Ok(Status::Done)
}
