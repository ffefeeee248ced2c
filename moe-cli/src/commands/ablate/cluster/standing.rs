//! The state of an ablation's runs as text.

use moe_lab::runs::{RunStanding, RunStandingState, Standing};
use moe_view::{Align, columns, counted};

/// A line a run, and the totals.
pub(super) fn text(standing: &Standing) -> String {
    let header = ["arm", "seed", "state", "step", "host"].map(String::from);
    let mut rows = vec![header.to_vec()];
    rows.extend(standing.runs.iter().map(row));
    use Align::{Left, Right};
    let table = columns(&rows, &[Left, Right, Left, Right, Left]);
    let faults = standing.runs.iter().filter_map(|run| run.reason.clone());
    let end = [totals(standing)].into_iter().chain(faults);
    format!("{table}\n\n{}", end.collect::<Vec<_>>().join("\n"))
}

fn row(run: &RunStanding) -> Vec<String> {
    let host = run.owner.as_ref().map_or(String::new(), |owner| {
        let job = owner.job.as_ref().map(|job| format!(" ({job})"));
        format!("{}{}", owner.host, job.unwrap_or_default())
    });
    vec![
        run.arm.clone(),
        run.seed.to_string(),
        word(run.state).to_owned(),
        format!("{}/{}", run.step, run.steps),
        host,
    ]
}

fn word(state: RunStandingState) -> &'static str {
    match state {
        RunStandingState::Missing => "missing",
        RunStandingState::Running => "running",
        RunStandingState::Finished => "finished",
        RunStandingState::Diverged => "diverged",
        RunStandingState::Damaged => "damaged",
    }
}

/// The number of runs in each state that there is.
fn totals(standing: &Standing) -> String {
    let totals = &standing.totals;
    let parts = [
        (totals.finished, "finished"),
        (totals.running, "running"),
        (totals.missing, "missing"),
        (totals.diverged, "diverged"),
        (totals.damaged, "damaged"),
    ];
    let shown = parts.iter().filter(|(n, _)| *n > 0);
    let mut words: Vec<String> = shown.map(|(n, word)| format!("{n} {word}")).collect();
    if standing.later > 0 {
        words.push(format!("{} after the tuning", standing.later));
    }
    let all = counted(standing.runs.len() + standing.later, "run");
    format!("{all}: {}", words.join(", "))
}
