//! Tables of a list of runs, and of the differences of two.

use super::{Align, bytes, columns, elapsed, significant};
use moe_lab::runs::{Comparison, EntryState, RunEntry, Score};

/// The sides on which the columns of [`run_rows`] stand.
pub const RUN_COLUMNS: [Align; 7] = [
    Align::Left,
    Align::Right,
    Align::Left,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
];

/// The rows of a list of runs, the header first; `now` is in seconds since 1970.
pub fn run_rows(runs: &[RunEntry], now: u64) -> Vec<Vec<String>> {
    let header = ["name", "seed", "state", "step", "score", "age", "size"];
    let row = |run: &RunEntry| {
        let age = run.started_at.map(|then| elapsed(now.saturating_sub(then)));
        vec![
            run.name.clone(),
            or_dash(run.seed.map(|seed| seed.to_string())),
            state_words(run.state).to_owned(),
            or_dash(step(run)),
            or_dash(run.score.map(score_text)),
            or_dash(age),
            bytes(run.bytes),
        ]
    };
    let header = header.map(String::from).to_vec();
    [header].into_iter().chain(runs.iter().map(row)).collect()
}

/// The keys in which two differ with both values, then the scores if both are finished runs.
pub fn difference_text(found: &Comparison) -> String {
    let paths = found.sides.each_ref().map(|side| side.path.display());
    let mut rows = Vec::new();
    rows.extend(found.differences.iter().map(|difference| {
        let value = |i: usize| or_dash(difference.values[i].as_deref().map(shown));
        vec![difference.key.clone(), value(0), value(1)]
    }));
    let scores = found.scores().map(|scores| {
        let [a, b] = scores.map(score_text);
        vec!["score".to_owned(), a, b]
    });
    let mut text = String::new();
    if rows.is_empty() {
        text.push_str("no difference: both resolve to the same configuration");
        if scores.is_some() {
            text.push_str("\n\n");
        }
    } else if scores.is_some() {
        rows.push(vec![String::new(); 3]);
    }
    rows.extend(scores);
    if !rows.is_empty() {
        let [a, b] = paths.map(|path| path.to_string());
        rows.insert(0, vec!["key".to_owned(), a, b]);
        text.push_str(&columns(&rows, &[Align::Left; 3]));
    }
    text
}

/// A value; an empty text in its quotation marks.
fn shown(value: &str) -> String {
    if value.is_empty() {
        "\"\"".to_owned()
    } else {
        value.to_owned()
    }
}

fn step(run: &RunEntry) -> Option<String> {
    Some(match (run.step, run.steps) {
        (Some(step), Some(steps)) => format!("{step}/{steps}"),
        (None, Some(steps)) => format!("?/{steps}"),
        _ => return None,
    })
}

fn score_text(score: Score) -> String {
    format!("{} {}", significant(score.value, 4), score.unit)
}

fn state_words(state: EntryState) -> &'static str {
    match state {
        EntryState::Finished => "finished",
        EntryState::Training => "in training",
        EntryState::Interrupted => "interrupted",
        EntryState::Diverged => "diverged",
        EntryState::NotBegun => "not begun",
        EntryState::Damaged => "damaged",
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns_within;

    fn entry(name: &str, state: EntryState) -> RunEntry {
        RunEntry {
            folder: name.into(),
            name: name.to_owned(),
            seed: Some(10),
            state,
            reason: None,
            step: None,
            steps: None,
            score: None,
            started_at: None,
            bytes: 512,
            config: None,
        }
    }

    #[test]
    fn a_list_has_a_row_a_run() {
        let finished = RunEntry {
            step: Some(20),
            steps: Some(20),
            score: Some(Score {
                value: 2.29149,
                unit: "bits/byte",
            }),
            started_at: Some(1000),
            bytes: 2048,
            ..entry("text-mixtral", EntryState::Finished)
        };
        let runs = [finished, entry("b", EntryState::Damaged)];
        let expected = "\
name          seed  state      step            score  age      size
text-mixtral    10  finished  20/20  2.291 bits/byte   1h  2.00 KiB
b               10  damaged       -                -    -     512 B";
        let rows = run_rows(&runs, 4700);
        assert_eq!(columns_within(&rows, &RUN_COLUMNS, None), expected);
    }
}
