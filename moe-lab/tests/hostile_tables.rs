//! Damaged tables of results: every mutation gives an error or the right scores, and never a panic. The seed is fixed;
//! `MOE_FUZZ=N` makes N mutations of each kind of table instead of a hundred.

#![allow(clippy::unwrap_used)]

use moe_lab::ablate::{AblationConfig, AblationReport, Pairing};
use moe_lab::results::{Filter, Names, Question, ResultsError, Table};
use moe_lab::stats::Goal;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes and words that mean something in one of the tables.
const TELLING: [&str; 24] = [
    ",", ";", "\t", "\n", "\r\n", "\"", "\"\"", "{", "}", "[", "]", ":", "\\", "-", ".", "e", "9",
    "NaN", "inf", "null", "a", "1e300", "\u{feff}", "\0",
];

/// A kind of table with its question.
struct Kind {
    name: &'static str,
    text: String,
    question: Question,
}

fn score(arm: usize, seed: usize) -> f64 {
    2.0 - 0.125 * arm as f64 + 0.25 * seed as f64 + 0.03125 * ((seed * 7 + arm * 3) % 4) as f64
}

fn rows(row: impl Fn(&str, usize, f64) -> String) -> String {
    let arms = ["a", "b", "c"].into_iter().enumerate();
    arms.flat_map(|(i, arm)| (0..6).map(move |seed| (i, arm, seed)))
        .map(|(i, arm, seed)| row(arm, seed, score(i, seed)))
        .collect()
}

fn kinds() -> Vec<Kind> {
    let asked = |metric: &str| Question {
        metric: Some(metric.to_owned()),
        goal: Some(Goal::Lower),
        ..Question::default()
    };
    let csv = rows(|arm, seed, x| format!("{arm},{seed},{x},\"a, b\"\n"));
    let json = rows(|arm, seed, x| {
        format!("{{\"arm\": \"{arm}\", \"config\": {{\"seed\": {seed}}}, \"loss\": {x}}}\n")
    });
    let run_table =
        rows(|arm, seed, x| format!("\"r{arm}{seed}\";\"finished\";{arm};{seed};{x};7\r\n"));
    vec![
        Kind {
            name: "csv",
            text: format!("arm,seed,loss,note\n{csv}"),
            question: asked("loss"),
        },
        Kind {
            name: "jsonl",
            text: json,
            question: Question {
                seed: Some("config.seed".into()),
                ..asked("loss")
            },
        },
        Kind {
            name: "run table",
            text: format!("\"Name\";\"State\";arm;seed;val/loss;params\r\n{run_table}"),
            question: Question {
                costs: vec!["params".into()],
                filters: vec![Filter::parse("State=finished").unwrap()],
                ..asked("val/loss")
            },
        },
        Kind {
            name: "chart",
            text: chart(),
            question: Question {
                names: Some(Names::parse("{arm}-s{seed}").unwrap()),
                ..asked("loss")
            },
        },
        Kind {
            name: "lm-eval",
            text: evaluated("c", 5),
            question: Question {
                names: Some(Names::parse("{arm}-s{seed}").unwrap()),
                metric: Some("arc/acc".into()),
                ..Question::default()
            },
        },
    ]
}

/// A result file of lm-eval.
fn evaluated(arm: &str, seed: usize) -> String {
    let score = score(arm.as_bytes()[0] as usize, seed);
    format!(
        "{{\"results\": {{\"arc\": {{\"acc,none\": {score}, \"acc_stderr,none\": 0.01}}}}, \"config\": {{\"random_seed\": 3}}, \
         \"higher_is_better\": {{\"arc\": {{\"acc\": true}}}}, \"model_name\": \"{arm}-s{seed}\"}}"
    )
}

/// A folder of lm-eval in which one file has this content.
fn compared_in_folder(bytes: &[u8], question: &Question) -> Result<AblationReport, ResultsError> {
    let place = tempfile::tempdir().unwrap();
    let write = |arm: &str, seed: usize, content: &[u8]| {
        let name = format!("results_{arm}{seed}.json");
        std::fs::write(place.path().join(name), content).unwrap();
    };
    for arm in ["a", "b", "c"] {
        for seed in 0..6 {
            write(arm, seed, evaluated(arm, seed).as_bytes());
        }
    }
    write("c", 5, bytes);
    let scores = question.scores(&Table::read(place.path())?)?;
    Ok(scores.report(&AblationConfig::default()).unwrap())
}

fn chart() -> String {
    let header = rows(|arm, seed, _| {
        let column = |end: &str| format!(",\"{arm}-s{seed} - loss{end}\"");
        ["", "__MIN", "__MAX"].map(column).concat()
    });
    let point = |more: f64| rows(move |_, _, x| format!(",{0},{0},{0}", x + more));
    format!("\"Step\"{header}\n1{}\n2{}\n", point(1.0), point(0.0))
}

