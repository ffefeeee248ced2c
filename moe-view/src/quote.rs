//! Arguments of commands that can be pasted, and paths in short.

use std::path::Path;

/// An argument as a shell reads it back.
pub fn quote(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// The last parts of a path, at most `n`: a run is known by the folder of its configuration and its seed's.
pub fn last_parts(path: &Path, n: usize) -> String {
    let parts: Vec<String> = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts[parts.len().saturating_sub(n)..].join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_split() {
        let cases = [
            ("train.lr=3e-4", "train.lr=3e-4"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("$HOME", "'$HOME'"),
        ];
        for (argument, quoted) in cases {
            assert_eq!(quote(argument), quoted);
        }
    }
}
