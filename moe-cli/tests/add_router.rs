//! `docs/guide/bring-a-router.md`, followed to the letter in a copy of the workspace.
//!
//! The copy builds into the same target directory, so that Burn is not built again. Its crates have
//! another version there, and so other file names, and its program has another name: nothing that the
//! workspace itself has built is replaced. The copy stays, and only what changed is written again.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LIST: &str = "moe-router/src/zoo/mod.rs";

/// The name of the copy's program.
const PROGRAM: &str = "moe-with-recipe";

/// What is added to a documented command, so that it takes a second.
const TINY: &str = "data.vocab=bytes model.d_model=32 model.n_layers=1 attention.n_heads=2 \
    attention.n_kv_heads=1 experts.d_expert=16 train.steps=10 train.batch_size=2 train.seq_length=64 \
    train.eval_every=10 train.eval_windows=9 train.checkpoint_every=10";

/// The files of a tree by their path.
type Files = BTreeMap<PathBuf, Vec<u8>>;

#[test]
fn a_file_and_a_line_add_a_router() {
    let recipe = Recipe::read(&workspace().join("docs/guide/bring-a-router.md"));
    let copy = copy_with(&recipe);
    let runs = tempfile::tempdir().unwrap();

    let built = cargo(&copy, &["build", "-p", "moe-cli", "--bin", PROGRAM]);
    assert!(
        !built.contains(&format!("zoo/{}.rs", recipe.module)),
        "{built}"
    );
    for command in &recipe.commands {
        if let Some(arguments) = command.strip_prefix("cargo run --release -- ") {
            let stdout = moe(&copy, arguments, runs.path());
            assert!(
                stdout.contains(&expected(arguments, &recipe.router)),
                "{command}: {stdout}"
            );
        } else {
            let arguments: Vec<&str> = command
                .split(' ')
                .skip(1)
                .filter(|a| *a != "--release")
                .collect();
            let output = cargo(&copy, &arguments);
            assert!(
                output.contains(&format!("zoo::{}::tests::", recipe.module)),
                "{output}"
            );
            assert!(
                output.contains("no_router_of_the_list_breaks_a_law ... ok"),
                "{output}"
            );
        }
    }
}

/// What a command must print if it knows the new router.
fn expected(arguments: &str, router: &str) -> String {
    match arguments.split(' ').next().unwrap() {
        "list" | "ablate" => format!("\n{router} "),
        "train" => "validation bits/byte".to_owned(),
        other => panic!("say here what `moe {other}` must print"),
    }
}

/// What the page says.
struct Recipe {
    router: String,
    module: String,
    file: String,
    line: String,
    commands: Vec<String>,
}

impl Recipe {
    fn read(path: &Path) -> Self {
        let page = fs::read_to_string(path).unwrap();
        let rust = blocks(&page, "rust");
        let [file, line] = rust.as_slice() else {
            panic!("{} blocks of Rust: one file, one line", rust.len());
        };
        assert_eq!(line.lines().count(), 1, "{line}");
        let router = line.split('"').nth(1).unwrap().to_owned();
        let module = line
            .split("=> ")
            .nth(1)
            .unwrap()
            .split("::")
            .next()
            .unwrap()
            .to_owned();
        assert!(
            page.contains(&format!("`moe-router/src/zoo/{module}.rs`")),
            "the page names the file"
        );
        let commands: Vec<String> = blocks(&page, "sh")
            .concat()
            .lines()
            .map(String::from)
            .collect();
        for start in [
            "run --release -- list",
            "run --release -- train",
            "run --release -- ablate",
            "test",
        ] {
            let found = commands
                .iter()
                .any(|command| command.starts_with(&format!("cargo {start}")));
            assert!(found, "no command `cargo {start}`");
        }
        Self {
            router,
            module,
            file: file.clone(),
            line: line.clone(),
            commands,
        }
    }
}

/// The code blocks of a language on a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    page.split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .map(String::from)
        .collect()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Brings the copy up to date, with the recipe followed, and returns its folder.
fn copy_with(recipe: &Recipe) -> PathBuf {
    let mut files = sources();
    let version = format!("version = \"{}\"\nedition", env!("CARGO_PKG_VERSION"));
    let other_version = version.replace("\"\n", "+recipe\"\n");
    replace(&mut files, "Cargo.toml", &version, &other_version);
    let program = format!("name = \"{PROGRAM}\"\n");
    replace(
        &mut files,
        "moe-cli/Cargo.toml",
        "name = \"moe\"\n",
        &program,
    );

    let list = text(&files, LIST);
    let start = list.find("routers! {\n").unwrap();
    let end = start + list[start..].find("\n}").unwrap() + 1;
    let list = format!("{}{}{}", &list[..end], recipe.line, &list[end..]);
    files.insert(LIST.into(), list.into());
    let file = format!("moe-router/src/zoo/{}.rs", recipe.module);
    assert!(
        files
            .insert(file.into(), recipe.file.clone().into())
            .is_none(),
        "a new file"
    );

    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("add-router");
    write_changes(&copy, &files);
    copy
}

/// The manifests, the crates, the run files and the documents of the workspace.
fn sources() -> Files {
    let mut files = Files::new();
    for name in ["Cargo.toml", "Cargo.lock"] {
        files.insert(name.into(), fs::read(workspace().join(name)).unwrap());
    }
    for entry in fs::read_dir(workspace())
        .unwrap()
        .map(|entry| entry.unwrap())
    {
        let name = PathBuf::from(entry.file_name());
        let wanted = [Path::new("configs"), Path::new("docs")].contains(&name.as_path());
        if wanted || entry.path().join("Cargo.toml").exists() {
            collect(workspace(), &name, &mut files);
        }
    }
    files
}

/// Adds the files below `folder` of `root`.
fn collect(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(path, fs::read(entry.path()).unwrap());
        }
    }
}

fn text(files: &Files, path: &str) -> String {
    String::from_utf8(files[Path::new(path)].clone()).unwrap()
}

fn replace(files: &mut Files, path: &str, from: &str, to: &str) {
    let old = text(files, path);
    assert_eq!(old.matches(from).count(), 1, "{from:?} in {path}");
    files.insert(path.into(), old.replace(from, to).into());
}

/// Writes the files that differ and removes those that are gone, so that only changes are compiled.
fn write_changes(root: &Path, files: &Files) {
    let mut old = Files::new();
    collect(root, Path::new(""), &mut old);
    for path in old.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(root.join(path)).unwrap();
    }
    for (path, content) in files
        .iter()
        .filter(|(path, content)| old.get(*path) != Some(content))
    {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Runs cargo in the copy, into the workspace's own target directory, and returns what it printed.
fn cargo(copy: &Path, arguments: &[&str]) -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    let mut command = Command::new(env!("CARGO"));
    command
        .arg(arguments[0])
        .args(["--profile", profile, "--offline"])
        .args(&arguments[1..]);
    let output = command
        .env("CARGO_TARGET_DIR", target)
        .current_dir(copy)
        .output()
        .unwrap();
    let printed = printed(&output);
    assert!(
        output.status.success(),
        "cargo {}: {printed}",
        arguments.join(" ")
    );
    printed
}

/// Runs the copy's program and returns its stdout.
fn moe(copy: &Path, arguments: &str, runs: &Path) -> String {
    let program =
        Path::new(env!("CARGO_BIN_EXE_moe")).with_file_name(format!("{PROGRAM}{EXE_SUFFIX}"));
    let mut command = Command::new(program);
    command.args(arguments.split(' ')).current_dir(copy);
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

fn printed(output: &Output) -> String {
    [&output.stderr, &output.stdout]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}