fn mutated(text: &str, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(1..40)).min(bytes.len());
        match rng.random_range(0..7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 | 4 => {
                let word = TELLING[rng.random_range(0..TELLING.len())];
                bytes.splice(at..at, word.bytes());
            }
            5 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            _ => bytes.extend((0..rng.random_range(1..9)).map(|_| rng.random::<u8>())),
        }
    }
    bytes
}

fn compared(bytes: &[u8], question: &Question) -> Result<AblationReport, ResultsError> {
    let table = Table::parse("a table", bytes)?;
    let scores = question.scores(&table)?;
    // arms were checked before
    Ok(scores.report(&AblationConfig::default()).unwrap())
}

type Compared = fn(&[u8], &Question) -> Result<AblationReport, ResultsError>;

/// The scores of the files that stay as they are.
fn all_evaluated() -> Vec<f64> {
    let arms = ["a", "b", "c"].iter();
    let scores = arms.flat_map(|arm| (0..6).map(|seed| score(arm.as_bytes()[0] as usize, seed)));
    scores.collect()
}

/// The numbers that a text holds.
fn numbers(text: &str) -> Vec<f64> {
    let is_between = |c: char| !(c.is_ascii_alphanumeric() || ['.', '-', '+'].contains(&c));
    text.split(is_between)
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn check(bytes: &[u8], report: &AblationReport, others: &[f64]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let held = [&numbers(text), others].concat();
    let scores = report
        .arms
        .iter()
        .flat_map(|arm| &arm.seeds)
        .map(|run| run.loss);
    for score in scores.filter(|score| score.is_finite()) {
        assert!(held.contains(&score), "{score} is not in\n{text}");
    }
    for comparison in report.arms.iter().filter_map(|arm| arm.comparison.as_ref()) {
        assert!(comparison.mean_difference.is_finite());
        let shares = [comparison.p, comparison.p_holm, comparison.p_equal];
        assert!(
            shares
                .into_iter()
                .flatten()
                .all(|p| (0.0..=1.0).contains(&p))
        );
        if let Some(interval) = comparison.interval {
            assert!(interval.low <= interval.high, "{interval:?}");
        }
    }
}

/// Checks that each line of a table is a run, with its arm, its seed and its score; not where a cell holds several lines.
fn check_lines(text: &str, report: &AblationReport, has_header: bool) {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if text.contains('\r') || lines.iter().any(|line| line.matches('"').count() % 2 == 1) {
        return;
    }
    let is_empty = |line: &&&str| line.chars().all(|c| ",\"; \t".contains(c));
    let n_rows = lines.iter().filter(|line| !is_empty(line)).count() - usize::from(has_header);
    let runs = report.arms.iter().map(|arm| arm.seeds.len());
    assert_eq!(runs.sum::<usize>(), n_rows, "{text}");
    let names = report
        .given
        .as_ref()
        .map(|given| given.seed_names.clone())
        .unwrap_or_default();
    for arm in &report.arms {
        for run in &arm.seeds {
            let name = names.get(run.seed as usize).cloned();
            let seed = name.unwrap_or_else(|| run.seed.to_string());
            let is_own = |line: &&&str| {
                let score = numbers(line)
                    .iter()
                    .any(|x| *x == run.loss || !x.is_finite() && !run.loss.is_finite());
                // without a column of seeds runs are numbered, and not paired
                let has_seed = report.pairing == Pairing::Never || line.contains(&seed);
                score && line.contains(&arm.label) && has_seed
            };
            assert!(
                lines.iter().any(|line| is_own(&line)),
                "{} {seed} {}:\n{text}",
                arm.label,
                run.loss
            );
        }
    }
}

#[test]
fn damaged_tables_give_an_error_or_the_right_scores() {
    let n = std::env::var("MOE_FUZZ").map_or(100, |n| n.parse().expect("MOE_FUZZ is a number"));
    for kind in kinds() {
        let (compared, others): (Compared, Vec<f64>) = match kind.name {
            "lm-eval" => (compared_in_folder, all_evaluated()),
            _ => (compared, Vec::new()),
        };
        compared(kind.text.as_bytes(), &kind.question).unwrap();
        let mut n_read = 0;
        for case in 0..n {
            let bytes = mutated(&kind.text, &mut ChaCha8Rng::seed_from_u64(case));
            let found = catch_unwind(AssertUnwindSafe(|| {
                match compared(&bytes, &kind.question) {
                    Ok(report) => {
                        check(&bytes, &report, &others);
                        if ["csv", "jsonl"].contains(&kind.name) {
                            let text = std::str::from_utf8(&bytes).unwrap();
                            check_lines(text, &report, kind.name == "csv");
                        }
                        true
                    }
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        false
                    }
                }
            }));
            let found = found.unwrap_or_else(|_| {
                panic!(
                    "{}, mutation {case}:\n{}",
                    kind.name,
                    String::from_utf8_lossy(&bytes)
                )
            });
            n_read += u32::from(found);
        }
        println!("{}: {n_read} of {n} mutations are read", kind.name);
    }
}
