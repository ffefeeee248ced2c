//! A copy of the workspace that recipes are followed in.
//!
//! The copy builds into the same target directory, so that Burn is not built again. Its crates have
//! another version there, and so other file names, and its program has another name: nothing that the
//! workspace itself has built is replaced. The copy stays, and only what changed is written again.

use crate::page::Recipe;
use crate::tree::{replace, sources, write_changes};
use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The name of the copy's program.
const PROGRAM: &str = "moe-with-recipes";

/// Overrides of a documented command, so that it takes a second.
const TINY: &str = "data.vocab=bytes model.d_model=32 model.n_layers=1 attention.n_heads=2 \
    attention.n_kv_heads=1 experts.d_expert=16 train.steps=10 train.batch_size=2 train.seq_length=64 \
    train.eval_every=10 train.eval_windows=9 train.checkpoint_every=10";

/// A copy of the workspace, built.
pub struct WorkspaceCopy {
    /// Output of the compiler.
    pub built: String,
    folder: PathBuf,
}

impl WorkspaceCopy {
    /// Brings the copy up to date, follows the recipes in it, and builds its program.
    pub fn with(recipes: &[&Recipe]) -> Self {
        let mut files = sources();
        let version = format!("version = \"{}\"\nedition", env!("CARGO_PKG_VERSION"));
        let other_version = version.replace("\"\n", "+recipes\"\n");
        replace(&mut files, "Cargo.toml", &version, &other_version);
        let program = format!("name = \"{PROGRAM}\"\n");
        replace(
            &mut files,
            "moe-cli/Cargo.toml",
            "name = \"moe\"\n",
            &program,
        );
        for recipe in recipes {
            recipe.apply(&mut files);
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes");
        write_changes(&folder, &files);

        let mut copy = Self {
            built: String::new(),
            folder,
        };
        copy.built = copy.cargo(&format!("build -p moe-cli --bin {PROGRAM}"));
        copy
    }

    /// Runs cargo in the copy, with the workspace's own target directory and profile, and returns what it printed.
    pub fn cargo(&self, arguments: &str) -> String {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let profile = if cfg!(debug_assertions) {
            "dev"
        } else {
            "release"
        };
        let mut words = arguments.split(' ').filter(|word| *word != "--release");
        let mut command = Command::new(env!("CARGO"));
        command
            .arg(words.next().unwrap())
            .args(["--profile", profile, "--offline"])
            .args(words)
            .env("CARGO_TARGET_DIR", target)
            .current_dir(&self.folder);
        let output = command.output().unwrap();
        let printed = printed(&output);
        assert!(output.status.success(), "cargo {arguments}: {printed}");
        printed
    }

    /// Runs the copy's program and returns its stdout.
    pub fn moe(&self, arguments: &str, runs: &Path) -> String {
        let program =
            Path::new(env!("CARGO_BIN_EXE_moe")).with_file_name(format!("{PROGRAM}{EXE_SUFFIX}"));
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).current_dir(&self.folder);
        if !arguments.starts_with("list") {
            command.arg("--runs").arg(runs);
            command.args(TINY.split_whitespace());
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "moe {arguments}: {}",
            printed(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

fn printed(output: &Output) -> String {
    [&output.stderr, &output.stdout]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}
