//! Every example, run as its reader would.

use std::process::Command;

/// Runs a program, which must succeed; returns its stdout.
fn run(program: &str) -> String {
    let output = Command::new(program).output().expect("a built program");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// The number after `label` in its line.
fn number(text: &str, label: &str) -> f64 {
    let (_, rest) = text
        .split_once(label)
        .unwrap_or_else(|| panic!("no {label} in {text}"));
    let word = rest.split_whitespace().next().expect("a number");
    let word = word.trim_end_matches([',', ';']);
    word.parse()
        .unwrap_or_else(|_| panic!("{word} after {label}"))
}

#[test]
fn route_tokens_counts_every_token() {
    let text = run(env!("CARGO_BIN_EXE_route_tokens"));
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .take(8)
        .map(|line| {
            line.split_whitespace()
                .map(|x| x.parse().expect("a number"))
                .collect()
        })
        .collect();
    let sum = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>();
    assert_eq!(sum(1), 1024.0, "{text}"); // each of 1,024 tokens asks for one expert
    let dropped = 100.0 * (1.0 - sum(2) / 1024.0);
    assert!((number(&text, "dropped") - dropped).abs() < 0.051, "{text}");
    assert!(dropped > 0.0 && number(&text, "MaxVio") > 0.0, "{text}");
    assert_eq!(number(&text, "dead experts"), 0.0);
}

#[test]
fn count_a_model_gives_the_published_sizes() {
    let text = run(env!("CARGO_BIN_EXE_count_a_model"));
    let row = |name: &str| -> Vec<f64> {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .expect("a row");
        line.split_whitespace()
            .skip(1)
            .map(|x| x.parse().expect("a number"))
            .collect()
    };
    // the checkpoint's 46,702,792,704 parameters, of which a token uses 12.9 billion
    assert_eq!(
        row("mixtral")[..2],
        [46_702_792_704.0, 12_879_925_248.0],
        "{text}"
    );
    // one expert a token: 32 layers * 3 * 4096 * 14336 fewer
    assert_eq!(row("mixtral")[1] - row("switch")[1], 5_637_144_576.0);
    // no gate: 32 * 4096 * 8 fewer
    assert_eq!(row("mixtral")[0] - row("hash")[0], 1_048_576.0);
}
