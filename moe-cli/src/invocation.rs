//! The way the reader started this program, to print commands that can be pasted.

use crate::backends::Backend;
use anyhow::Context;
use moe_view::quote;
use std::path::{Path, PathBuf};

/// The beginning of a command: `cargo run --release --` under cargo, else the program's name if a shell finds
/// this program by it, else its path.
pub fn command(backend: Option<&Backend>) -> String {
    let is_cargo = std::env::var_os("CARGO").is_some();
    match backend {
        Some(backend) if is_cargo && !backend.is_default() => with_feature(backend.feature),
        _ if is_cargo => "cargo run --release --".to_owned(),
        _ => program().unwrap_or_else(|| "moe".to_owned()),
    }
}

/// This program as another process on another machine could start it: its name if a shell finds it by that, else its
/// whole path.
pub fn program_anywhere() -> anyhow::Result<String> {
    let program = std::env::current_exe().context("cannot find this program to name it")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_found = is_found(&program, std::env::split_paths(&path));
    let name = program.file_name().filter(|_| is_found);
    let shown = name.unwrap_or(program.as_os_str());
    Ok(quote(&shown.to_string_lossy()))
}

/// This program as it could be typed; nothing if the system does not tell where it lies.
fn program() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    Some(typed(&program, &here, std::env::split_paths(&path)))
}

/// The shortest way to type the path of a program, seen from a folder by a shell that looks in some others.
fn typed(program: &Path, here: &Path, path: impl Iterator<Item = PathBuf>) -> String {
    if is_found(program, path) {
        let name = program.file_name().unwrap_or_default();
        return quote(&name.to_string_lossy());
    }
    let shown = match program.strip_prefix(here) {
        Ok(below) if below.components().count() > 1 => below.to_owned(),
        Ok(below) => Path::new(".").join(below),
        Err(_) => program.to_owned(),
    };
    quote(&shown.to_string_lossy())
}

/// Tells whether a shell that looks in some folders finds a program by its name.
fn is_found(program: &Path, mut path: impl Iterator<Item = PathBuf>) -> bool {
    let name = program.file_name().unwrap_or_default();
    let found = path.find_map(|folder| folder.join(name).canonicalize().ok());
    found.is_some() && found == program.canonicalize().ok()
}

/// The beginning of a command that builds a backend in.
pub fn with_feature(feature: &str) -> String {
    format!("cargo run --release --features {feature} --")
}

/// The arguments of this program as they could be typed.
pub fn arguments() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).map(|a| quote(&a)).collect();
    arguments.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_typed_by_its_name_if_that_finds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path().canonicalize().expect("a path");
        let (bin, other) = (here.join("bin"), here.join("other"));
        for folder in [&bin, &other] {
            std::fs::create_dir(folder).expect("a folder");
            std::fs::write(folder.join("moe"), b"").expect("a file");
        }
        let program = bin.join("moe");
        let typed = |here: &Path, path: &[&PathBuf]| {
            typed(&program, here, path.iter().map(|folder| (*folder).clone()))
        };
        assert_eq!(typed(&other, &[&bin, &other]), "moe");
        // another program of that name is found first, or none
        assert_eq!(typed(&here, &[&other, &bin]), "bin/moe");
        assert_eq!(typed(&here, &[]), "bin/moe");
        assert_eq!(typed(&bin, &[]), "./moe");
        assert_eq!(typed(&other, &[]), program.display().to_string());
    }
}
