//! How the reader started this program, to print commands that can be pasted.

use crate::backends::Backend;

/// The beginning of a command: `cargo run --release --` under cargo, else the program's name.
pub fn command(backend: Option<&Backend>) -> String {
    let is_cargo = std::env::var_os("CARGO").is_some();
    match backend {
        Some(backend) if is_cargo && !backend.is_default() => with_feature(backend.name),
        _ if is_cargo => "cargo run --release --".to_owned(),
        _ => std::env::args().next().unwrap_or_else(|| "moe".to_owned()),
    }
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

/// An argument as a shell reads it back.
pub fn quote(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
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
