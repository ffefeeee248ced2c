//! Recipes as pages of the guide write them.
//!
//! A block of Rust is a whole file and a block `diff` changes one; the paragraph before names the file, last of its
//! paths. Blocks `sh` are the commands. Blocks of other languages, or of `rust,ignore`, are not part of the recipe.

use crate::tree::{Files, replace, workspace};
use std::fs;
use std::path::Path;

/// The files, changes and commands of a page.
pub struct Recipe {
    pub commands: Vec<String>,
    changes: Vec<Change>,
}

/// A file to write, or lines to add to one.
enum Change {
    File { path: String, text: String },
    Lines { path: String, hunks: Vec<Hunk> },
}

/// Lines of a file before and after a change.
struct Hunk {
    old: String,
    new: String,
}

impl Recipe {
    pub fn read(page: &str) -> Self {
        let text = fs::read_to_string(workspace().join(page)).unwrap();
        let mut recipe = Self {
            commands: Vec::new(),
            changes: Vec::new(),
        };
        // a fence begins its line: blocks of Rust have fences in comments
        let parts: Vec<&str> = text.split("\n```").collect();
        for pair in parts.chunks_exact(2) {
            let (language, block) = pair[1].split_once('\n').unwrap();
            let path = || named_file(pair[0]);
            match language {
                "rust" => recipe.changes.push(Change::File {
                    path: path(),
                    text: format!("{block}\n"),
                }),
                "diff" => recipe.changes.push(Change::Lines {
                    path: path(),
                    hunks: block.split("@@\n").map(Hunk::read).collect(),
                }),
                "sh" => recipe.commands.extend(block.lines().map(String::from)),
                _ => (),
            }
        }
        recipe
    }

    /// The paths of the files to write.
    pub fn new_files(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().filter_map(|change| match change {
            Change::File { path, .. } => Some(path.as_str()),
            Change::Lines { .. } => None,
        })
    }

    /// The name of what is added, which is that of the first file.
    pub fn name(&self) -> &str {
        let path = Path::new(self.new_files().next().unwrap());
        path.file_stem().unwrap().to_str().unwrap()
    }

    /// The number of lines that files which are there already get.
    pub fn n_added_lines(&self) -> usize {
        let lines = |hunk: &Hunk| hunk.new.lines().count() - hunk.old.lines().count();
        let changes = self.changes.iter().map(|change| match change {
            Change::File { .. } => 0,
            Change::Lines { hunks, .. } => hunks.iter().map(lines).sum(),
        });
        changes.sum()
    }

    /// Does what the page says.
    pub fn apply(&self, files: &mut Files) {
        for change in &self.changes {
            match change {
                Change::File { path, text } => {
                    let before = files.insert(path.into(), text.clone().into());
                    assert!(before.is_none(), "{path} is there already");
                }
                Change::Lines { path, hunks } => {
                    for hunk in hunks {
                        replace(files, path, &hunk.old, &hunk.new);
                    }
                }
            }
        }
    }
}

impl Hunk {
    /// Reads lines that begin with a space, a minus or a plus.
    fn read(text: &str) -> Self {
        let side = |other: char| {
            let lines = text.lines().filter(|line| !line.starts_with(other));
            let lines = lines.map(|line| format!("{}\n", &line[1..]));
            format!("\n{}", lines.collect::<String>())
        };
        Self {
            old: side('+'),
            new: side('-'),
        }
    }
}

/// The last path of the paragraph that ends a text.
fn named_file(text: &str) -> String {
    let paragraph = text.trim_end().rsplit("\n\n").next().unwrap();
    let quoted = paragraph.split('`').skip(1).step_by(2);
    let path = quoted.filter(|word| word.contains('/')).last();
    path.unwrap_or_else(|| panic!("no file is named: {paragraph}"))
        .to_owned()
}
