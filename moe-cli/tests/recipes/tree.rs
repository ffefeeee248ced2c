//! The files of a workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a tree by their path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The folder of this workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The manifests, the crates, the run files and the documents of the workspace.
pub fn sources() -> Files {
    let mut files = Files::new();
    for name in ["Cargo.toml", "Cargo.lock"] {
        files.insert(name.into(), fs::read(workspace().join(name)).unwrap());
    }
    for entry in fs::read_dir(workspace()).unwrap() {
        let entry = entry.unwrap();
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

/// Replaces a text that stands once in a file.
pub fn replace(files: &mut Files, path: &str, from: &str, to: &str) {
    let old = String::from_utf8(files[Path::new(path)].clone()).unwrap();
    assert_eq!(old.matches(from).count(), 1, "{from:?} in {path}");
    files.insert(path.into(), old.replace(from, to).into());
}

/// Writes the files that differ and removes those that are gone, so that only changes are compiled.
pub fn write_changes(root: &Path, files: &Files) {
    let mut old = Files::new();
    collect(root, Path::new(""), &mut old);
    for path in old.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(root.join(path)).unwrap();
    }
    for (path, content) in files {
        if old.get(path) != Some(content) {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }
}
