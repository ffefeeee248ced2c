//! The name of the question that a run answers.

use super::RunConfig;
use sha2::{Digest, Sha256};

/// Keys that came later, as they stand in files where they change nothing: runs keep the names that they had before.
const LATER: [&str; 2] = ["qk_norm = \"none\"", "clip_qkv = 0.0"];

impl RunConfig {
    /// The name of the question that a run answers, the same for all seeds:
    /// `<data>-<model>-<router>-<hash>`, where the hash is of everything but the seed, and the router is left out
    /// if it is the family's own.
    pub fn run_name(&self) -> String {
        let data = match (self.data.is_embedded(), self.data.name()) {
            (true, name) | (_, name @ "fashion_mnist") => name.replace('_', "-"),
            _ => path_word(self.data.path()),
        };
        let family = self.model.name();
        let hash = self.hash();
        match self.router.name() {
            own if own == self.model.info().router => format!("{data}-{family}-{hash}"),
            other => format!("{data}-{family}-{other}-{hash}"),
        }
    }

    /// Eight hexadecimal digits that depend on everything but the seed.
    pub fn hash(&self) -> String {
        let question = Self {
            seed: 0,
            ..self.clone()
        };
        let text = question.to_toml();
        let lines = text.split_inclusive('\n');
        let known: String = lines
            .filter(|line| !LATER.contains(&line.trim_end()))
            .collect();
        Sha256::digest(known)
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The last part of a path as a word for a folder's name.
fn path_word(path: &str) -> String {
    let stem = std::path::Path::new(path)
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let word: String = stem
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .take(24)
        .collect();
    if word.is_empty() {
        "text".to_owned()
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_does_not_depend_on_the_seed_and_does_on_the_rest() {
        let a = RunConfig::with_router("switch").unwrap();
        let seed = RunConfig {
            seed: 7,
            ..a.clone()
        };
        let mut lr = a.clone();
        lr.train.lr = 1e-4;
        assert_eq!(a.run_name(), seed.run_name());
        assert_ne!(a.run_name(), lr.run_name());
        assert!(a.run_name().starts_with("nine-domains-mixtral-switch-"));
        let own = RunConfig::with_router("mixtral").unwrap();
        assert_eq!(
            own.run_name(),
            format!("nine-domains-mixtral-{}", own.hash())
        );
    }

    #[test]
    fn a_path_becomes_a_word() {
        assert_eq!(path_word("/data/my text.txt"), "my-text");
        assert_eq!(path_word(""), "text");
    }
}
