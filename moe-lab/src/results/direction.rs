//! The better direction of a metric, as its name tells.

use crate::stats::Goal;

const LOWER: [&str; 22] = [
    "loss",
    "losses",
    "perplexity",
    "ppl",
    "bits",
    "bpb",
    "bpc",
    "nll",
    "ce",
    "error",
    "err",
    "errors",
    "wer",
    "cer",
    "mse",
    "rmse",
    "mae",
    "regret",
    "brier",
    "ece",
    "fid",
    "latency",
];

const HIGHER: [&str; 18] = [
    "acc",
    "accuracy",
    "f1",
    "em",
    "exact",
    "match",
    "bleu",
    "chrf",
    "rouge",
    "meteor",
    "auc",
    "auroc",
    "precision",
    "recall",
    "mcc",
    "r2",
    "reward",
    "map",
];

/// The better direction; `None` if the name tells neither or both.
pub(super) fn direction(name: &str) -> Option<Goal> {
    let words = words(name);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    match (has(&LOWER), has(&HIGHER)) {
        (true, false) => Some(Goal::Lower),
        (false, true) => Some(Goal::Higher),
        _ => None,
    }
}

/// The words of a name in lower case: `val/topOneAcc` has val, top, one, acc.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = c.is_uppercase() && was_lower;
        was_lower = c.is_lowercase();
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            let last = words.last_mut().expect("there is a word");
            last.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_a_direction_or_none() {
        use Goal::{Higher, Lower};
        for (name, goal) in [
            ("val/loss", Some(Lower)),
            ("valLoss", Some(Lower)),
            ("bits_per_byte", Some(Lower)),
            ("word_perplexity", Some(Lower)),
            ("Error (%)", Some(Lower)),
            ("hellaswag/acc_norm", Some(Higher)),
            ("gsm8k/exact_match,strict-match", Some(Higher)),
            ("eval.F1", Some(Higher)),
            ("score", None),
            ("glossy", None),
            ("acc_loss", None),
            ("", None),
        ] {
            assert_eq!(direction(name), goal, "{name}");
        }
    }
}
